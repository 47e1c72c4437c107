//! Virtual time: sleeps, timeouts, intervals, and the two clocks.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use sim::fault::Fault;
use sim::time::{self, Elapsed, Instant, MissedTickBehavior, SystemTime};
use sim::{CpuModel, Offset, Policy, simulate, task};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Runs `program` on one node, with CPU time free and wakes on time, and expects no failure.
fn exactly<F: Future<Output = ()> + 'static>(program: impl Fn() -> F + Send + 'static) {
    let run = simulate(1, |sim| {
        sim.schedule(Policy::Fifo, CpuModel::default());
        let done = Rc::new(Cell::new(false));
        let (program, end) = (Rc::new(program), done.clone());
        sim.node("a", move || {
            let (program, end) = (program.clone(), end.clone());
            async move {
                program().await;
                end.set(true);
            }
        });
        sim.run_for(Duration::from_secs(100));
        done.get()
    })
    .unwrap();
    assert_eq!((run.failures, run.value), (vec![], true));
}

#[test]
fn a_sleep_ends_at_its_deadline() {
    exactly(|| async {
        let start = time::now();
        time::sleep(ms(7)).await;
        assert_eq!(start.elapsed(), ms(7));
        time::sleep(Duration::ZERO).await;
        time::sleep_until(start).await;
        assert_eq!(start.elapsed(), ms(7), "a deadline that is past takes no time");
        let mut sleep = Box::pin(time::sleep(ms(10)));
        assert_eq!(sleep.deadline(), time::now() + ms(10));
        assert_eq!(time::timeout(ms(1), sleep.as_mut()).await, Err(Elapsed));
        sleep.reset(time::now() + ms(100));
        sleep.await;
        assert_eq!(start.elapsed(), ms(108));
    });
}

#[test]
fn what_is_past_yields_once_and_a_value_that_is_there_wins() {
    exactly(|| async {
        let start = time::now();
        let others = Rc::new(Cell::new(0));
        let count = others.clone();
        task::spawn(async move {
            loop {
                count.set(count.get() + 1);
                task::yield_now().await;
                if count.get() > 100 {
                    break;
                }
            }
        });
        for _ in 0..10 {
            let before = others.get();
            time::sleep(Duration::ZERO).await;
            assert!(others.get() > before, "another task had its turn");
        }
        assert_eq!(time::timeout(Duration::ZERO, async { 1 }).await, Ok(1));
        assert_eq!(time::timeout(Duration::ZERO, std::future::pending::<()>()).await, Err(Elapsed));
        assert_eq!(start.elapsed(), Duration::ZERO);
    });
}

/// The same operations on std's type and on ours, by nanoseconds since an origin.
#[test]
fn instants_are_as_stds() {
    let std = std::time::Instant::now();
    let at = |n: u64| std + Duration::from_nanos(n);
    // The run begins at zero.
    let origin = simulate(1, |sim| time::shown_by(sim.node("a", || async {}))).unwrap().value;
    let ours = |n: u64| origin + Duration::from_nanos(n);
    for (a, b) in [(0, 0), (5, 3), (3, 5), (1_000_000_007, 1)] {
        let (one, other) = (ours(a), ours(b));
        assert_eq!(one.duration_since(other), at(a).duration_since(at(b)));
        assert_eq!(one.saturating_duration_since(other), at(a).saturating_duration_since(at(b)));
        assert_eq!(one.checked_duration_since(other), at(a).checked_duration_since(at(b)));
        assert_eq!(one - other, at(a) - at(b));
        assert_eq!(one.cmp(&other), at(a).cmp(&at(b)));
        let by = Duration::from_nanos(b);
        assert_eq!(one.checked_add(by), Some(ours(a + b)));
        assert_eq!(one.checked_sub(by), a.checked_sub(b).map(ours));
    }
    assert_eq!(ours(1).checked_add(Duration::MAX), None);
    assert_eq!(ours(1).checked_sub(Duration::MAX), None);
}

