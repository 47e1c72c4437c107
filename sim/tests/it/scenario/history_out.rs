//! A run gives its history out when it is asked to, and is the same run.

use super::toy::{run, scenario};
use sim::RunOptions;
use sim::history::{Ended, Line};

const RULES: &str = "[[fault]]\nevery = \"300ms\"\nfor = \"200ms\"\ndo = { crash = \"random(server)\" }\n";

#[test]
fn the_history_is_all_operations_as_text() {
    let scenario = scenario("", "", RULES);
    let without = run(&scenario, 3, RunOptions::default());
    assert_eq!(without.history, None);
    let mut with = run(&scenario, 3, RunOptions { history: true, ..RunOptions::default() });
    let lines: Vec<Line> = with.history.take().expect("it was asked for");
    assert_eq!(with, without, "nothing else is different");

    let count = |how: Option<Ended>| lines.iter().filter(|line| line.outcome == how).count() as u64;
    assert_eq!(count(Some(Ended::Ok)), with.dose["ops_ok"]);
    assert_eq!(count(Some(Ended::Unknown)) + count(None), with.dose.get("ops_unknown").copied().unwrap_or(0));
    assert!(count(Some(Ended::Ok)) > 0 && count(Some(Ended::Unknown)) > 0, "{lines:?}");
    assert!(lines.is_sorted_by_key(|line| line.invoked_ns));
    for line in &lines {
        assert!(line.process > 0 && line.node.starts_with("client-"), "{line:?}");
        assert_eq!(line.kind == "put", line.input.starts_with("Put { value: "), "{line:?}");
        assert_eq!(line.outcome == Some(Ended::Ok), line.output.is_some(), "{line:?}");
        assert_eq!(line.outcome.is_some(), line.ended_ns.is_some(), "{line:?}");
        assert!(line.ended_ns.is_none_or(|ended| ended >= line.invoked_ns), "{line:?}");
    }
}
