//! How long operations of a disk take: limits, stalls and latencies.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sim::fault::Fault;
use sim::fs::{DiskConfig, DiskPatch, OpenOptions};
use sim::{Iops, Latency, NodeId, Rate, Sim, Time, simulate, time};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn a() -> Vec<NodeId> {
    vec![NodeId::new(0)]
}

fn disk(set: DiskPatch) -> Fault<Vec<NodeId>> {
    Fault::Disk { nodes: a(), set: Box::new(set) }
}

/// When each of so many readers of one disk, which all begin at once, is through, in milliseconds.
fn readers(n: u64, config: DiskConfig, meanwhile: impl FnOnce(&Sim) + Send) -> Vec<u64> {
    let config = DiskConfig { read: Latency::Constant(Time::new(ms(1))), ..config };
    let run = simulate(3, |sim| {
        sim.disks(config);
        let done: Rc<RefCell<Vec<u64>>> = Rc::default();
        let log = done.clone();
        sim.node("a", move || {
            let log = log.clone();
            async move {
                let file = OpenOptions::new().read(true).write(true).create(true).open("x").await.unwrap();
                file.write_all_at(&[7; 1000], 0).await.unwrap();
                for _ in 0..n {
                    let (file, log) = (file.clone(), log.clone());
                    sim::task::spawn(async move {
                        file.read_exact_at(&mut [0; 1000], 0).await.unwrap();
                        log.borrow_mut().push(time::now().as_nanos() / 1_000_000);
                    });
                }
                std::future::pending().await
            }
        });
        meanwhile(sim);
        sim.run_for(ms(60_000));
        done.take()
    });
    run.unwrap().value
}

#[test]
fn operations_wait_for_those_before_them_if_there_is_a_limit() {
    let plain = DiskConfig::default();
    assert_eq!(readers(5, plain, |_| ()), [1, 1, 1, 1, 1]);
    assert_eq!(readers(5, DiskConfig { iops: Iops::per_second(100), ..plain }, |_| ()), [1, 11, 21, 31, 41]);
    let bandwidth = Rate::from_bytes_per_second(100_000);
    assert_eq!(readers(5, DiskConfig { bandwidth, ..plain }, |_| ()), [11, 21, 31, 41, 51]);
}

#[test]
fn a_large_buffer_reads_no_more_than_there_is() {
    let took = simulate(1, |sim| {
        let read = Latency::Constant(Time::new(ms(1)));
        sim.disks(DiskConfig { bandwidth: Rate::from_bytes_per_second(100_000), read, ..DiskConfig::default() });
        let took: Rc<RefCell<Vec<u64>>> = Rc::default();
        let log = took.clone();
        sim.node("a", move || {
            let log = log.clone();
            async move {
                let file = OpenOptions::new().read(true).write(true).create(true).open("x").await.unwrap();
                file.write_all_at(&[7; 1000], 0).await.unwrap();
                for offset in [0, 500, 1_000, u64::MAX] {
                    let begun = time::now();
                    file.read_at(&mut vec![0; 1 << 20], offset).await.unwrap();
                    log.borrow_mut().push(begun.elapsed().as_millis() as u64);
                }
            }
        });
        sim.run_for(ms(60_000));
        took.take()
    });
    assert_eq!(took.unwrap().value, [11, 6, 1, 1]);
}

#[test]
fn what_waits_goes_at_the_new_pace_when_a_limit_changes() {
    let slow = DiskConfig { iops: Iops::per_second(1), ..DiskConfig::default() };
    let faster = |sim: &Sim| {
        sim.run_for(ms(1_500));
        let patched = sim.inject(disk(DiskPatch { iops: Some(Iops::per_second(10)), ..DiskPatch::default() }));
        std::mem::forget(patched);
    };
    // Two are through; the third was to come in half a second, and comes in fifty milliseconds.
    assert_eq!(readers(5, slow, faster), [1, 1_001, 1_551, 1_651, 1_751]);
    let free = |sim: &Sim| {
        sim.run_for(ms(1_500));
        let patched = sim.inject(disk(DiskPatch { iops: Some(Iops::UNLIMITED), ..DiskPatch::default() }));
        std::mem::forget(patched);
    };
    assert_eq!(readers(4, slow, free), [1, 1_001, 1_501, 1_501]);
}

