//! The key/value store end to end: five servers, twenty clients with 100 operations each and 20 more to
//! read everything at the end, crashes and partitions, and the check of
//! the history. An element is a virtual second.
//!
//! Then the same under a sampling profiler: where the time goes, by who asked for it. Time in a library or in the allocator is
//! counted for the innermost function of ours that called it.

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pprof::ProfilerGuardBuilder;
use sim::{Outcome, Report, RunOptions, Scenario, run};
use systems::kv::Kv;

const SCENARIO: &str = r#"
[system]
name = "kv"
servers = 5
clients = 20
# As in the labs: a heartbeat every 100 ms, elections after 500 ms to 1 s.
tick_ms = 50

[run]
main = "200s"
quiet = "20s"

[[workload]]
name = "mixed"
args = { keys = 10, ops = 100, think_ms = [500, 3_000] }

[[workload]]
name = "read-all"
phase = "final"
args = { keys = 10 }

[[fault]]
name = "crashes"
every = { draw = ["3s", "8s"] }
for = { draw = ["500ms", "3s"] }
do = { one_of = [{ crash = "leader" }, { crash = "random(server)" }] }

[[fault]]
name = "partitions"
every = { draw = ["5s", "10s"] }
for = { draw = ["1s", "3s"] }
do = { halves = "all" }

[expect.run]
crash = 20
partition = 10
"#;

/// How many seeds are profiled.
const PROFILED: u64 = 40;

fn simulate(scenario: &Scenario, seed: u64) -> Report {
    let report = run(&Kv, scenario, seed, RunOptions::default()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.verdict, Outcome::Pass, "{:?}", report.failure);
    report
}

fn end_to_end(c: &mut Criterion) {
    let scenario = Scenario::parse("kv.toml", SCENARIO).unwrap_or_else(|error| panic!("{error}"));
    let report = simulate(&scenario, 1);
    let operations: u64 = ["ops_ok", "ops_failed", "ops_unknown"].iter().filter_map(|how| report.dose.get(*how)).sum();
    println!(
        "{operations} operations in {:.1} virtual seconds, {} events",
        report.virtual_ns as f64 / 1e9,
        report.events
    );
    let mut group = c.benchmark_group("key/value store");
    group.throughput(Throughput::Elements(report.virtual_ns / 1_000_000_000)).sample_size(10);
    group.bench_function("5 servers, 20 clients, 100 operations each", |b| {
        b.iter(|| black_box(simulate(&scenario, 1)).events);
    });
    group.finish();
    profile(&scenario);
}

/// Who a function belongs to, by the beginning of its name; the first that fits counts.
const PARTS: [(&str, &str); 7] = [
    ("sim::check::linearizable", "checker of the history"),
    ("sim::metric", "metrics"),
    ("sim::scenario", "scenario"),
    ("sim::", "kernel: schedule, time, network, disk, digest"),
    ("systems::raft::checks", "invariants"),
    ("systems::", "the system"),
    ("kv::", "the bench"),
];

fn profile(scenario: &Scenario) {
    let profiler = ProfilerGuardBuilder::default().frequency(999).build().expect("nobody else profiles");
    for seed in 0..PROFILED {
        black_box(simulate(scenario, seed));
    }
    let report = profiler.report().build().expect("the profile can be read");
    let mut samples: BTreeMap<&str, isize> = BTreeMap::new();
    for (stack, count) in &report.data {
        let names = stack.frames.iter().flatten().map(|symbol| symbol.name());
        let part = names.into_iter().find_map(|name| {
            // `<sim::net::Socket as ..>::recv` is of `sim`, too; `<alloc::Vec<sim::..>>::push` is not, but its caller is.
            let name = name.trim_start_matches(['<', '&']).to_owned();
            PARTS.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, part)| *part)
        });
        *samples.entry(part.unwrap_or("nobody of ours")).or_default() += count;
    }
    let all: isize = samples.values().sum();
    println!("where the time of {PROFILED} seeds goes, by {all} samples:");
    let mut samples: Vec<_> = samples.into_iter().collect();
    samples.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for (part, count) in samples {
        println!("{:6.1} %  {part}", 100.0 * count as f64 / all as f64);
    }
}

criterion_group!(benches, end_to_end);
criterion_main!(benches);
