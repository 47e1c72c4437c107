//! A frozen run is the same run: it has the faults that happened, at their exact moments, and no rules.

mod toy;

use std::collections::BTreeSet;

use sim::fault::Fault;
use sim::{Report, RunOptions, Scenario};
use toy::{run, scenario};

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
] }
[[fault]]
name = "inside"
when = { event = "toy.handling", nth = 5 }
times = 3
for = { draw = ["0s", "200ms"] }
do = { one_of = [{ crash = "random(server)" }, { restart = "server-0" }, { isolate = "server-1" }] }
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

#[test]
fn freezing_a_frozen_run_changes_nothing_but_the_names_of_its_faults() {
    for report in replay_all("schedule = \"fifo\"", &[], 0..10) {
        let again = frozen_again(&report);
        let thrice = frozen_again(&again);
        same_run(&again, &thrice);
        assert_eq!(report.frozen.unwrap().lines().count(), thrice.frozen.unwrap().lines().count());
    }
}
