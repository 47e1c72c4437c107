//! Snapshot files: whole or not there, whatever happens to the machine.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sim::fault::Fault;
use sim::fs::{self, DiskConfig, OpenOptions};
use sim::{rand, simulate, time};
use systems::storage::StorageError;
use systems::storage::snapshot::{self, Snapshot, Snapshots};

/// The state after record `index`: some hundred thousand bytes at the most.
fn state(index: u64) -> Vec<u8> {
    let len = index * 7919 % 100_000;
    (0..len).map(|at| (at * index / 7) as u8).collect()
}

async fn save(snapshots: &Snapshots, index: u64) -> Result<(), StorageError> {
    let mut writer = snapshots.create(index).await?;
    for piece in state(index).chunks(3000) {
        writer.write(piece).await?;
    }
    writer.commit().await
}

async fn load(mut snapshot: Snapshot) -> Result<Vec<u8>, StorageError> {
    let mut bytes = Vec::new();
    while let Some(piece) = snapshot.read().await? {
        bytes.extend_from_slice(&piece);
    }
    assert_eq!(bytes.len() as u64, snapshot.len());
    Ok(bytes)
}

fn path(index: u64) -> String {
    format!("snapshots/snapshot-{index:016x}")
}

fn one_life(code: impl AsyncFn() + Send + 'static) {
    let run = simulate(1, |sim| {
        let done = Rc::new(RefCell::new(false));
        let log = done.clone();
        let code = Rc::new(code);
        sim.node("a", move || {
            let (log, code) = (log.clone(), code.clone());
            async move {
                code().await;
                *log.borrow_mut() = true;
            }
        });
        sim.run_for(Duration::from_secs(10));
        done.take()
    })
    .unwrap();
    assert_eq!((run.failures, run.value), (vec![], true));
}

#[test]
fn the_newest_is_read_and_the_one_before_is_kept() {
    one_life(async || {
        let snapshots = Snapshots::open("snapshots").await.unwrap();
        assert!(snapshots.latest().await.unwrap().0.is_none());
        for index in [10, 20, 30, 40] {
            save(&snapshots, index).await.unwrap();
        }
        assert_eq!(snapshots.list().await.unwrap(), [30, 40]);
        let (latest, skipped) = snapshots.latest().await.unwrap();
        let latest = latest.unwrap();
        assert_eq!((latest.index(), latest.path(), skipped.len()), (40, &*path(40), 0));
        assert_eq!(load(latest).await.unwrap(), state(40));
        let (index, bytes) = snapshot::decode(&fs::read(&path(30)).await.unwrap()).unwrap();
        assert!(index == 30 && bytes == state(30));
        // One that was begun and dropped was never there.
        let mut writer = snapshots.create(50).await.unwrap();
        writer.write(&[1; 100_000]).await.unwrap();
        drop(writer);
        assert_eq!(snapshots.list().await.unwrap(), [30, 40]);
        let snapshots = Snapshots::open("snapshots").await.unwrap();
        assert_eq!(fs::read_dir("snapshots").await.unwrap().len(), 2);
        assert_eq!(snapshots.latest().await.unwrap().0.unwrap().index(), 40);
    });
}

#[test]
fn one_that_is_damaged_anywhere_is_skipped_with_a_reason() {
    one_life(async || {
        let snapshots = Snapshots::open("snapshots").await.unwrap();
        save(&snapshots, 1).await.unwrap();
        save(&snapshots, 11).await.unwrap();
        let whole = fs::read(&path(11)).await.unwrap();
        assert!(whole.len() > 80_000);
        for at in (0..whole.len()).step_by(3001).chain([0, 8, 12, 16, whole.len() - 1]) {
            let file = OpenOptions::new().write(true).open(&path(11)).await.unwrap();
            file.write_all_at(&[whole[at] ^ 16], at as u64).await.unwrap();
            let (latest, skipped) = snapshots.latest().await.unwrap();
            assert_eq!((latest.unwrap().index(), skipped.len(), skipped[0].index), (1, 1, 11), "byte {at}");
            assert!(matches!(&skipped[0].why, StorageError::Corrupt { .. }));
            assert!(snapshot::decode(&fs::read(&path(11)).await.unwrap()).is_err());
            file.write_all_at(&whole[at..=at], at as u64).await.unwrap();
        }
        for len in [0, 5, 8, 20, whole.len() - 16, whole.len() - 1] {
            assert!(snapshot::decode(&whole[..len]).is_err(), "{len} bytes");
        }
        // One snapshot under the name of another.
        fs::rename(&path(11), &path(12)).await.unwrap();
        assert_eq!(snapshots.latest().await.unwrap().0.unwrap().index(), 1);
    });
}

