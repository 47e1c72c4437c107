//! A frozen run is the same run: it has the faults that happened, at their exact moments, and no rules.

use std::collections::BTreeSet;

use super::toy::{run, scenario};
use sim::fault::Fault;
use sim::{Report, RunOptions, Scenario};

/// Every kind of fault and of trigger, drawn and not, inside of polls and between them.
const RULES: &str = r#"
[[workload]]
name = "probe"
phase = "setup"
[[fault]]
name = "first"
at = "0s"
for = "500ms"
do = { link = { from = "all", to = "server-2", set = { loss = { draw = [0.0, 0.2] }, duplicate = 0.1, reorder = 0.2 } } }
[[fault]]
name = "often"
every = { draw = ["100ms", "400ms"] }
for = { draw = ["20ms", "300ms"] }
do = { one_of = [
    { weight = 2, crash = "random(server)" },
    { wipe = "random(server)" },
    { restart = "random(2, server)" },
    { pause = "first" },
    { partition = { groups = [["first"], ["random(server)", "client-1"], ["rest"]] } },
    { partition = { groups = [["minority(server)"], ["rest"]], in_flight = "deliver" } },
    { one_way = { from = "random(server)", to = "client" } },
    { isolate = "random(all)" },
    { clog = { from = "client", to = "random(server)" } },
    { link = { from = "server-*", to = "server-*", set = { corrupt = 0.1, latency = { constant = "3ms" } } } },
    { clock = { nodes = "random(server)", offset = { draw = ["-1s", "1s"] } } },
    { clock = { nodes = "random(server)", drift_ppm = { draw = [-300_000, 300_000] } } },
    { kill = "random(server)" },
    { crash = "random(zone)" },
    { ring = "server" },
    { action = { name = "poke", args = { round = 7 } } },
    { buggify = "toy.*" },
    { halves = "all" },
    { bridge = "server" },
    { crash_loop = { nodes = "random(server)", up = "30ms", down = "20ms" } },
    { swizzle = "all" },
    { slow_cpu = { nodes = "random(2, server)", poll = "50us" } },
    { reconfigure = { nodes = "random(server)", with = { batch = 9 } } },
    { link = { from = "all", to = "all", set = { bandwidth = "20kB/s", queue = "300B" } } },
    { disk = { nodes = "server", set = { read = { constant = "1ms" }, sync_error = 0.5, corrupt_read = 0.3 } } },
    { disk = { nodes = "random(2, server)", set = { write_error = 0.3, read_error = 0.3, misdirect = 0.3 } } },
    { disk = { nodes = "random(server)", set = { iops = 60, bandwidth = "50kB/s" } } },
    { disk = { nodes = "random(server)", set = { lying_sync = true } } },
    { disk_stall = "random(server)" },
    { disk_full = { nodes = "server", free = "100B" } },
    { bit_rot = { nodes = "random(server)", sectors = 2 } },
    { bad_sectors = { nodes = "server", files = "l*" } },
] }
[[fault]]
name = "inside"
when = { event = "toy.handling", nth = 5 }
times = 3
for = { draw = ["0s", "200ms"] }
do = { one_of = [{ crash = "random(server)" }, { restart = "server-0" }, { isolate = "server-1" }, { disk_stall = "self" }] }
[[fault]]
name = "at-op"
when = { op = "put", node = "client-1", nth = 9 }
times = 2
do = { restart = "random(server)" }
[[fault]]
name = "on-crash"
when = { event = "sim.crashed", nth = 2 }
times = 3
do = { one_of = [{ restart = "random(server)" }, { clock = { nodes = "client-0", offset = "5ms" } }] }
[[fault]]
name = "on-boot"
when = { event = "sim.booted", where = { incarnation = 2 } }
times = 2
for = "0s"
do = { isolate = "random(server)" }
[[fault]]
name = "at-once"
after = "at-op"
times = 2
do = { pause = "server-1" }
for = "10ms"
[[fault]]
name = "blink"
when = { event = "toy.handled", node = "server-2", nth = 3 }
times = 2
for = "0s"
do = { crash = "server-2" }
[[fault]]
after = "blink"
delay = "1ms"
times = 2
do = { clog = { from = "server-0", to = "all" } }
for = "30ms"
[[fault]]
name = "upgrade"
at = "2s"
do = { rolling_restart = { nodes = "server", down = "20ms", pause = "10ms" } }
[[fault]]
name = "meanwhile"
when = { event = "toy.handled", nth = 2 }
while = "upgrade"
times = 3
for = "5ms"
do = { one_of = [{ pause = "self" }, { kill = "self" }, { halves = "server" }] }
[[fault]]
name = "loop"
when = { event = "toy.handled", node = "server-1", nth = 30 }
for = "100ms"
do = { crash_loop = { nodes = "self", up = "10ms", down = "10ms" } }
[[fault]]
name = "after-loop"
after = "loop"
do = { action = { name = "poke", args = { round = 8 } } }
"#;

