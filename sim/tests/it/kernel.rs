//! The kernel's contracts, each under its name.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sim::net::UdpSocket;
use sim::{CpuModel, Policy, Sim, Simulated, simulate, task, time};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A log that node code may write to and the host read: test scaffolding, outside of the world.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn add(&self, note: impl Into<String>) {
        self.0.lock().unwrap().push(note.into());
    }
    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Runs `f` when it is dropped.
struct OnDrop<F: FnMut()>(F);
impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn only_failure<R>(run: &Simulated<R>) -> &sim::Failure {
    assert_eq!(run.failures.len(), 1, "{:?}", run.failures);
    &run.failures[0]
}

#[test]
fn a_crash_drops_all_futures_of_the_node_at_once_in_spawn_order() {
    let notes = Notes::default();
    simulate(1, |sim| {
        let log = notes.clone();
        let node = sim.node("a", move || {
            let log = log.clone();
            async move {
                for i in 0..5 {
                    let log = log.clone();
                    task::spawn(async move {
                        let _guard = OnDrop(|| log.add(format!("{i}")));
                        std::future::pending::<()>().await;
                    });
                }
                let _guard = OnDrop(|| log.add("main"));
                std::future::pending::<()>().await;
            }
        });
        sim.run_for(ms(1));
        assert!(notes.all().is_empty());
        sim.crash(node);
        assert_eq!(notes.all(), ["main", "0", "1", "2", "3", "4"]);
        assert_eq!(sim.live_tasks(), 0);
    })
    .unwrap();
}

#[test]
fn destructors_on_a_dead_node_that_send_spawn_sleep_or_panic_are_harmless() {
    let run = simulate(1, |sim| {
        let other = sim.node("other", || async {
            let socket = UdpSocket::bind(1).unwrap();
            socket.recv_from().await;
            panic!("the dead must not be heard");
        });
        let node = sim.node("a", move || async move {
            let socket = Rc::new(UdpSocket::bind(1).unwrap());
            for what in 0..4 {
                let socket = socket.clone();
                task::spawn(async move {
                    let _guard = OnDrop(move || match what {
                        0 => socket.send_to(*b"boo", other.port(1)),
                        1 => drop(task::spawn(async { panic!("spawned by the dead") })),
                        2 => {
                            let mut sleep = Box::pin(time::sleep(ms(1)));
                            let waker = std::task::Waker::noop();
                            let poll = sleep.as_mut().poll(&mut std::task::Context::from_waker(waker));
                            assert!(poll.is_pending());
                        }
                        _ => panic!("in the grave"),
                    });
                    std::future::pending::<()>().await;
                });
            }
            std::future::pending::<()>().await;
        });
        sim.run_for(ms(1));
        sim.crash(node);
        sim.run_for(ms(100));
        sim.boot(node);
        sim.run_for(ms(100));
        assert!(sim.is_up(other));
        // Not swallowed either: it is counted.
        assert_eq!(sim.effect("panics_on_dead_nodes"), 1);
    })
    .unwrap();
    assert_eq!(run.failures, []);
}

#[test]
fn nothing_of_an_old_incarnation_reaches_the_new_one() {
    let notes = Notes::default();
    simulate(3, |sim| {
        sim.schedule(Policy::Fifo, CpuModel::default());
        let log = notes.clone();
        let node = sim.node("a", move || {
            let log = log.clone();
            async move {
                let life = sim::node::incarnation();
                let socket = UdpSocket::bind(1).unwrap();
                if life == 1 {
                    // A timer, a message to itself, a spawned task and a sync, all under way at the crash.
                    let log = log.clone();
                    task::spawn(async move {
                        time::sleep(ms(5)).await;
                        log.add("the timer of life 1 fired");
                    });
                    task::spawn(async {
                        let file = sim::fs::File::create("f").await.unwrap();
                        sim::fs::sync_dir("").await.unwrap();
                        file.write_at(b"old", 0).await.unwrap();
                        time::sleep(ms(4)).await;
                        file.sync_all().await.unwrap();
                    });
                    time::sleep(Duration::from_micros(4_990)).await;
                    socket.send_to(*b"from life 1", sim::node::this().port(1));
                } else {
                    let bytes = sim::fs::read("f").await.unwrap();
                    log.add(format!("life {life} finds {} bytes", bytes.len()));
                }
                loop {
                    let datagram = socket.recv_from().await;
                    log.add(format!("life {life} got {}", String::from_utf8(datagram.payload).unwrap()));
                }
            }
        });
        sim.run_for(Duration::from_micros(4_995));
        sim.crash(node);
        sim.boot(node);
        sim.run_for(ms(100));
        assert_eq!(sim.effect("net.old_incarnation"), 1);
    })
    .unwrap();
    assert_eq!(notes.all(), ["life 2 finds 0 bytes"]);
}

