//! The write-ahead log, on disks that do to it what disks do.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sim::{node, simulate};
use systems::storage::wal::{Options, Read, Wal};

fn options() -> Options {
    Options { dir: "wal".into(), segment: 256, max_record: 1024 }
}

/// Everything that a reader sees.
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

fn text(indexes: std::ops::RangeInclusive<u64>) -> Vec<(u64, Option<String>)> {
    indexes.map(|index| (index, Some(format!("record {index}")))).collect()
}

async fn append(wal: &Wal, indexes: std::ops::RangeInclusive<u64>) {
    for index in indexes.clone() {
        assert_eq!(wal.append(format!("record {index}").as_bytes()).unwrap(), index);
    }
    wal.sync(*indexes.end()).await.unwrap();
}

#[test]
fn what_was_synced_is_there_after_a_crash() {
    let run = simulate(1, |sim| {
        let log = Rc::new(RefCell::new(Vec::new()));
        let out = log.clone();
        let node = sim.node("a", move || {
            let out = out.clone();
            async move {
                let (wal, recovery) = Wal::open(options()).await.unwrap();
                if node::incarnation() == 1 {
                    append(&wal, 1..=10).await;
                    append(&wal, 11..=20).await;
                    wal.append(b"never synced").unwrap();
                    std::future::pending().await
                }
                out.borrow_mut().push((recovery, contents(&wal).await));
                if node::incarnation() == 2 {
                    wal.truncate_suffix(16).await.unwrap();
                    append(&wal, 16..=25).await;
                    wal.truncate_prefix(9).await.unwrap();
                }
            }
        });
        for _ in 0..3 {
            sim.run_for(Duration::from_secs(1));
            sim.crash(node);
            sim.boot(node);
        }
        log.take()
    })
    .unwrap();
    assert_eq!(run.failures, vec![]);
    for (recovery, contents) in &run.value {
        println!("{recovery:?}\n  {contents:?}");
    }
    assert_eq!(run.value[0].1, text(1..=20));
    assert_eq!(run.value[1].1, text(7..=25));
}