fn frozen_again(report: &Report) -> Report {
    let text = report.frozen.as_ref().expect("it was asked for");
    let frozen = Scenario::parse("frozen.toml", text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    // The seed and the planted bugs come from the file.
    run(&frozen, 4711, RunOptions { freeze: true, ..RunOptions::default() })
}

fn same_run(original: &Report, replay: &Report) {
    let differs = format!("seed {}\n{}", original.seed, original.frozen.as_deref().unwrap_or_default());
    let strip = |report: &Report| -> Vec<String> {
        report.faults.iter().map(|line| line.split_once(": ").unwrap().1.to_owned()).collect()
    };
    assert_eq!(strip(original), strip(replay), "{differs}");
    assert_eq!(original.world, replay.world, "{differs}");
    assert_eq!((original.verdict, &original.failure), (replay.verdict, &replay.failure), "{differs}");
    assert_eq!((original.seed, original.events, original.virtual_ns), (replay.seed, replay.events, replay.virtual_ns));
}

fn replay_all(run_table: &str, planted: &[&str], seeds: std::ops::Range<u64>) -> Vec<Report> {
    let scenario = scenario("", run_table, RULES);
    let planted: Vec<String> = planted.iter().map(|&name| name.to_owned()).collect();
    let each = seeds.map(|seed| {
        let report =
            run(&scenario, seed, RunOptions { planted: planted.clone(), freeze: true, ..RunOptions::default() });
        let replay = frozen_again(&report);
        same_run(&report, &replay);
        report
    });
    each.collect()
}

#[test]
fn a_frozen_run_has_the_same_world_and_verdict() {
    let reports = replay_all("", &[], 0..200);
    let kinds: BTreeSet<&str> = Fault::<()>::NAMES
        .into_iter()
        .filter(|name| reports.iter().any(|report| report.dose.contains_key(*name)))
        .collect();
    assert_eq!(kinds, BTreeSet::from(Fault::<()>::NAMES), "every kind of fault happens");
    let named = |name: &str| reports.iter().any(|report| report.faults.iter().any(|line| line.contains(name)));
    for rule in [
        "first",
        "often",
        "inside",
        "at-op",
        "on-crash",
        "on-boot",
        "at-once",
        "blink",
        "fault-9",
        "upgrade",
        "meanwhile",
        "loop",
        "after-loop",
    ] {
        assert!(named(&format!("s {rule}: ")), "{rule} happens");
    }
    assert!(reports.iter().any(|report| report.dose.contains_key("fault.refused")), "the budget refuses something");
    for effect in [
        "read_errors",
        "write_errors",
        "sync_errors",
        "corrupt_reads",
        "lies",
        "misdirected",
        "queued",
        "stalled",
        "full",
        "rotten",
        "bad_sectors",
        "bad_reads",
    ] {
        assert!(reports.iter().any(|report| report.dose.contains_key(&format!("disk.{effect}"))), "{effect} happens");
    }
    let failures: Vec<_> = reports.iter().filter_map(|report| Some((report.seed, report.failure.as_ref()?))).collect();
    assert!(failures.is_empty(), "{failures:?}");
}

#[test]
fn so_has_one_with_planted_bugs_and_buggify() {
    let reports = replay_all("buggify = true\nmax_down = \"all\"", &["toy.wrong-echo"], 1_000..1_060);
    assert!(reports.iter().any(|report| report.dose.contains_key("buggify.fired")));
    assert!(reports.iter().all(|report| report.dose.contains_key("planted")));
    let broken = |report: &&Report| report.failure.as_ref().is_some_and(|failure| failure.signature == "echo");
    assert!(reports.iter().filter(broken).count() > 50);
}

/// The faults of a report without the rules' names, and when they struck, in nanoseconds.
fn strikes(report: &Report) -> Vec<(u64, String)> {
    let parse = |line: &String| {
        let (at, rest) = line.split_once("s ").unwrap();
        ((at.parse::<f64>().unwrap() * 1e9).round() as u64, rest.split_once(": ").unwrap().1.to_owned())
    };
    report.faults.iter().map(parse).collect()
}

#[test]
fn in_an_edited_file_each_fault_strikes_at_its_time() {
    let scenario = scenario("", "", RULES);
    let (mut exactly, mut late) = (0, 0);
    for seed in 0..8 {
        let report = run(&scenario, seed, RunOptions { freeze: true, ..RunOptions::default() });
        assert_eq!(report.failure, None);
        let text = report.frozen.as_deref().unwrap();
        let tables: Vec<&str> = text.split("\n[[fault]]\n").collect();
        for without in 1..tables.len() {
            let mut left = tables.clone();
            left.remove(without);
            let edited = Scenario::parse("edited.toml", &left.join("\n[[fault]]\n")).unwrap();
            let replay = run(&edited, 4711, RunOptions::default());
            // What was crashed twice may be down already, so a crash that is left may find nobody to hit.
            assert_eq!(replay.failure, None, "{seed} without {without}");
            assert_eq!(replay.faults.len() + replay.prevented.len(), tables.len() - 2, "{seed} without {without}");
            let mut original = strikes(&report);
            original.remove(without - 1);
            for (at, what) in strikes(&replay) {
                let (exact, after) = ((at, what.clone()), (at - 1, what));
                exactly += u64::from(original.contains(&exact));
                late += u64::from(!original.contains(&exact) && original.contains(&after));
                assert!(original.contains(&exact) || original.contains(&after), "{seed} without {without}: {exact:?}");
            }
        }
    }
    assert!(exactly > 1000 && late > 100, "{exactly} {late}");
}

#[test]
fn freezing_a_frozen_run_changes_nothing_but_the_names_of_its_faults() {
    for report in replay_all("schedule = \"fifo\"", &[], 0..10) {
        let again = frozen_again(&report);
        let thrice = frozen_again(&again);
        same_run(&again, &thrice);
        assert_eq!(report.frozen.unwrap().lines().count(), thrice.frozen.unwrap().lines().count());
    }
}

/// Each of these had an edge of its own: what strikes at the last moment, in the middle of a poll, at the same moment as
/// another, for no time at all, on a node that is already down, or on a clock whose timers are set.
const EDGES: &str = r#"
[[fault]]
name = "to-the-end"
at = "2s"
for = "2s"
do = { crash_loop = { nodes = "server-2", up = "30ms", down = "20ms" } }
[[fault]]
name = "at-the-end"
at = "2999999999ns"
for = "5ms"
do = { halves = "all" }
[[fault]]
name = "loop-a"
at = "300ms"
for = "400ms"
do = { crash_loop = { nodes = "server-1", up = "20ms", down = "20ms" } }
[[fault]]
name = "loop-b"
at = "310ms"
for = "400ms"
do = { crash_loop = { nodes = "server-1", up = "10ms", down = "20ms" } }
[[fault]]
name = "loop-c"
every = "200ms"
for = "0s"
do = { crash_loop = { nodes = "random(server)", up = "10ms", down = "20ms" } }
[[fault]]
name = "drift"
every = "20ms"
for = { draw = ["20ms", "60ms"] }
do = { clock = { nodes = "random(all)", drift_ppm = { draw = [-400_000, 900_000] } } }
[[fault]]
name = "inside"
when = { event = "toy.handling", nth = 3 }
times = 40
for = { draw = ["0s", "30ms"] }
do = { one_of = [
    { halves = "server" }, { bridge = "all" }, { swizzle = "all" },
    { crash_loop = { nodes = "self", up = "3ms", down = "4ms" } },
    { action = { name = "poke", args = { round = 9 } } }, { buggify = "toy.*" },
    { clock = { nodes = "self", drift_ppm = -200_000 } }, { reconfigure = { nodes = "self", with = { batch = 3 } } },
    { disk_stall = "self" }, { bit_rot = { nodes = "self" } }, { bad_sectors = { nodes = "server" } },
    { disk = { nodes = "self", set = { misdirect = 0.5, sync = { constant = "3ms" } } } },
    { disk = { nodes = "server", set = { iops = 30, capacity = "2KiB" } } }, { disk_full = { nodes = "self" } },
    { ring = "server" }, { kill = "self" }, { slow_cpu = { nodes = "self", poll = "1us" } },
] }
[[fault]]
name = "rolling-inside"
when = { event = "toy.handled", nth = 9 }
do = { rolling_restart = { nodes = "server", down = "5ms", pause = "0s" } }
[[fault]]
name = "after-rolling"
after = "rolling-inside"
for = "0s"
do = { wipe = "server-0" }
[[fault]]
name = "while-every"
every = "15ms"
while = "inside"
times = 12
for = "15ms"
do = { one_of = [{ kill = "random(server)" }, { pause = "random(2, server)" }, { clog = { from = "client", to = "all" } }] }
[[fault]]
name = "after-while"
after = "while-every"
times = 12
for = "15ms"
do = { one_way = { from = "server-0", to = "all", in_flight = "deliver" } }
[[fault]]
name = "by-the-operator"
when = { event = "toy.poked" }
times = 3
for = "4ms"
do = { one_of = [{ crash = "self" }, { pause = "self" }] }
[[fault]]
name = "by-a-client"
when = { op = "put", node = "client-1", nth = 30 }
do = { kill = "self" }
[[fault]]
name = "chain"
when = { event = "sim.crashed" }
times = 30
for = "1ms"
do = { one_of = [{ crash = "random(server)" }, { isolate = "self" }, { disk = { nodes = "self", set = { lying_sync = true } } }, { link = { from = "self", to = "all", set = { bandwidth = "9kB/s" } } }] }
"#;

#[test]
fn so_has_one_with_edges() {
    let scenario = scenario("", "buggify = true\nmax_down = \"all\"", EDGES);
    let mut seen = BTreeSet::new();
    for seed in 0..60 {
        let report = run(&scenario, seed, RunOptions { freeze: true, ..RunOptions::default() });
        same_run(&report, &frozen_again(&report));
        seen.extend(
            report.faults.iter().filter_map(|line| Some(line.split_once("s ")?.1.split_once(": ")?.0.to_owned())),
        );
    }
    let rules: BTreeSet<String> = EDGES
        .lines()
        .filter_map(|line| Some(line.strip_prefix("name = \"")?.trim_end_matches('"').to_owned()))
        .collect();
    assert_eq!(seen, rules, "every rule happens");
}

/// What its expectations count by rules is counted in the frozen run too, where each fault is a rule of its own; what only
/// rules can do, to be refused or to find nobody, is no longer expected there.
#[test]
fn so_has_one_whose_expectations_are_about_rules() {
    let rules = "[[fault]]\nname = \"down-2\"\nevery = \"300ms\"\nfor = \"500ms\"\ndo = { crash = \"server-1\" }\n\
                 [[fault]]\nname = \"both\"\nat = \"1s\"\ndo = { crash = [\"server-0\", \"server-2\"] }\n";
    for (expected, met) in [
        ("\"rule.down-2\" = 4\n\"fault.refused\" = 1\n\"fault.missed\" = 4", true),
        ("\"rule.down-2\" = 99", false),
        ("\"fault.refused\" = 99", false),
    ] {
        let scenario = scenario("", "", &format!("{rules}[expect.run]\n{expected}"));
        let report = run(&scenario, 1, RunOptions { freeze: true, ..RunOptions::default() });
        assert_eq!(report.failure.is_none(), met, "{:?}", report.failure);
        let replay = frozen_again(&report);
        let signature = |report: &Report| report.failure.as_ref().map(|failure| failure.signature.clone());
        assert_eq!(signature(&report), signature(&replay), "{expected}");
        assert_eq!(report.dose["rule.down-2"], replay.dose["rule.down-2"]);
    }
}

#[test]
fn what_was_not_written_down_is_written_out() {
    let text = "[system]\nname = \"toy\"\n[[fault]]\nat = \"1s\"\nfor = \"1s\"\ndo = { crash = \"server-0\" }\n";
    let original = Scenario::parse("short.toml", text).unwrap_or_else(|error| panic!("{error}"));
    let report = run(&original, 1, RunOptions { freeze: true, ..RunOptions::default() });
    let frozen = report.frozen.as_deref().expect("it was asked for");
    for written in ["[[workload]]\nname = \"load\"\nphase = \"main\"\n", "main = \"6s\"\n", "quiet = \"15s\"\n"] {
        assert!(frozen.contains(written), "{written}\n{frozen}");
    }
    assert_eq!(frozen.matches("[[workload]]").count(), 1, "{frozen}");
    same_run(&report, &frozen_again(&report));
}