#[test]
fn a_datagram_of_a_peer_outlives_the_crash_of_its_receiver() {
    let got = simulate(1, |sim| {
        let got = Rc::new(Cell::new(0));
        let count = got.clone();
        let a = sim.node("a", move || {
            let count = count.clone();
            async move {
                let socket = UdpSocket::bind(1).unwrap();
                socket.recv_from().await;
                count.set(sim::node::incarnation());
            }
        });
        sim.node("b", move || async move {
            UdpSocket::bind(1).unwrap().send_to(*b"x", a.port(1));
        });
        sim.run_for(Duration::from_micros(50));
        sim.crash(a);
        sim.boot(a);
        sim.run_for(ms(10));
        got.get()
    });
    assert_eq!(got.unwrap().value, 2);
}

#[test]
fn a_panic_in_a_task_is_never_lost() {
    // In the main task, in a spawned task whose handle was dropped, and in one whose handle is awaited.
    for place in 0..3 {
        let run = simulate(1, |sim| {
            sim.node("a", move || async move {
                time::sleep(ms(3)).await;
                if place == 0 {
                    panic!("number {} of \"it\"", 7);
                }
                let handle = task::spawn(async { panic!("number {} of \"it\"", 7) });
                if place == 2 {
                    let _: Result<(), _> = handle.await;
                }
            });
            sim.run_for(ms(10));
        })
        .unwrap();
        let failure = only_failure(&run);
        assert_eq!(failure.signature, "panic:sim/tests/it/kernel.rs:number # of _");
        assert!(failure.explanation.starts_with("a, in the task spawned at"), "{}", failure.explanation);
        assert!((3_000_000..3_200_000).contains(&failure.at_ns));
    }
}

#[test]
fn a_panic_in_a_destructor_on_a_live_node_is_never_lost() {
    // When an aborted task's future is dropped, when a finished one's is, and when a value is dropped in a poll.
    for how in 0..3 {
        let run = simulate(1, |sim| {
            sim.node("a", move || async move {
                let guard = OnDrop(|| panic!("no clean end"));
                match how {
                    0 => {
                        let handle = task::spawn(async move {
                            let _guard = guard;
                            std::future::pending::<()>().await;
                        });
                        time::sleep(ms(1)).await;
                        handle.abort();
                        time::sleep(ms(1)).await;
                    }
                    1 => drop(task::spawn(async move {
                        let _guard = guard;
                    })),
                    _ => drop(guard),
                }
            });
            sim.run_for(ms(10));
        })
        .unwrap();
        assert_eq!(only_failure(&run).signature, "panic:sim/tests/it/kernel.rs:no clean end", "{how}");
    }
}

#[test]
fn timers_cancel_on_drop() {
    let polls = simulate(1, |sim| {
        sim.node("a", || async {
            for _ in 0..1_000 {
                assert!(time::timeout(Duration::from_secs(3_600), async {}).await.is_ok());
                let mut sleep = Box::pin(time::sleep(Duration::from_secs(3_600)));
                let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(sleep.as_mut().poll(cx))).await;
                assert!(polled.is_pending());
            }
        });
        sim.run_until_idle();
        assert!(sim.now_ns() < 1_000_000, "a cancelled timer moved time to {}", sim.now_ns());
        sim.polls()
    });
    assert_eq!(polls.unwrap().value, 1);
}

