//! Every fault of a disk bites: something that the node sees changes while it is in force, and is as before when it is undone.
//! What is damaged stays so until it is written again.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use sim::fault::Fault;
use sim::fs::{self, DiskConfig, DiskPatch, OpenOptions};
use sim::{Capacity, Iops, Latency, NodeId, Rate, Sim, Size, Time, simulate, time};

type Resolved = Fault<Vec<NodeId>>;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn a() -> Vec<NodeId> {
    vec![NodeId::new(0)]
}

/// What a node's operations came to: test scaffolding, outside of the world.
#[derive(Default)]
struct Seen {
    /// What it was, how long it took, and the error's number if there was one.
    operations: Vec<(&'static str, Duration, Option<i32>)>,
    /// How often something was read that is not what was written.
    wrong: u64,
    /// Whether what is found wrong is written again.
    repairs: bool,
}

const SECTOR: usize = 512;

fn kept() -> Vec<u8> {
    (0..16 * SECTOR).map(|i| (i / SECTOR * 7 + i % 251) as u8).collect()
}

/// Runs an operation and notes what came of it.
async fn noted<T>(
    seen: &RefCell<Seen>,
    what: &'static str,
    run: impl Future<Output = std::io::Result<T>>,
) -> Option<T> {
    let begun = time::now();
    let result = run.await;
    let error = result.as_ref().err().map(|error| error.raw_os_error().expect("an error of the system"));
    seen.borrow_mut().operations.push((what, begun.elapsed(), error));
    result.ok()
}

async fn run_node(seen: Rc<RefCell<Seen>>) {
    let files = OpenOptions::new().read(true).write(true).create(true);
    let (table, log, old) =
        (files.open("table").await.unwrap(), files.open("log").await.unwrap(), files.open("kept").await.unwrap());
    old.write_all_at(&kept(), 0).await.unwrap();
    old.sync_all().await.unwrap();
    fs::sync_dir("").await.unwrap();
    let mut tick = time::interval(ms(10));
    for round in 0u64.. {
        let round = round as u8;
        tick.tick().await;
        let now = vec![round; 8 * SECTOR];
        let written = noted(&seen, "write", table.write_all_at(&now, 0)).await;
        let synced = noted(&seen, "sync", table.sync_all()).await;
        let _ = noted(&seen, "append", log.append(&[round; 64])).await;
        let mut found = vec![0; now.len()];
        if noted(&seen, "read", table.read_exact_at(&mut found, 0)).await.is_some() {
            seen.borrow_mut().wrong += u64::from((written, synced) == (Some(()), Some(())) && found != now);
        }
        let mut found = vec![0; kept().len()];
        let read = noted(&seen, "read", old.read_exact_at(&mut found, 0)).await;
        let wrong = read.is_some() && found != kept();
        seen.borrow_mut().wrong += u64::from(wrong);
        let repairs = seen.borrow().repairs;
        if repairs && (wrong || read.is_none()) {
            let _ = noted(&seen, "write", old.write_all_at(&kept(), 0)).await;
            let _ = noted(&seen, "sync", old.sync_all()).await;
        }
    }
}

struct World<'a> {
    sim: &'a Sim,
    seen: [Rc<RefCell<Seen>>; 2],
}

impl World<'_> {
    fn new(sim: &Sim) -> World<'_> {
        let seen: [Rc<RefCell<Seen>>; 2] = Default::default();
        for (name, seen) in ["a", "b"].iter().zip(&seen) {
            let seen = seen.clone();
            sim.node(name, move || run_node(seen.clone()));
        }
        World { sim, seen }
    }

    /// What 300 ms look like to node a, after what was under way has settled. Node b has no part in any fault.
    fn window(&self, look: fn(&Seen) -> String) -> String {
        self.sim.run_for(ms(200));
        self.seen.iter().for_each(|seen| {
            seen.borrow_mut().operations.clear();
            seen.borrow_mut().wrong = 0;
        });
        self.sim.run_for(ms(300));
        let b = self.seen[1].borrow();
        assert_eq!((b.wrong, errors(&b).as_str(), speed(&b).as_str()), (0, "", "all fast"));
        look(&self.seen[0].borrow())
    }
}