#[test]
fn wall_clock_times_are_as_stds() {
    exactly(|| async {
        let (epoch, now) = (SystemTime::UNIX_EPOCH, SystemTime::now());
        let since = now.duration_since(epoch).unwrap();
        assert_eq!(since.as_nanos() as i64, now.as_nanos());
        assert_eq!(epoch.duration_since(now).unwrap_err().duration(), since);
        assert_eq!(epoch.checked_add(since), Some(now));
        assert_eq!(now.checked_sub(since), Some(epoch));
        assert_eq!((now.checked_add(Duration::MAX), now.checked_sub(Duration::MAX)), (None, None));
        assert_eq!(now.elapsed(), Ok(Duration::ZERO));
        assert_eq!(now.checked_add(ms(1)).unwrap().elapsed().unwrap_err().duration(), ms(1));
    });
}

#[test]
fn a_timeout_ends_what_takes_too_long_and_on_a_tie_the_future_wins() {
    exactly(|| async {
        let start = time::now();
        assert_eq!(time::timeout(ms(5), std::future::pending::<()>()).await, Err(Elapsed));
        assert_eq!(start.elapsed(), ms(5));
        assert_eq!(time::timeout(ms(5), async { 1 }).await, Ok(1));
        let late = async {
            time::sleep(ms(5)).await;
            2
        };
        assert_eq!(time::timeout(ms(5), late).await, Ok(2), "a tie");
        assert_eq!(time::timeout(Duration::ZERO, async { 3 }).await, Ok(3), "a tie at once");
        assert_eq!(time::timeout_at(start, std::future::pending::<()>()).await, Err(Elapsed));
        assert_eq!(start.elapsed(), ms(10));
        // Never, and no overflow.
        assert_eq!(time::timeout(Duration::MAX, time::sleep(ms(1))).await, Ok(()));
    });
}

#[test]
fn what_a_timeout_gives_up_is_dropped() {
    exactly(|| async {
        let alive = Rc::new(());
        let held = alive.clone();
        let future = async move {
            let _held = held;
            std::future::pending::<()>().await;
        };
        assert_eq!(time::timeout(ms(1), future).await, Err(Elapsed));
        assert_eq!(Rc::strong_count(&alive), 1);
    });
}

#[test]
fn an_interval_ticks_at_once_and_then_on_its_grid() {
    exactly(|| async {
        let start = time::now();
        let mut interval = time::interval(ms(10));
        for i in 0..5 {
            assert_eq!(interval.tick().await, start + ms(10) * i);
            assert_eq!(time::now(), start + ms(10) * i);
            // Less than a period of work does not shift the grid.
            time::sleep(ms(4)).await;
        }
        let mut later = time::interval_at(time::now() + ms(3), ms(7));
        let begin = time::now();
        later.tick().await;
        later.tick().await;
        assert_eq!((begin.elapsed(), later.period()), (ms(10), ms(7)));
    });
}

/// When ticks of a 100 ms interval come whose task was held up for `held` milliseconds after the first tick: what
/// tokio's documentation of `MissedTickBehavior` shows.
fn ticks(behavior: MissedTickBehavior, held: u64) -> Vec<u64> {
    let run = simulate(1, |sim| {
        sim.schedule(Policy::Fifo, CpuModel::default());
        let seen: Rc<RefCell<Vec<u64>>> = Rc::default();
        let log = seen.clone();
        sim.node("a", move || {
            let log = log.clone();
            async move {
                let mut interval = time::interval(ms(100));
                interval.set_missed_tick_behavior(behavior);
                for i in 0..6 {
                    interval.tick().await;
                    log.borrow_mut().push(time::now().as_nanos() / 1_000_000);
                    if i == 0 {
                        time::sleep(ms(held)).await;
                    }
                }
            }
        });
        sim.run_for(Duration::from_secs(2));
        seen.take()
    });
    run.unwrap().value
}