#[test]
fn time_has_nanosecond_resolution_and_no_floor() {
    let run = simulate(1, |sim| {
        sim.schedule(Policy::Fifo, CpuModel::default());
        sim.node("a", || async {
            for ns in [1, 2, 3, 999, 1_000_001] {
                let before = time::now();
                time::sleep(Duration::from_nanos(ns)).await;
                assert_eq!(before.elapsed(), Duration::from_nanos(ns));
            }
        });
        sim.run_until_idle();
    });
    assert_eq!(run.unwrap().failures, []);
}

#[test]
fn std_clocks_agree_to_the_nanosecond() {
    let run = simulate(1, |sim| {
        sim.node("a", || async {
            let (std_instant, std_system) = (std::time::Instant::now(), std::time::SystemTime::now());
            let ours = time::now();
            for i in 1..50 {
                time::sleep(Duration::from_nanos(i * 12_345)).await;
                assert_eq!(std_instant.elapsed(), ours.elapsed());
                assert_eq!(std_system.elapsed().unwrap(), ours.elapsed());
            }
        });
        sim.run_until_idle();
    });
    assert_eq!(run.unwrap().failures, []);
}

#[test]
fn a_livelock_ends() {
    for policy in [Policy::Random, Policy::Fifo] {
        let run = simulate(1, |sim| {
            sim.schedule(policy, CpuModel::default());
            sim.livelock_after(10_000);
            sim.node("spinner", || async {
                loop {
                    task::yield_now().await;
                }
            });
            sim.run_for(Duration::from_secs(3_600));
        })
        .unwrap();
        assert_eq!(only_failure(&run).signature, "livelock:spinner");
    }
}

/// What is always ready, and goes through the kernel.
type Spin = fn() -> std::pin::Pin<Box<dyn Future<Output = ()>>>;

#[test]
fn waiting_for_what_is_past_is_a_livelock_too() {
    let ways: [(&str, Spin); 5] = [
        ("sleep", || Box::pin(async { time::sleep(Duration::ZERO).await })),
        ("sleep_until", || Box::pin(async { time::sleep_until(time::now()).await })),
        ("timeout", || {
            Box::pin(async { assert!(time::timeout(Duration::ZERO, std::future::pending::<()>()).await.is_err()) })
        }),
        ("interval", || Box::pin(async { assert!(time::interval(ms(1)).tick().await <= time::now()) })),
        ("spawn", || Box::pin(async { assert!(task::spawn(async {}).await.is_ok()) })),
    ];
    for (way, spin) in ways {
        for policy in [Policy::Random, Policy::Fifo] {
            let run = simulate(1, |sim| {
                sim.schedule(policy, CpuModel::default());
                sim.livelock_after(10_000);
                sim.node("spinner", move || async move {
                    loop {
                        spin().await;
                    }
                });
                sim.run_for(Duration::from_secs(3_600));
            })
            .unwrap();
            let failure = only_failure(&run);
            assert_eq!(failure.signature, "livelock:spinner", "{way}");
            assert!(failure.explanation.contains("spinner was polled 10000 times"), "{}", failure.explanation);
            assert!(failure.explanation.contains("sim/tests/it/kernel.rs:"), "{}", failure.explanation);
        }
    }
}

#[test]
fn an_interval_that_cannot_catch_up_is_a_livelock() {
    let run = simulate(1, |sim| {
        sim.livelock_after(10_000);
        sim.node("spinner", || async {
            let mut interval = time::interval(Duration::from_nanos(1));
            loop {
                interval.tick().await;
            }
        });
        sim.run_for(Duration::from_secs(1));
    });
    assert_eq!(only_failure(&run.unwrap()).signature, "livelock:spinner");
}