/// Which operations failed, and how.
fn errors(seen: &Seen) -> String {
    let name = |errno: i32| match errno {
        libc::EIO => "EIO",
        libc::ENOSPC => "ENOSPC",
        other => panic!("errno {other}"),
    };
    let all: BTreeSet<String> = seen
        .operations
        .iter()
        .filter_map(|(what, _, error)| error.map(|error| format!("{what} {}", name(error))))
        .collect();
    all.into_iter().collect::<Vec<_>>().join(", ")
}

/// Which operations took long.
fn speed(seen: &Seen) -> String {
    let slow: BTreeSet<&str> =
        seen.operations.iter().filter(|(_, took, _)| *took > ms(25)).map(|(what, ..)| *what).collect();
    match (seen.operations.len(), slow.len()) {
        (0, _) => "nothing".to_owned(),
        (_, 0) => "all fast".to_owned(),
        _ => format!("slow {}", slow.into_iter().collect::<Vec<_>>().join(" ")),
    }
}

/// Whether all that was read is what was written.
fn contents(seen: &Seen) -> String {
    assert!(seen.operations.iter().any(|(what, _, error)| *what == "read" && error.is_none()));
    if seen.wrong > 0 { "wrong".to_owned() } else { "right".to_owned() }
}

// ---- the table ---------------------------------------------------------------------------------------------------

/// The fault, what counts its effect, what shows it, and what that shows without it, with it, and when it is undone.
type Row = (Resolved, &'static str, fn(&Seen) -> String, [&'static str; 3]);

fn disk(set: DiskPatch) -> Resolved {
    Fault::Disk { nodes: a(), set: Box::new(set) }
}

fn table() -> Vec<Row> {
    let patch = DiskPatch::default();
    let slow = Some(Latency::Constant(Time::new(ms(30))));
    let once = |what: &'static str| ["all fast", what, "all fast"];
    vec![
        (disk(DiskPatch { read: slow, ..patch }), "", speed, once("slow read")),
        (disk(DiskPatch { write: slow, ..patch }), "", speed, once("slow append write")),
        (disk(DiskPatch { sync: slow, ..patch }), "", speed, once("slow sync")),
        (disk(DiskPatch { iops: Some(Iops::per_second(20)), ..patch }), "disk.queued", speed, once("slow read sync")),
        (
            disk(DiskPatch { bandwidth: Some(Rate::from_bytes_per_second(100_000)), ..patch }),
            "",
            speed,
            once("slow read sync"),
        ),
        (
            disk(DiskPatch { capacity: Some(Capacity::from_bytes(512)), ..patch }),
            "disk.full",
            errors,
            ["", "append ENOSPC", ""],
        ),
        (disk(DiskPatch { read_error: Some(0.5), ..patch }), "disk.read_errors", errors, ["", "read EIO", ""]),
        (
            disk(DiskPatch { write_error: Some(0.5), ..patch }),
            "disk.write_errors",
            errors,
            ["", "append EIO, write EIO", ""],
        ),
        (disk(DiskPatch { sync_error: Some(0.5), ..patch }), "disk.sync_errors", errors, ["", "sync EIO", ""]),
        (
            disk(DiskPatch { corrupt_read: Some(0.5), ..patch }),
            "disk.corrupt_reads",
            contents,
            ["right", "wrong", "right"],
        ),
        (disk(DiskPatch { misdirect: Some(0.5), ..patch }), "disk.misdirected", contents, ["right", "wrong", "right"]),
        (Fault::DiskStall(a()), "disk.stalled", speed, once("nothing")),
        (Fault::DiskFull { nodes: a(), free: Size::default() }, "disk.full", errors, ["", "append ENOSPC", ""]),
    ]
}

