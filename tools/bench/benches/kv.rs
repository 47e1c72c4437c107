//! The key/value store end to end: five servers, twenty clients with 100 operations each and 20 more to
//! read everything at the end, crashes and partitions, and the check of
//! the history. An element is a virtual second.
//!
//! Then the same under `perf`, where that is installed: where the time goes, by the file of ours whose line it was, also where that
//! was inlined into another. Time in a library or in the allocator is counted for the innermost line of ours that called it, and
//! what it takes to drop a value for whoever declared its type. (No profiler in the process: its signal handler would read the
//! clock that the simulator has replaced.)

use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::{self, Command, Stdio};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sim::{Outcome, Report, RunOptions, Scenario, run};
use systems::kv::Kv;

const SCENARIO: &str = r#"
[system]
name = "kv"
servers = 5
clients = 20

# As in the labs: a heartbeat every 100 ms, elections after 500 ms to 1 s.
[system.raft]
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

/// Who a line belongs to, by the beginning of its file's path; the first that fits counts.
const PARTS: [(&str, &str); 14] = [
    ("sim/check/linearizable", "checker of the history"),
    ("sim/metric", "metrics"),
    ("sim/fs", "disks"),
    ("sim/rpc", "calls and their encoding"),
    ("sim/codec", "calls and their encoding"),
    ("sim/event", "what is observed: events, history, report"),
    ("sim/probe", "what is observed: events, history, report"),
    ("sim/history", "what is observed: events, history, report"),
    ("sim/check", "what is observed: events, history, report"),
    ("sim/run", "what is observed: events, history, report"),
    ("sim/", "kernel: tasks, schedule, time, network, digest"),
    ("systems/raft/checks", "invariants"),
    ("systems/kv/workload", "workload"),
    ("systems/", "the system"),
];

/// The part that a frame of a stack belongs to, if it is ours: a function, and the line in it. Old versions of perf give a function
/// that was inlined the line of what was inlined into it: then its name says more.
fn part_of(function: &str, line: &str) -> Option<&'static str> {
    let of = |path: &str| PARTS.iter().find(|(beginning, _)| path.starts_with(beginning)).map(|(_, part)| *part);
    // `drop_in_place<alloc::vec::Vec<systems::raft::message::Entry>>`, `<sim::net::Socket as ..>::recv`
    let mut names = function.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
    if function.contains("drop_in_place<") {
        // What is stored is the system's also where its key is a node.
        let ours: Vec<String> = names.map(|name| name.replace("::", "/")).filter(|path| of(path).is_some()).collect();
        return of(ours.iter().find(|path| path.starts_with("systems/")).or(ours.first())?);
    }
    let by_line =
        line.rsplit_once("/src/").and_then(|(krate, file)| of(&format!("{}/{file}", krate.rsplit('/').next()?)));
    by_line.or_else(|| of(&names.find(|name| name.contains("::"))?.replace("::", "/")))
}

fn profile(scenario: &Scenario) {
    let folder = tempfile::tempdir().expect("a folder for the profile");
    let data = folder.path().join("perf.data");
    let mut record = Command::new("perf");
    record.args(["record", "--quiet", "--freq", "499", "--call-graph", "dwarf,16384", "--pid"]);
    record.arg(process::id().to_string()).arg("--output").arg(&data).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut perf) = record.spawn() else {
        println!("no `perf` here, so nobody knows where the time goes");
        return;
    };
    for seed in 0..PROFILED {
        black_box(simulate(scenario, seed));
    }
    let stopped = Command::new("kill").args(["-INT", &perf.id().to_string()]).status();
    assert!(stopped.is_ok_and(|status| status.success()), "perf was there");
    let _ = perf.wait();
    let mut script = Command::new("perf");
    script.args(["script", "--fields", "ip,sym,srcline", "--full-source-path", "--input"]).arg(&data);
    let stacks = script.output().expect("perf was there").stdout;
    let mut samples: BTreeMap<&str, usize> = BTreeMap::new();
    // A sample is a paragraph, two lines of it a frame, the innermost first.
    for stack in String::from_utf8_lossy(&stacks).split("\n\n").filter(|stack| !stack.trim().is_empty()) {
        let lines: Vec<&str> = stack.lines().filter(|line| !line.trim().is_empty()).collect();
        let part = lines.windows(2).find_map(|frame| part_of(frame[0], frame[1]));
        *samples.entry(part.unwrap_or("nobody of ours")).or_default() += 1;
    }
    let all: usize = samples.values().sum();
    println!("where the time of {PROFILED} seeds goes, by {all} samples:");
    let mut samples: Vec<_> = samples.into_iter().collect();
    samples.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for (part, count) in samples {
        println!("{:6.1} %  {part}", 100.0 * count as f64 / all as f64);
    }
}

criterion_group!(benches, end_to_end);
criterion_main!(benches);