#[test]
fn a_join_handle_is_as_tokios() {
    let run = simulate(1, |sim| {
        sim.node("a", || async {
            let mut handle = task::spawn(async { 7 });
            assert!(!handle.is_finished() && !handle.abort_handle().is_finished());
            assert_eq!((&mut handle).await, Ok(7));
            assert!(handle.is_finished() && handle.abort_handle().is_finished(), "though the result was taken");
            // One that has ended cannot be aborted any more.
            let ended = task::spawn(async { 8 });
            time::sleep(ms(1)).await;
            assert!(ended.is_finished());
            ended.abort();
            assert_eq!(ended.await, Ok(8));
            // Another one can, also without the handle that awaits it.
            let waiting = task::spawn(std::future::pending::<()>());
            let other = waiting.abort_handle();
            other.abort();
            let error = waiting.await.unwrap_err();
            assert!(error.is_cancelled() && !error.is_panic() && other.is_finished());
            let _ = (&mut handle).await;
        });
        sim.run_for(Duration::from_secs(1));
    });
    let run = run.unwrap();
    let failure = only_failure(&run);
    assert!(failure.explanation.ends_with("JoinHandle polled after completion"), "{}", failure.explanation);
}

#[test]
fn a_busy_node_that_idles_now_and_then_is_no_livelock() {
    let run = simulate(1, |sim| {
        sim.livelock_after(10_000);
        sim.node("busy", || async {
            for _ in 0..100 {
                for _ in 0..1_000 {
                    task::yield_now().await;
                }
                time::sleep(ms(1)).await;
            }
        });
        sim.run_until_idle();
    });
    assert_eq!(run.unwrap().failures, []);
}

#[test]
fn wakers_are_safe_anywhere() {
    let waker = Arc::new(Mutex::new(None));
    let keep = waker.clone();
    let polls = simulate(1, |sim| {
        let kept = keep.clone();
        let node = sim.node("a", move || {
            let keep = kept.clone();
            async move {
                std::future::poll_fn(|cx| {
                    *keep.lock().unwrap() = Some(cx.waker().clone());
                    std::task::Poll::<()>::Pending
                })
                .await
            }
        });
        sim.run_for(ms(1));
        let stale: std::task::Waker = keep.lock().unwrap().clone().unwrap();
        sim.crash(node);
        // Of a dead task, whose slot has a new owner.
        sim.node("b", std::future::pending);
        sim.run_for(ms(1));
        let before = sim.polls();
        stale.wake_by_ref();
        sim.run_for(ms(1));
        assert_eq!(sim.polls(), before);
        before
    });
    assert!(polls.unwrap().value > 0);
    // After the run, on another thread, and inside another run.
    let waker = waker.lock().unwrap().take().unwrap();
    waker.wake_by_ref();
    let other = waker.clone();
    std::thread::spawn(move || other.wake()).join().unwrap();
    let polls = simulate(2, |sim| {
        sim.node("a", std::future::pending);
        sim.run_for(ms(1));
        let before = sim.polls();
        waker.wake_by_ref();
        sim.run_for(ms(1));
        sim.polls() - before
    });
    assert_eq!(polls.unwrap().value, 0);
}