#[test]
fn every_fault_of_a_disk_has_its_effect_while_it_is_in_force_and_none_before_and_after() {
    for (fault, counted, look, expected) in table() {
        let run = simulate(1, |sim| {
            let world = World::new(sim);
            world.seen[0].borrow_mut().repairs = true;
            let count = || if counted.is_empty() { 0 } else { sim.effect(counted) };
            let without = world.window(look);
            assert_eq!(count(), 0, "{fault:?}");
            let injected = sim.inject(fault.clone());
            let with = world.window(look);
            assert!(counted.is_empty() || count() > 0, "{fault:?}: no {counted}");
            drop(injected);
            sim.run_for(ms(100));
            let counts = count();
            let after = world.window(look);
            assert_eq!(count(), counts, "{fault:?}: {counted} after it was undone");
            [without, with, after]
        })
        .unwrap();
        assert_eq!(run.failures, [], "{fault:?}");
        assert_eq!(run.value, expected, "{fault:?}");
    }
}

#[test]
fn the_table_has_every_property_of_a_disk() {
    let patched: BTreeSet<String> = table()
        .into_iter()
        .filter_map(|(fault, ..)| match fault {
            Fault::Disk { set, .. } => Some(toml::Table::try_from(set).unwrap().keys().next().unwrap().clone()),
            _ => None,
        })
        // `a_disk_that_lies_loses_what_it_said_was_durable`, `after_a_failed_sync_the_data_is_gone_though_the_next_one_succeeds`,
        // and `units`.
        .chain(["lying_sync", "failed_sync", "lengths", "atomic"].map(str::to_owned))
        .collect();
    let all = toml::Table::try_from(DiskConfig::default()).unwrap();
    assert_eq!(patched, all.keys().cloned().collect());
}

// ---- lies --------------------------------------------------------------------------------------------------------

/// What a node that writes 1, syncs, and writes 2 and syncs finds after a power failure; in between, what `lies` says.
fn found_after_power_failure(seed: u64, lies: bool, honest_again: bool) -> String {
    let run = simulate(seed, |sim| {
        let found = Rc::new(RefCell::new(String::new()));
        let log = found.clone();
        let node = sim.node("a", move || {
            let log = log.clone();
            async move {
                if let Ok(bytes) = fs::read("x").await {
                    *log.borrow_mut() = String::from_utf8_lossy(&bytes).into_owned();
                    return;
                }
                let file = fs::File::create("x").await.unwrap();
                file.write_all_at(b"1", 0).await.unwrap();
                file.sync_all().await.unwrap();
                fs::sync_dir("").await.unwrap();
                time::sleep_until(time::Instant::now() + ms(100)).await;
                file.write_all_at(b"2", 0).await.unwrap();
                file.sync_all().await.unwrap();
                time::sleep(ms(100)).await;
                if honest_again {
                    file.sync_all().await.unwrap();
                }
                std::future::pending().await
            }
        });
        sim.run_for(ms(50));
        let lie = lies.then(|| sim.inject(disk(DiskPatch { lying_sync: Some(true), ..DiskPatch::default() })));
        sim.run_for(ms(100));
        drop(lie);
        sim.run_for(ms(200));
        assert_eq!(sim.effect("disk.lies"), u64::from(lies));
        sim.crash(node);
        sim.boot(node);
        sim.run_for(ms(100));
        found.take()
    });
    run.unwrap().value
}

#[test]
fn a_disk_that_lies_loses_what_it_said_was_durable() {
    let all = |lies, again| (0..40).map(|seed| found_after_power_failure(seed, lies, again)).collect::<BTreeSet<_>>();
    let only = |text: &str| BTreeSet::from([text.to_owned()]);
    assert_eq!(all(false, false), only("2"));
    assert!(all(true, false).contains("1"), "lost in some runs");
    assert_eq!(all(true, true), only("2"), "a later honest sync makes up for it");
}

// ---- damage at rest ----------------------------------------------------------------------------------------------