#[test]
fn values_and_bytes_are_read_as_they_were_written() {
    one_life(async || {
        let snapshots = Snapshots::open("snapshots").await.unwrap();
        let mut writer = snapshots.create(1).await.unwrap();
        let pairs: Vec<(u64, String)> = (0..5_000).map(|n| (n, "x".repeat(n as usize % 50))).collect();
        for pair in &pairs {
            writer.put(pair).await.unwrap();
        }
        let len = writer.len();
        writer.write(&state(13)).await.unwrap();
        writer.commit().await.unwrap();
        let mut snapshot = snapshots.open_verified(1).await.unwrap();
        for pair in &pairs {
            assert_eq!(snapshot.get::<(u64, String)>().await.unwrap(), *pair);
        }
        assert_eq!((snapshot.position(), snapshot.len()), (len, len + state(13).len() as u64));
        assert_eq!(snapshot.read_exact(state(13).len()).await.unwrap(), state(13));
        assert!(matches!(snapshot.get::<u64>().await, Err(StorageError::Corrupt { .. })), "there is nothing more");
        snapshot.seek(0).await.unwrap();
        let other = snapshot.get::<(u64, u64, u64)>().await;
        assert!(matches!(other, Err(StorageError::Corrupt { .. })), "the value is of another type");
    });
}

/// A leader reads pieces of its snapshot in any order, and never a damaged one.
#[test]
fn any_part_is_found_by_its_offset() {
    one_life(async || {
        let snapshots = Snapshots::open("snapshots").await.unwrap();
        save(&snapshots, 11).await.unwrap();
        let (whole, file) = (state(11), OpenOptions::new().write(true).open(&path(11)).await.unwrap());
        let damaged = 40_000;
        let byte = fs::read(&path(11)).await.unwrap()[damaged];
        for damages in [false, true] {
            if damages {
                file.write_all_at(&[byte ^ 1], damaged as u64).await.unwrap();
            }
            let mut snapshot = snapshots.open_at(11).await.unwrap();
            let mut found = 0;
            for offset in (0..=whole.len()).rev().step_by(997).chain([0, 32 << 10, 64 << 10]) {
                let part = match snapshot.seek(offset as u64).await {
                    Ok(()) => snapshot.read_up_to(1_000).await,
                    Err(error) => Err(error),
                };
                match part {
                    Ok(part) => assert_eq!(part, whole[offset..(offset + 1_000).min(whole.len())]),
                    Err(StorageError::Corrupt { .. }) => found += 1,
                    Err(error) => panic!("{error}"),
                }
            }
            assert_eq!(found > 0, damages);
        }
    });
}

#[test]
fn a_draft_that_is_given_up_leaves_nothing() {
    one_life(async || {
        let snapshots = Snapshots::open("snapshots").await.unwrap();
        // Two of one index at a time: one of one's own, and one from elsewhere.
        let (mut own, mut other) = (snapshots.create(7).await.unwrap(), snapshots.create(7).await.unwrap());
        own.write(&state(7)).await.unwrap();
        other.write(b"something else").await.unwrap();
        other.discard().await;
        own.commit().await.unwrap();
        assert_eq!(fs::read_dir("snapshots").await.unwrap().len(), 1);
        assert_eq!(load(snapshots.open_verified(7).await.unwrap()).await.unwrap(), state(7));
    });
}

/// What may be there, and what must.
#[derive(Debug, Default)]
struct Model {
    /// The newest that was committed.
    acked: u64,
    /// The last that was begun.
    begun: u64,
    loads: u64,
    failed: u64,
    skipped: u64,
    unfinished: u64,
}

