//! The write-ahead log: what it promises, and what it says of each kind of damage.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;

use sim::fault::Fault;
use sim::fs::{self, DiskConfig, DiskPatch, OpenOptions};
use sim::{Capacity, Latency, NodeId, Sim, Time, node, simulate, task, time};
use systems::storage::StorageError;
use systems::storage::wal::{Finding, Location, Marking, Options, Read, Recovery, Wal};

fn options() -> Options {
    Options { dir: "wal".into(), segment: 4096, max_record: 1024, marking: Marking::WithBatch }
}

async fn open() -> (Wal, Recovery) {
    Wal::open(options()).await.unwrap()
}

/// What a reader sees: records, and `None` for those that are lost.
async fn contents(wal: &Wal) -> Vec<(u64, Option<String>)> {
    let mut reader = wal.read(wal.first());
    let mut seen = Vec::new();
    while let Some(read) = reader.next().await.unwrap() {
        match read {
            Read::Record { index, payload } => seen.push((index, Some(String::from_utf8(payload).unwrap()))),
            Read::Lost { first, last } => seen.extend((first..=last).map(|index| (index, None))),
        }
    }
    seen
}

fn record(index: u64) -> String {
    format!("this is record {index}")
}

/// The contents if all is well but for some that are lost.
fn all_but(indexes: RangeInclusive<u64>, lost: &[u64]) -> Vec<(u64, Option<String>)> {
    indexes.map(|index| (index, (!lost.contains(&index)).then(|| record(index)))).collect()
}

/// Appends records in one batch.
async fn append(wal: &Wal, indexes: RangeInclusive<u64>) {
    for index in indexes.clone() {
        assert_eq!(wal.append(record(index).as_bytes()).unwrap(), index);
    }
    wal.sync(*indexes.end()).await.unwrap();
}

/// Changes one byte of a file, durably.
async fn flip(path: &str, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).await.unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).await.unwrap();
    file.write_all_at(&[byte[0] ^ 4], at).await.unwrap();
    file.sync_all().await.unwrap();
}

async fn mark_path() -> String {
    let names = fs::read_dir("wal").await.unwrap();
    format!("wal/{}", names.iter().find(|name| name.starts_with("mark-")).unwrap())
}

/// Runs `code` on a node, once for each life, with a crash after each.
fn lives(disks: DiskConfig, lives: u32, code: impl AsyncFn(u32) + Send + 'static) {
    let run = simulate(1, |sim| {
        sim.disks(disks);
        let code = Rc::new(code);
        let done = Rc::new(RefCell::new(0));
        let log = done.clone();
        let node = sim.node("a", move || {
            let (code, log) = (code.clone(), log.clone());
            async move {
                code(node::incarnation()).await;
                *log.borrow_mut() += 1;
                std::future::pending().await
            }
        });
        for _ in 0..lives {
            sim.run_for(Duration::from_secs(100));
            sim.crash(node);
            sim.boot(node);
        }
        done.take()
    })
    .unwrap();
    assert_eq!(run.failures, vec![]);
    assert_eq!(run.value, lives);
}

fn one_life(code: impl AsyncFn() + Send + 'static) {
    lives(DiskConfig::default(), 1, async move |_| code().await);
}

/// Two batches, 1 to 3 and 4 to 6; then `harm`, and what the next life finds.
fn after(harm: impl AsyncFn(Location) + Send + 'static, findings: &'static [Finding], last: u64, lost: &'static [u64]) {
    lives(DiskConfig::default(), 2, async move |life| {
        let (wal, recovery) = open().await;
        if life == 1 {
            append(&wal, 1..=3).await;
            append(&wal, 4..=6).await;
            let location = wal.locate(6).unwrap();
            drop(wal);
            harm(location).await;
        } else {
            assert_eq!((recovery.first, recovery.last), (1, last));
            assert_eq!(recovery.findings, findings);
            assert_eq!(contents(&wal).await, all_but(1..=last, lost));
            append(&wal, last + 1..=last + 5).await;
            drop(wal);
            // What was found once is found again; what was cut off is not.
            let (wal, again) = open().await;
            let lasting: Vec<_> = findings.iter().filter(|finding| !matches!(finding, Finding::Torn { .. })).collect();
            assert_eq!(again.findings.iter().collect::<Vec<_>>(), lasting);
            assert_eq!(contents(&wal).await, all_but(1..=last + 5, lost));
        }
    });
}