#[test]
fn missed_ticks_burst_are_delayed_or_skipped() {
    use MissedTickBehavior::{Burst, Delay, Skip};
    assert_eq!(ticks(Burst, 250), [0, 250, 250, 300, 400, 500]);
    assert_eq!(ticks(Delay, 250), [0, 250, 350, 450, 550, 650]);
    assert_eq!(ticks(Skip, 250), [0, 250, 300, 400, 500, 600]);
    // Late by less than a period.
    assert_eq!(ticks(Burst, 140), [0, 140, 200, 300, 400, 500]);
    assert_eq!(ticks(Delay, 140), [0, 140, 240, 340, 440, 540]);
    assert_eq!(ticks(Skip, 140), [0, 140, 200, 300, 400, 500]);
    // Exactly on the grid, and hardly late at all.
    assert_eq!(ticks(Skip, 300), [0, 300, 400, 500, 600, 700]);
    for behavior in [Burst, Delay, Skip] {
        assert_eq!(ticks(behavior, 105), [0, 105, 200, 300, 400, 500]);
        assert_eq!(ticks(behavior, 99), [0, 100, 200, 300, 400, 500]);
    }
    assert_eq!(MissedTickBehavior::default(), Burst);
}

#[test]
fn the_wall_clock_can_be_stepped_and_the_monotonic_clock_not() {
    let run = simulate(1, |sim| {
        let readings: Rc<RefCell<Vec<(Instant, SystemTime)>>> = Rc::default();
        let log = readings.clone();
        let node = sim.node("a", move || {
            let log = log.clone();
            async move {
                loop {
                    time::sleep(ms(10)).await;
                    log.borrow_mut().push((time::now(), SystemTime::now()));
                }
            }
        });
        let mut offsets = Vec::new();
        let mut look = || {
            sim.run_for(ms(100));
            let (instant, wall) = *readings.borrow().last().unwrap();
            offsets.push(wall.as_nanos() - instant.as_nanos() as i64);
        };
        look();
        let ahead =
            sim.inject(Fault::Clock { nodes: vec![node], offset: Offset::from_nanos(3_000_000_000), drift_ppm: 0 });
        look();
        let back =
            sim.inject(Fault::Clock { nodes: vec![node], offset: Offset::from_nanos(-5_000_000_000), drift_ppm: 0 });
        look();
        // A restart does not set the clock.
        sim.crash(node);
        sim.boot(node);
        look();
        drop((ahead, back));
        look();
        let readings = readings.borrow();
        assert!(readings.windows(2).all(|pair| pair[0].0 < pair[1].0), "the monotonic clock rises");
        assert!(readings.windows(2).any(|pair| pair[1].1 < pair[0].1), "the wall clock was stepped back");
        let slowest = readings.windows(2).map(|pair| pair[1].0 - pair[0].0).max().unwrap();
        assert!(slowest < ms(21), "sleeps go by the monotonic clock: {slowest:?}");
        let epoch = offsets[0];
        offsets.iter().map(|offset| (offset - epoch) / 1_000_000_000).collect::<Vec<_>>()
    });
    assert_eq!(run.unwrap().value, [0, 3, -2, -2, 0]);
}

#[test]
fn both_clocks_stand_still_during_a_poll_and_a_restart_does_not_reset_them() {
    let run = simulate(1, |sim| {
        let boots: Rc<RefCell<Vec<u64>>> = Rc::default();
        let log = boots.clone();
        let node = sim.node("a", move || {
            let log = log.clone();
            async move {
                log.borrow_mut().push(time::now().as_nanos());
                let (instant, wall) = (time::now(), SystemTime::now());
                task::spawn(async {});
                assert_eq!((instant, wall), (time::now(), SystemTime::now()));
            }
        });
        sim.run_for(ms(50));
        sim.crash(node);
        sim.boot(node);
        sim.run_for(ms(50));
        boots.take()
    })
    .unwrap();
    assert_eq!((run.failures, run.value.len()), (vec![], 2));
    assert!(run.value[1] >= 50_000_000);
}
