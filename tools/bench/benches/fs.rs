//! How many disk operations a second of CPU simulates, with digest and default latencies and without faults.
//!
//! Each iteration is a whole run: thread, world, work, teardown. `cargo bench -p bench --bench fs`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sim::fs::{self, OpenOptions};
use sim::{rand, simulate};

const OPERATIONS: u64 = 200_000;
const RECORD: usize = 100;
/// Sixteen MiB.
const FILE: u64 = 16 << 20;

/// Runs `work` on a node to its end. Returns how many disk operations there were.
fn on_a_node(work: impl AsyncFn() + Copy + Send + 'static) -> u64 {
    let run = simulate(1, move |sim| {
        sim.node("node", move || async move { work().await });
        sim.run_for(Duration::from_secs(3_600));
        sim.effect("disk.ops")
    });
    let run = run.unwrap();
    assert_eq!(run.failures, []);
    run.value
}

/// A log as simple as it can be: each record is appended, and durable before the next.
fn append_and_sync() -> u64 {
    on_a_node(async || {
        let file = OpenOptions::new().write(true).create(true).open("log").await.unwrap();
        for _ in 0..OPERATIONS / 2 {
            file.append(&[7; RECORD]).await.unwrap();
            file.sync_data().await.unwrap();
        }
    })
}

/// The same in groups of ten.
fn group_commit() -> u64 {
    on_a_node(async || {
        let file = OpenOptions::new().write(true).create(true).open("log").await.unwrap();
        for _ in 0..OPERATIONS / 11 {
            for _ in 0..10 {
                file.append(&[7; RECORD]).await.unwrap();
            }
            file.sync_data().await.unwrap();
        }
    })
}

fn random_reads() -> u64 {
    on_a_node(async || {
        fs::write("table", &vec![7; FILE as usize]).await.unwrap();
        let file = fs::File::open("table").await.unwrap();
        let mut buf = [0; RECORD];
        for _ in 0..OPERATIONS {
            file.read_at(&mut buf, rand::below(FILE - RECORD as u64)).await.unwrap();
        }
    })
}

fn random_writes() -> u64 {
    on_a_node(async || {
        fs::write("table", &vec![7; FILE as usize]).await.unwrap();
        let file = OpenOptions::new().write(true).open("table").await.unwrap();
        for _ in 0..OPERATIONS {
            file.write_at(&[8; RECORD], rand::below(FILE - RECORD as u64)).await.unwrap();
        }
    })
}

fn disk(c: &mut Criterion) {
    let mut group = c.benchmark_group("disk");
    for (name, work) in [
        ("append and sync", append_and_sync as fn() -> u64),
        ("group commit", group_commit),
        ("random reads", random_reads),
        ("random writes", random_writes),
    ] {
        group.throughput(Throughput::Elements(work()));
        group.bench_function(name, |b| b.iter(|| black_box(work())));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(4));
    targets = disk
}
criterion_main!(benches);