#[test]
fn what_was_synced_is_there_after_a_crash() {
    lives(DiskConfig::default(), 3, async |life| {
        let (wal, recovery) = open().await;
        assert_eq!(recovery.findings, []);
        match life {
            1 => {
                assert_eq!((wal.first(), wal.last(), wal.durable()), (1, 0, 0));
                append(&wal, 1..=10).await;
                append(&wal, 11..=20).await;
                assert_eq!(wal.append(b"nobody waits for this").unwrap(), 21);
                assert_eq!((wal.last(), wal.durable(), wal.locate(21)), (21, 20, None));
            }
            2 => {
                assert_eq!(contents(&wal).await, all_but(1..=20, &[]));
                wal.truncate_suffix(16).await.unwrap();
                assert_eq!((wal.last(), wal.durable()), (15, 15));
                append(&wal, 16..=18).await;
            }
            _ => assert_eq!(contents(&wal).await, all_but(1..=18, &[])),
        }
    });
}

#[test]
fn a_damaged_record_that_was_acknowledged_is_corrupt() {
    // A later batch says that it was durable. Its neighbours are not concerned.
    let harm = async |six: Location| flip(&six.path, 32 + 3).await;
    after(harm, &[Finding::Corrupt { first: 1, last: 1 }], 6, &[1]);
}

#[test]
fn a_damaged_header_costs_one_record() {
    let harm = async |six: Location| flip(&six.path, 9).await;
    after(harm, &[Finding::Corrupt { first: 1, last: 1 }], 6, &[1]);
}

#[test]
fn a_damaged_record_of_the_last_batch_is_ambiguous() {
    let harm = async |six: Location| flip(&six.path, six.offset).await;
    after(harm, &[Finding::Ambiguous { first: 6, last: 6 }], 6, &[6]);
}

#[test]
fn what_was_given_up_stays_given_up() {
    lives(DiskConfig::default(), 4, async |life| {
        let path = async || {
            let names = fs::read_dir("wal").await.unwrap();
            format!("wal/{}", names.iter().find(|name| name.starts_with("segment-")).unwrap())
        };
        match life {
            1 => {
                let (wal, _) = open().await;
                append(&wal, 1..=2).await;
                drop(wal);
                // The header of record 2.
                flip(&path().await, 48 + 9).await;
            }
            2 => assert_eq!(open().await.1.findings, [Finding::Ambiguous { first: 2, last: 2 }]),
            3 => flip(&path().await, 48 + 9).await,
            _ => {
                let (wal, recovery) = open().await;
                assert_eq!(recovery.findings, [Finding::Ambiguous { first: 2, last: 2 }]);
                assert_eq!(contents(&wal).await, all_but(1..=2, &[2]));
                // It goes with those that are cut off.
                wal.truncate_suffix(2).await.unwrap();
                append(&wal, 2..=4).await;
                assert_eq!(contents(&wal).await, all_but(1..=4, &[]));
            }
        }
    });
}

#[test]
fn bytes_behind_the_last_batch_are_torn() {
    let harm = async |six: Location| {
        let file = OpenOptions::new().write(true).open(&six.path).await.unwrap();
        file.append(&[7; 700]).await.unwrap();
        file.sync_all().await.unwrap();
    };
    after(harm, &[Finding::Torn { from: 7 }], 6, &[]);
}

#[test]
fn a_batch_that_is_longer_than_its_file_is_torn() {
    let harm = async |six: Location| {
        let file = OpenOptions::new().write(true).open(&six.path).await.unwrap();
        file.set_len(six.offset + 2).await.unwrap();
        file.sync_all().await.unwrap();
    };
    after(harm, &[Finding::Torn { from: 6 }], 5, &[]);
}

#[test]
fn records_of_another_place_are_none() {
    // The whole segment once more behind itself, as a file system may do with old blocks.
    let harm = async |six: Location| {
        let bytes = fs::read(&six.path).await.unwrap();
        let file = OpenOptions::new().write(true).open(&six.path).await.unwrap();
        file.append(&bytes).await.unwrap();
        file.sync_all().await.unwrap();
    };
    after(harm, &[Finding::Torn { from: 7 }], 6, &[]);
}

#[test]
fn a_mark_may_lose_one_copy_of_each_slot() {
    let harm = async |six: Location| {
        let mark = mark_path().await;
        flip(&mark, 8).await;
        flip(&mark, 4096 + 20).await;
        flip(&six.path, six.offset).await;
    };
    after(harm, &[Finding::Ambiguous { first: 6, last: 6 }], 6, &[6]);
}