#[test]
fn rot_is_read_until_the_sector_is_written_again() {
    for seed in 0..20 {
        simulate(seed, |sim| {
            let world = World::new(sim);
            assert_eq!(world.window(contents), "right");
            let rot = Fault::BitRot { nodes: a(), sectors: 3, files: "k*".to_owned() };
            drop(sim.inject(rot));
            assert_eq!(sim.effect("disk.rotten"), 3);
            assert_eq!(world.window(contents), "wrong");
            assert_eq!(world.window(contents), "wrong", "for good");
            world.seen[0].borrow_mut().repairs = true;
            world.window(contents);
            assert_eq!(world.window(contents), "right");
        })
        .unwrap();
    }
}

#[test]
fn a_bad_sector_cannot_be_read_until_it_is_written_again() {
    simulate(1, |sim| {
        let world = World::new(sim);
        assert_eq!(world.window(errors), "");
        let bad = Fault::BadSectors { nodes: a(), sectors: 1, files: "kept".to_owned() };
        drop(sim.inject(bad));
        assert_eq!(sim.effect("disk.bad_sectors"), 1);
        assert_eq!(world.window(errors), "read EIO");
        assert!(sim.effect("disk.bad_reads") > 10);
        assert_eq!(world.window(errors), "read EIO", "for good");
        world.seen[0].borrow_mut().repairs = true;
        world.window(errors);
        assert_eq!(world.window(errors), "");
    })
    .unwrap();
}

/// The sectors of `kept` that are wrong on a disk, by the crash image.
fn wrong_sectors(node: NodeId) -> Vec<usize> {
    let image = fs::crash_image(node, fs::Loss::Everything);
    let found = image.read("kept").unwrap();
    assert_eq!(found.len(), kept().len());
    found.chunks(SECTOR).zip(kept().chunks(SECTOR)).enumerate().filter(|(_, (a, b))| a != b).map(|(i, _)| i).collect()
}

#[test]
fn rot_hits_so_many_different_sectors_by_one_bit_each_and_others_with_another_seed() {
    let mut all = BTreeSet::new();
    for seed in 0..60 {
        let run = simulate(seed, |sim| {
            let world = World::new(sim);
            sim.run_for(ms(100));
            drop(sim.inject(Fault::BitRot { nodes: a(), sectors: 2, files: "kept".to_owned() }));
            let image = fs::crash_image(NodeId::new(0), fs::Loss::Everything);
            let bits: u32 = image.read("kept").unwrap().iter().zip(kept()).map(|(a, b)| (a ^ b).count_ones()).sum();
            assert_eq!(bits, 2);
            assert_eq!(wrong_sectors(NodeId::new(1)), Vec::<usize>::new());
            drop(world);
            wrong_sectors(NodeId::new(0))
        });
        let hit = run.unwrap().value;
        assert_eq!(hit.len(), 2);
        all.extend(hit);
    }
    assert_eq!(all, (0..16).collect());
    // All there is, if more is asked for.
    simulate(1, |sim| {
        let _world = World::new(sim);
        sim.run_for(ms(100));
        drop(sim.inject(Fault::BitRot { nodes: a(), sectors: 99, files: "kept".to_owned() }));
        assert_eq!(wrong_sectors(NodeId::new(0)), (0..16).collect::<Vec<_>>());
        assert_eq!(sim.effect("disk.rotten"), 16);
        drop(sim.inject(Fault::BitRot { nodes: a(), sectors: 1, files: "no/such".to_owned() }));
        assert_eq!(sim.effect("disk.rotten"), 16);
    })
    .unwrap();
}

// ---- sectors that go astray --------------------------------------------------------------------------------------