#[test]
fn bytes_that_are_passing_go_at_the_new_pace_when_the_bandwidth_changes() {
    // A thousand bytes a second: one read each.
    let slow = DiskConfig { bandwidth: Rate::from_bytes_per_second(1_000), ..DiskConfig::default() };
    let becomes = |bandwidth: Rate| {
        move |sim: &Sim| {
            sim.run_for(ms(1_500));
            std::mem::forget(sim.inject(disk(DiskPatch { bandwidth: Some(bandwidth), ..DiskPatch::default() })));
        }
    };
    assert_eq!(readers(4, slow, |_| ()), [1_001, 2_001, 3_001, 4_001]);
    // The second is halfway.
    assert_eq!(readers(4, slow, becomes(Rate::from_bytes_per_second(10_000))), [1_001, 1_551, 1_651, 1_751]);
    assert_eq!(readers(4, slow, becomes(Rate::UNLIMITED)), [1_001, 1_501, 1_501, 1_501]);
    // What was promised to those who wait is kept when it gets slower.
    assert_eq!(readers(3, slow, becomes(Rate::from_bytes_per_second(1))), [1_001, 2_001, 3_001]);
}

#[test]
fn a_heal_ends_what_a_slow_disk_would_have_gone_on_with_for_hours() {
    let healed = |sim: &Sim| {
        let patch = DiskPatch { bandwidth: Some(Rate::from_bytes_per_second(1)), ..DiskPatch::default() };
        let slow = sim.inject(disk(patch));
        sim.run_for(ms(2_000));
        drop(slow);
    };
    assert_eq!(readers(2, DiskConfig::default(), healed), [2_001, 2_001]);
}

#[test]
fn stalls_hold_what_is_under_way_and_end_one_by_one() {
    let stalled = |sim: &Sim| {
        sim.run_for(Duration::from_micros(500));
        let (first, second) = (sim.inject(Fault::DiskStall(a())), sim.inject(Fault::DiskStall(a())));
        sim.run_for(ms(500));
        drop(first);
        sim.run_for(ms(500));
        assert_eq!(sim.effect("disk.stalled"), 3);
        drop(second);
    };
    assert_eq!(readers(3, DiskConfig::default(), stalled), [1_000, 1_000, 1_000]);
}

#[test]
fn switching_one_thing_on_leaves_the_latencies_as_they_were() {
    let latencies = |config: DiskConfig| {
        let run = simulate(5, |sim| {
            sim.disks(config);
            let took: Rc<RefCell<Vec<Duration>>> = Rc::default();
            let log = took.clone();
            sim.node("a", move || {
                let log = log.clone();
                async move {
                    let file = OpenOptions::new().read(true).write(true).create(true).open("x").await.unwrap();
                    for _ in 0..200 {
                        let _ = file.write_at(&[1; 100], 0).await;
                        let begun = time::now();
                        let _ = file.read_at(&mut [0; 100], 0).await;
                        let _ = file.sync_all().await;
                        log.borrow_mut().push(begun.elapsed());
                    }
                }
            });
            sim.run_for(ms(2_000));
            let errors = ["disk.read_errors", "disk.write_errors", "disk.sync_errors", "disk.corrupt_reads"];
            (took.take(), errors.map(|name| sim.effect(name)))
        });
        run.unwrap().value
    };
    let plain = DiskConfig { read: Latency::Uniform(Time::new(ms(1)), Time::new(ms(2))), ..DiskConfig::default() };
    let (calm, none) = latencies(plain);
    assert_eq!((calm.len(), none), (200, [0; 4]));
    let betrayed =
        DiskConfig { read_error: 0.3, write_error: 0.3, sync_error: 0.3, corrupt_read: 0.3, misdirect: 0.1, ..plain };
    let (with, counts) = latencies(betrayed);
    assert!(counts.iter().all(|count| (20..100).contains(count)), "{counts:?}");
    // The scheduler's own jitter is keyed by wakes, which are as many.
    let differ = calm.iter().zip(&with).filter(|(a, b)| a.abs_diff(**b) > Duration::from_micros(60)).count();
    assert_eq!((with.len(), differ), (200, 0));
}