#[test]
fn without_its_marks_a_log_is_still_a_log() {
    let harm = async |_| {
        let mark = mark_path().await;
        for at in [8, 4096, 8192 + 40, 12288 + 50] {
            flip(&mark, at).await;
        }
    };
    after(harm, &[], 6, &[]);
}

#[test]
fn without_its_marks_nobody_can_tell_what_is_bad_at_the_end() {
    let harm = async |six: Location| {
        let mark = mark_path().await;
        for at in [8, 4096, 8192 + 40, 12288 + 50] {
            flip(&mark, at).await;
        }
        // The headers of records 5 and 6.
        flip(&six.path, six.offset - 32).await;
        flip(&six.path, six.offset - 32 - 48).await;
    };
    // 96 bytes may have been three records.
    after(harm, &[Finding::Ambiguous { first: 5, last: 7 }], 7, &[5, 6, 7]);
}

#[test]
fn many_callers_share_a_sync() {
    let disks = DiskConfig { sync: Latency::Constant(Time::new(Duration::from_millis(10))), ..DiskConfig::default() };
    lives(disks, 1, async |_| {
        let (wal, _) = open().await;
        let begun = time::now();
        let callers: Vec<_> = (1..=50)
            .map(|index| {
                let wal = wal.clone();
                task::spawn(async move {
                    let index = wal.append(record(index).as_bytes()).unwrap();
                    wal.sync(index).await.unwrap();
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
        assert_eq!(wal.durable(), 50);
        // One batch for the first, one for all that came meanwhile.
        assert!(begun.elapsed() <= Duration::from_millis(21), "{:?}", begun.elapsed());
    });
}

#[test]
fn a_caller_that_stops_waiting_stops_nothing() {
    one_life(async || {
        let (wal, _) = open().await;
        let index = wal.append(b"a").unwrap();
        assert!(time::timeout(Duration::from_micros(10), wal.sync(index)).await.is_err());
        time::sleep(Duration::from_millis(5)).await;
        assert_eq!(wal.durable(), 1);
        wal.sync(index).await.unwrap();
    });
}

#[test]
fn a_log_has_one_writer() {
    one_life(async || {
        let (wal, _) = open().await;
        let second = Wal::open(options()).await.unwrap_err();
        assert!(matches!(second, StorageError::InUse { .. }), "{second}");
        let clone = wal.clone();
        drop(wal);
        assert!(Wal::open(options()).await.is_err());
        // Closed in the middle of a batch: the next one waits for its end.
        let index = clone.append(b"a").unwrap();
        let _ = time::timeout(Duration::from_micros(10), clone.sync(index)).await;
        drop(clone);
        let (wal, recovery) = open().await;
        assert_eq!((recovery.last, wal.durable()), (1, 1));
    });
}

#[test]
fn what_makes_no_sense_is_an_error() {
    one_life(async || {
        let (wal, _) = open().await;
        let long = wal.append(&[0; 1025]).unwrap_err();
        assert_eq!(long.to_string(), "a record of 1025 bytes is longer than the 1024 that the log allows");
        let early = wal.sync(1).await.unwrap_err();
        assert_eq!(early.to_string(), "there is no record 1: the log has 1 to 0");
        assert!(wal.truncate_suffix(2).await.is_err());
        append(&wal, 1..=400).await;
        wal.truncate_prefix(300).await.unwrap();
        let first = wal.first();
        assert!((100..=300).contains(&first), "{first}");
        assert_eq!(contents(&wal).await, all_but(first..=400, &[]));
        let gone = wal.read(first - 1).next().await.unwrap_err();
        assert!(matches!(gone, StorageError::OutOfRange { .. }), "{gone}");
        assert_eq!(wal.read(401).next().await.unwrap(), None);
        assert!(wal.truncate_suffix(first - 1).await.is_err());
        // A reader that waits at the end goes on when there is more.
        let mut reader = wal.read(401);
        assert_eq!(reader.next().await.unwrap(), None);
        append(&wal, 401..=401).await;
        assert!(matches!(reader.next().await.unwrap(), Some(Read::Record { index: 401, .. })));
    });
}

/// Runs `code` on a node, and `during` on the host half a second later.
fn struck(during: impl FnOnce(&Sim, NodeId) + Send, code: impl AsyncFn() + Send + 'static) {
    let run = simulate(1, |sim| {
        let code = Rc::new(code);
        let done = Rc::new(RefCell::new(false));
        let log = done.clone();
        let node = sim.node("a", move || {
            let (code, log) = (code.clone(), log.clone());
            async move {
                code().await;
                *log.borrow_mut() = true;
            }
        });
        sim.run_for(Duration::from_millis(500));
        during(sim, node);
        sim.run_for(Duration::from_secs(10));
        done.take()
    })
    .unwrap();
    assert_eq!((run.failures, run.value), (vec![], true));
}

#[test]
fn after_a_failed_sync_it_has_to_be_opened_anew() {
    let fail = |sim: &Sim, node| {
        let set = Box::new(DiskPatch { sync_error: Some(1.0), ..DiskPatch::default() });
        let guard = sim.inject(Fault::Disk { nodes: vec![node], set });
        sim.run_for(Duration::from_secs(1));
        drop(guard);
    };
    struck(fail, async || {
        let (wal, _) = open().await;
        append(&wal, 1..=3).await;
        time::sleep(Duration::from_secs(1)).await;
        let callers: Vec<_> = (4..=8)
            .map(|index| {
                let wal = wal.clone();
                assert_eq!(wal.append(record(index).as_bytes()).unwrap(), index);
                task::spawn(async move { wal.sync(index).await })
            })
            .collect();
        for caller in callers {
            assert!(matches!(caller.await.unwrap(), Err(StorageError::Io { what: "sync", .. })));
        }
        assert!(matches!(wal.append(b""), Err(StorageError::Poisoned)));
        assert!(wal.sync(8).await.is_err());
        // What is durable is still there to be read.
        assert_eq!(contents(&wal).await, all_but(1..=3, &[]));
        time::sleep(Duration::from_secs(1)).await;
        let (wal, recovery) = open().await;
        assert!((3..=8).contains(&recovery.last), "{recovery:?}");
        append(&wal, recovery.last + 1..=20).await;
    });
}

#[test]
fn a_full_disk_is_said_to_be_full() {
    let disks = DiskConfig { capacity: Capacity::from_bytes(64 * 1024), ..DiskConfig::default() };
    lives(disks, 2, async |life| {
        let (mut wal, recovery) = open().await;
        if life == 2 {
            assert_eq!(recovery.last, 52);
            return;
        }
        let full = loop {
            let index = wal.append(&[1; 900]).unwrap();
            if let Err(error) = wal.sync(index).await {
                break error;
            }
        };
        assert!(full.is_full(), "{full}");
        for _ in 0..10 {
            // Opening needs no room, and gives back what the part of a record took.
            let durable = wal.durable();
            drop(wal);
            wal = open().await.0;
            assert_eq!((wal.durable(), durable), (51, 51));
        }
        wal.truncate_prefix(20).await.unwrap();
        wal.append(&[1; 900]).unwrap();
        wal.sync(52).await.unwrap();
    });
}

#[test]
fn a_log_of_any_length_is_opened_through_a_small_buffer() {
    const RECORDS: u64 = 100_000;
    let options = || Options { dir: "wal".into(), segment: 1 << 20, max_record: 1024, marking: Marking::WithBatch };
    lives(DiskConfig::default(), 2, async move |life| {
        let (wal, recovery) = Wal::open(options()).await.unwrap();
        if life == 1 {
            for index in 1..=RECORDS {
                wal.append(record(index).as_bytes()).unwrap();
            }
            return wal.sync(RECORDS).await.unwrap();
        }
        assert_eq!((recovery.first, recovery.last, recovery.findings), (1, RECORDS, vec![]));
        assert!(recovery.read > RECORDS * 50 && recovery.buffer <= 64 * 1024, "{} {}", recovery.read, recovery.buffer);
        assert!(contents(&wal).await == all_but(1..=RECORDS, &[]));
    });
}

/// Also a log with a known bug must not take the process down: other runs share it.
#[test]
fn a_rotten_number_that_is_believed_makes_no_log_longer_than_its_file() {
    // The highest byte of the length, of the index, and of what was durable.
    for byte in [11, 23, 31] {
        for record in [1, 6] {
            let run = simulate(1, |sim| {
                sim.plant(&["wal.trust-length".to_owned()]);
                let node = sim.node("a", move || async move {
                    let (wal, recovery) = open().await;
                    if node::incarnation() == 1 {
                        append(&wal, 1..=6).await;
                        let location = wal.locate(record).unwrap();
                        flip(&location.path, location.offset - 32 + byte).await;
                    } else {
                        assert!(recovery.last <= 6, "{recovery:?}");
                    }
                });
                sim.run_for(Duration::from_secs(1));
                sim.crash(node);
                sim.boot(node);
                sim.run_for(Duration::from_secs(1));
            });
            assert_eq!(run.unwrap().failures, vec![], "byte {byte} of record {record}");
        }
    }
}