async fn live(model: Rc<RefCell<Model>>, damage: bool) {
    loop {
        if let Err(_error) = work(&model, damage).await {
            model.borrow_mut().failed += 1;
        }
        time::sleep(Duration::from_millis(2)).await;
    }
}

async fn work(model: &RefCell<Model>, damage: bool) -> Result<(), StorageError> {
    let snapshots = Snapshots::open("snapshots").await?;
    let (latest, skipped) = snapshots.latest().await?;
    let found = match latest {
        Some(latest) => {
            let index = latest.index();
            assert!(load(latest).await? == state(index), "snapshot {index} is not the state after {index}");
            index
        }
        None => 0,
    };
    {
        let mut model = model.borrow_mut();
        assert!(damage || skipped.is_empty(), "nothing is damaged: {skipped:?}");
        assert!(found <= model.begun, "{found} is from the future: {model:?}");
        assert!(found >= model.acked || !skipped.is_empty(), "{found} is too old: {model:?}");
        model.loads += 1;
        model.skipped += skipped.len() as u64;
        model.unfinished += u64::from(found < model.begun);
        // What was read once must not be gone the next time. Rot may take it, and does not say when.
        model.acked = found;
        model.begun = model.begun.max(found);
    }
    while !rand::chance(0.05) {
        let index = model.borrow().begun + 1;
        model.borrow_mut().begun = index;
        save(&snapshots, index).await?;
        model.borrow_mut().acked = index;
    }
    Ok(())
}

fn torture(seed: u64, disks: DiskConfig, damage: bool, planted: Option<&str>) -> Result<Model, String> {
    let run = simulate(seed, |sim| {
        sim.disks(disks);
        sim.plant(&planted.map(str::to_owned).into_iter().collect::<Vec<_>>());
        let model = Rc::new(RefCell::new(Model::default()));
        let shared = model.clone();
        let node = sim.node("a", move || live(shared.clone(), damage));
        for life in 0..12 {
            sim.run_for(Duration::from_micros((seed * 7919 + life * 104_729) % 20_000));
            match (seed + life) % 4 {
                0 | 1 => sim.crash(node),
                2 => drop(sim.inject(Fault::Kill(vec![node]))),
                _ if damage => drop(sim.inject(Fault::BitRot { nodes: vec![node], sectors: 1, files: "*".into() })),
                _ => {}
            }
            sim.boot(node);
        }
        model.take()
    })
    .unwrap();
    match run.failures.first() {
        None => Ok(run.value),
        Some(failure) => Err(format!("seed {seed}: {}", failure.explanation)),
    }
}

fn many(disks: DiskConfig, damage: bool) -> Model {
    let mut all = Model::default();
    for seed in 0..150 {
        let model = torture(seed, disks, damage, None).unwrap_or_else(|why| panic!("{why}"));
        all.loads += model.loads;
        all.failed += model.failed;
        all.skipped += model.skipped;
        all.unfinished += model.unfinished;
    }
    assert!(all.loads > 1000 && all.unfinished > 100, "{all:?}");
    all
}

#[test]
fn a_crash_leaves_the_old_one_or_the_new_one() {
    let all = many(DiskConfig::default(), false);
    assert_eq!((all.failed, all.skipped), (0, 0));
}

#[test]
fn so_do_syncs_writes_and_reads_that_fail() {
    let disks = DiskConfig {
        sync_error: 0.05,
        write_error: 0.01,
        read_error: 0.05,
        corrupt_read: 0.05,
        ..DiskConfig::default()
    };
    let all = many(disks, false);
    assert!(all.failed > 50, "{all:?}");
}

#[test]
fn rot_costs_a_snapshot_and_that_is_said() {
    let all = many(DiskConfig::default(), true);
    assert!(all.skipped > 20, "{all:?}");
}

#[test]
fn known_bugs_are_found() {
    let sound = DiskConfig::default();
    for (bug, damage) in [("snapshot.no-dir-sync", false), ("snapshot.in-place", false), ("snapshot.no-checksum", true)]
    {
        let found = (0..1000).find_map(|seed| torture(seed, sound, damage, Some(bug)).err());
        println!("{bug}: {}", found.unwrap_or_else(|| panic!("{bug} is not found")));
    }
}
