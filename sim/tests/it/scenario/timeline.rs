//! What a plan says beforehand is what happens.

use super::toy::{run, scenario};
use sim::{Planned, RunOptions, Scenario, timeline};

/// Faults that hit the same nodes whenever they come up, and disturb nobody.
const RULES: &str = r#"
[[fault]]
name = "once"
at = { draw = ["100ms", "900ms"] }
delay = "7ms"
for = { draw = ["10ms", "400ms"] }
do = { clock = { nodes = "client-1", offset = { draw = ["1ms", "9ms"] } } }
[[fault]]
name = "often"
every = { draw = ["100ms", "400ms"] }
for = { draw = ["20ms", "300ms"] }
do = { one_of = [
    { weight = 2, pause = "client-1" },
    { clog = { from = "client-1", to = "server-0" } },
    { slow_cpu = { nodes = "client-1", poll = "2us" } },
] }
[[fault]]
name = "then"
after = "often"
times = 3
delay = "1ms"
for = { draw = ["1ms", "9ms"] }
do = { pause = "client-1" }
[[fault]]
name = "meanwhile"
every = "150ms"
while = "often"
times = 9
for = { draw = ["1ms", "30ms"] }
do = { one_of = [{ pause = "client-1" }, { clog = { from = "client-1", to = "server-1" } }] }
[[fault]]
name = "on-event"
when = { event = "toy.beat", nth = 7, node = "server-1", where = { round = 9 } }
delay = "3ms"
do = { halves = "server" }
"#;

/// Of each line: moment in nanoseconds, rule, what it did and for how long.
fn happened(scenario: &Scenario, seed: u64) -> Vec<String> {
    let report = run(scenario, seed, RunOptions::default());
    assert_eq!(report.failure, None);
    report.faults
}

fn as_line(planned: &Planned) -> Option<String> {
    let at = planned.at_ns?;
    let lasts = planned.lasts_ns.map_or(String::new(), |ns| format!(" for {:#}", sim::Time::from_nanos(ns)));
    Some(format!("{}.{:09}s {}: {}{lasts}", at / 1_000_000_000, at % 1_000_000_000, planned.rule, planned.what))
}

#[test]
fn what_the_clock_brings_happens_as_planned() {
    let scenario = scenario("", "", RULES);
    let mut passed_over = 0;
    for seed in 0..30 {
        let plan = timeline(&scenario.plan(seed).unwrap(), seed);
        let mut planned: Vec<String> = plan.iter().filter_map(as_line).collect();
        let mut happened = happened(&scenario, seed);
        let guarded = |line: &String| line.contains(" meanwhile: ");
        // Those that wait for another to be in force are a part of the planned ones.
        assert!(
            happened.iter().filter(|line| guarded(line)).all(|line| planned.contains(line)),
            "seed {seed}: {planned:#?} {happened:#?}"
        );
        passed_over += planned.iter().filter(|line| guarded(line) && !happened.contains(line)).count();
        planned.retain(|line| !guarded(line));
        happened.retain(|line| !guarded(line));
        planned.sort();
        happened.sort();
        assert_eq!(planned, happened, "seed {seed}");
        assert!(planned.len() > 8, "{planned:?}");
    }
    assert!(passed_over > 30, "{passed_over}");
}

#[test]
fn what_waits_for_an_event_says_so() {
    let plan = timeline(&scenario("", "", RULES).plan(1).unwrap(), 1);
    let last = plan.last().unwrap();
    assert_eq!((last.rule.as_str(), last.at_ns, last.lasts_ns), ("on-event", None, None));
    assert_eq!(last.what, "halves server");
    assert_eq!(last.waits_for.as_deref(), Some("toy.beat number 7 on server-1 with { round = 9 }, and 3ms more"));
    let meanwhile = plan.iter().find(|planned| planned.rule == "meanwhile").unwrap();
    assert_eq!(meanwhile.waits_for.as_deref(), Some("while `often` is in force"));
}