#[test]
fn no_user_code_runs_while_a_kernel_structure_is_borrowed() {
    // A foreign waker whose wake, clone and drop all come back into the kernel, kept by a timer, a socket and a call.
    struct Nosy(std::task::Waker);
    impl std::task::Wake for Nosy {
        fn wake(self: Arc<Self>) {
            let _ = time::now();
            self.0.wake_by_ref();
        }
    }
    impl Drop for Nosy {
        fn drop(&mut self) {
            let _ = time::now();
        }
    }
    fn through_nosy<F: Future>(future: F) -> impl Future<Output = F::Output> {
        let mut future = Box::pin(future);
        std::future::poll_fn(move |cx| {
            let nosy = std::task::Waker::from(Arc::new(Nosy(cx.waker().clone())));
            future.as_mut().poll(&mut std::task::Context::from_waker(&nosy))
        })
    }
    struct Echo;
    impl sim::rpc::Service for Echo {
        type Request = u8;
        type Reply = u8;
    }
    let run = simulate(1, |sim| {
        let server = sim.node("server", || async {
            let mut server = sim::rpc::Server::<Echo>::bind(1).unwrap();
            loop {
                let call = through_nosy(server.recv()).await;
                call.responder.send(&call.request);
            }
        });
        let client = sim.node("client", move || async move {
            for i in 0..100 {
                through_nosy(time::sleep(ms(1))).await;
                let reply = sim::rpc::call::<Echo>(server.port(1), &i, ms(20));
                assert_eq!(through_nosy(reply).await, Ok(i));
                // Cancelled with a nosy waker inside.
                let _ = time::timeout(Duration::from_nanos(1), through_nosy(time::sleep(ms(50)))).await;
            }
            through_nosy(std::future::pending::<()>()).await;
        });
        sim.run_for(ms(50));
        sim.crash(server);
        sim.run_for(ms(1));
        sim.boot(server);
        sim.run_for(Duration::from_secs(5));
        sim.crash(client);
    });
    // The call that the crash caught timed out: the only assertion that may have failed.
    for failure in run.unwrap().failures {
        assert!(failure.explanation.contains("Err(Timeout)"), "{failure:?}");
    }
}

#[test]
fn everything_is_dropped_at_the_end_of_a_run() {
    struct Counted(Arc<()>);
    let alive = Arc::new(());
    for _ in 0..10 {
        let counted = alive.clone();
        simulate(1, |sim| {
            for name in ["a", "b"] {
                let counted = Counted(counted.clone());
                let counted = Rc::new(counted);
                sim.node(name, move || {
                    let counted = counted.clone();
                    async move {
                        sim::node_local! { static KEPT: RefCell<Vec<Rc<Counted>>> = RefCell::new(Vec::new()); }
                        KEPT.with(|kept| kept.borrow_mut().push(counted.clone()));
                        // A cycle through a spawned task and its handle, a channel with a message in it, a leaked loop.
                        let (send, mut receive) = sim::sync::mpsc::unbounded_channel();
                        let _ = send.send(counted.clone());
                        let inner = counted.clone();
                        let handle = task::spawn(async move {
                            let _keep = (inner, send);
                            std::future::pending::<()>().await;
                        });
                        time::sleep(ms(1)).await;
                        let _ = receive.try_recv();
                        let _ = (handle.await, &counted.0);
                    }
                });
            }
            sim.run_for(ms(5));
        })
        .unwrap();
    }
    assert_eq!(Arc::strong_count(&alive), 1);
}

/// The order in which ten tasks that became ready at the same moment ran.
fn order(seed: u64, policy: Policy) -> Vec<String> {
    let notes = Notes::default();
    simulate(seed, |sim: &Sim| {
        sim.schedule(policy, CpuModel::default());
        let log = notes.clone();
        sim.node("a", move || {
            let log = log.clone();
            async move {
                for i in 0..10 {
                    let log = log.clone();
                    task::spawn(async move {
                        time::sleep_until(time::now() + ms(1)).await;
                        log.add(format!("{i}"));
                    });
                }
            }
        });
        sim.run_for(ms(10));
    })
    .unwrap();
    notes.all()
}

#[test]
fn two_policies_reach_measurably_different_orders() {
    let in_order: Vec<String> = (0..10).map(|i| i.to_string()).collect();
    for seed in 0..20 {
        assert_eq!(order(seed, Policy::Fifo), in_order);
    }
    let orders: std::collections::BTreeSet<_> = (0..20).map(|seed| order(seed, Policy::Random)).collect();
    assert!(orders.len() >= 18, "only {} different orders of 20", orders.len());
    assert_eq!(order(7, Policy::Random), order(7, Policy::Random));
}