/// A durable file of sectors of 1s, of which the first is written with `new` while all that is synced goes astray. What is
/// durable then, and which sectors count as damaged.
fn after_going_astray(seed: u64, sectors: usize, new: u8) -> (Vec<u8>, Vec<bool>) {
    let run = simulate(seed, |sim| {
        sim.node("a", move || async move {
            let file = fs::File::create("f").await.unwrap();
            file.write_all_at(&vec![1; sectors * SECTOR], 0).await.unwrap();
            file.sync_all().await.unwrap();
            fs::sync_dir("").await.unwrap();
            time::sleep_until(time::Instant::now() + ms(100)).await;
            file.write_all_at(&[new; SECTOR], 0).await.unwrap();
            file.sync_all().await.unwrap();
        });
        sim.run_for(ms(50));
        let astray = sim.inject(disk(DiskPatch { misdirect: Some(1.0), ..DiskPatch::default() }));
        sim.run_for(ms(100));
        drop(astray);
        assert_eq!(sim.effect("disk.misdirected"), 1);
        let node = NodeId::new(0);
        let bytes = fs::durable_bytes(node, "f", 0, (sectors * SECTOR) as u64).unwrap();
        let is_damaged = |i: usize| fs::damaged(node, "f", (i * SECTOR) as u64, ((i + 1) * SECTOR) as u64);
        (bytes.chunks(SECTOR).map(|sector| sector[0]).collect(), (0..sectors).map(is_damaged).collect())
    });
    run.unwrap().value
}

#[test]
fn a_sector_that_goes_astray_lands_in_any_place_but_its_own() {
    let mut hit = BTreeSet::new();
    for seed in 0..100 {
        let (found, damaged) = after_going_astray(seed, 4, 2);
        let at = found.iter().position(|&byte| byte == 2).expect("it landed somewhere");
        hit.insert(at);
        assert_eq!(found.iter().filter(|&&byte| byte == 1).count(), 3);
        assert_eq!(damaged, (0..4).map(|i| i == 0 || i == at).collect::<Vec<_>>());
    }
    assert_eq!(hit, BTreeSet::from([1, 2, 3]));
    // Where there is no other place, it is nowhere.
    assert_eq!(after_going_astray(1, 1, 2), (vec![1], vec![true]));
}

#[test]
fn what_lands_on_the_same_bytes_has_damaged_nothing() {
    for seed in 0..20 {
        assert_eq!(after_going_astray(seed, 4, 1), (vec![1; 4], vec![false; 4]));
    }
}

// ---- several at once -----------------------------------------------------------------------------------------------

#[test]
fn a_crash_in_the_middle_of_a_stall_leaves_a_disk_that_works() {
    simulate(1, |sim| {
        let world = World::new(sim);
        sim.run_for(ms(100));
        let stall = sim.inject(Fault::DiskStall(a()));
        sim.run_for(ms(100));
        sim.crash(NodeId::new(0));
        drop(stall);
        sim.boot(NodeId::new(0));
        assert_eq!(world.window(speed), "all fast");
    })
    .unwrap();
}

#[test]
fn patches_stack_and_come_off_in_any_order() {
    simulate(1, |sim| {
        let world = World::new(sim);
        let slow = Some(Latency::Constant(Time::new(ms(30))));
        let first = sim.inject(disk(DiskPatch { sync: slow, ..DiskPatch::default() }));
        let second = sim.inject(disk(DiskPatch { read: slow, ..DiskPatch::default() }));
        assert_eq!(world.window(speed), "slow read sync");
        drop(first);
        assert_eq!(world.window(speed), "slow read");
        let third =
            sim.inject(disk(DiskPatch { read: Some(Latency::Constant(Time::default())), ..DiskPatch::default() }));
        assert_eq!(world.window(speed), "all fast");
        drop(second);
        drop(third);
        assert_eq!(world.window(speed), "all fast");

        let full = |free| Fault::DiskFull { nodes: a(), free: Size::from_bytes(free) };
        let (none, some) = (sim.inject(full(0)), sim.inject(full(1 << 20)));
        assert_eq!(world.window(errors), "append ENOSPC");
        drop(none);
        assert_eq!(world.window(errors), "");
        drop(some);
    })
    .unwrap();
}