#[test]
fn a_poll_takes_cpu_time_and_the_tasks_of_a_node_queue_for_it() {
    let elapsed = |poll: u64| {
        simulate(1, |sim| {
            sim.schedule(Policy::Random, CpuModel { poll: Duration::from_micros(poll), wake_jitter: Duration::ZERO });
            sim.node("a", || async {
                for _ in 0..9 {
                    task::spawn(async {});
                }
            });
            sim.run_until_idle();
            sim.now_ns()
        })
        .unwrap()
        .value
    };
    // Ten polls in all; the last begins when nine are over.
    assert_eq!(elapsed(10), 90_000);
    assert_eq!(elapsed(0), 0);
}

#[test]
fn a_paused_node_does_not_run_and_catches_up_when_resumed() {
    use sim::fault::Fault;
    let ticks = simulate(1, |sim| {
        let ticks = Rc::new(Cell::new(0));
        let count = ticks.clone();
        let node = sim.node("a", move || {
            let count = count.clone();
            async move {
                let mut tick = time::interval(ms(10));
                loop {
                    tick.tick().await;
                    count.set(count.get() + 1);
                }
            }
        });
        sim.run_for(ms(105));
        let before = ticks.get();
        let outer = sim.inject(Fault::Pause(vec![node]));
        let inner = sim.inject(Fault::Pause(vec![node]));
        sim.run_for(ms(100));
        drop(inner);
        sim.run_for(ms(100));
        let during = ticks.get();
        drop(outer);
        sim.run_for(ms(1));
        (before, during, ticks.get())
    });
    assert_eq!(ticks.unwrap().value, (11, 11, 31));
}

#[test]
fn the_digest_is_the_same_with_and_without_a_recorder_and_in_any_company() {
    let world = |seed: u64, record: bool| {
        simulate(seed, move |sim| {
            if record {
                sim.record(sim::trace::record::Recorder::new(Box::new(|_| {})));
            }
            for me in 0..3u16 {
                sim.node(&format!("n{me}"), move || async move {
                    let socket = UdpSocket::bind(1).unwrap();
                    loop {
                        // std's HashMap order reaches behaviour here: it comes from the seed.
                        let peers: HashMap<u16, ()> = (0..3).map(|peer| (peer, ())).collect();
                        for peer in peers.keys().filter(|&&peer| peer != me) {
                            socket.send_to(vec![me as u8; 9], sim::NodeId::new(*peer).port(1));
                        }
                        time::sleep(ms(sim::rand::between(1, 9))).await;
                        while socket.try_recv_from().is_some() {}
                    }
                });
            }
            sim.run_for(ms(300));
        })
        .unwrap()
        .digest
    };
    let alone = world(1, false);
    assert_eq!(alone, world(1, true));
    assert_ne!(alone, world(2, false));
    let company: Vec<_> = (0..8).map(|i| std::thread::spawn(move || world(i % 2, i % 3 == 0))).collect();
    for (i, thread) in company.into_iter().enumerate() {
        let digest = thread.join().unwrap();
        assert_eq!(digest == alone, i % 2 == 1);
    }
}

#[test]
fn a_task_can_be_aborted_by_another_and_by_itself() {
    let run = simulate(1, |sim| {
        sim.node("a", || async {
            let dropped = Rc::new(Cell::new(0));
            let count = dropped.clone();
            let handle = task::spawn(async move {
                let _guard = OnDrop(|| count.set(count.get() + 1));
                std::future::pending::<()>().await;
            });
            time::sleep(ms(1)).await;
            handle.abort();
            assert_eq!(handle.await, Err(task::JoinError::Ended));
            assert_eq!(dropped.get(), 1);

            let own: Rc<RefCell<Option<task::JoinHandle<()>>>> = Rc::default();
            let (mine, count) = (own.clone(), dropped.clone());
            *own.borrow_mut() = Some(task::spawn(async move {
                let _guard = OnDrop(|| count.set(count.get() + 1));
                time::sleep(ms(1)).await;
                if let Some(handle) = mine.borrow().as_ref() {
                    handle.abort();
                }
                time::sleep(ms(1)).await;
                panic!("still running");
            }));
            time::sleep(ms(10)).await;
            assert_eq!(dropped.get(), 2);
        });
        sim.run_for(ms(100));
    });
    assert_eq!(run.unwrap().failures, []);
}
