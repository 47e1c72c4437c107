//! Two runs told line by line. What a change of the protocol does to them shows in the diff of the snapshots.

use std::fmt::Write;
use std::sync::{Arc, Mutex};

use sim::trace::record::{Kind, Record, Recorder};
use sim::{Outcome, Report, RunOptions, Scenario, run};
use systems::primary_backup::PrimaryBackup;

/// What would only repeat itself: pings, and the events of what the lines about nodes say.
const LEFT_OUT: [&str; 2] = ["pb.heard", "sim."];

/// Runs a scenario, and tells it: seconds, node, kind, what happened; at the end, which rare situations the
/// code itself says it was in.
fn tell(scenario: &str) -> (Report, String) {
    let scenario = Scenario::parse("story.toml", scenario).unwrap_or_else(|error| panic!("{error}"));
    let records: Arc<Mutex<Vec<Record>>> = Arc::default();
    let sink = records.clone();
    let recorder = Recorder::new(Box::new(move |record| sink.lock().expect("one thread at a time").push(record)))
        .only([Kind::Phase, Kind::Node, Kind::Fault, Kind::Event, Kind::Op]);
    let options = RunOptions { recorder: Some(recorder), ..RunOptions::default() };
    let report = run(&PrimaryBackup, &scenario, 1, options).unwrap_or_else(|error| panic!("{error}"));
    let mut text = String::new();
    let records = records.lock().expect("one thread at a time");
    for Record { at_ns, node, kind, text: what } in records.iter() {
        if LEFT_OUT.iter().any(|left_out| what.starts_with(left_out)) {
            continue;
        }
        let (s, us) = (at_ns / 1_000_000_000, at_ns / 1_000 % 1_000_000);
        let (node, kind) = (node.as_deref().unwrap_or("-"), kind.name());
        writeln!(text, "{s}.{us:06}  {node:<8}  {kind:<5}  {what}").expect("a string takes everything");
    }
    for what in &report.sometimes {
        writeln!(text, "it happened: {what}").expect("a string takes everything");
    }
    (report, text)
}

/// Asserts that lines with these ends are in the text, in this order, and returns all lines from the first to the last.
fn in_order<'a>(text: &'a str, ends: &[&str]) -> Vec<&'a str> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for end in ends {
        let from = found.last().map_or(0, |last| last + 1);
        let at = lines[from..].iter().position(|line| line.ends_with(end));
        found.push(from + at.unwrap_or_else(|| panic!("no line ends with `{end}` from line {} on:\n{text}", from + 1)));
    }
    lines[found[0]..=found[found.len() - 1]].to_vec()
}

#[test]
fn a_backup_takes_over() {
    let (report, text) = tell(
        r#"
description = "The primary dies when the backup has the second append and the client no answer"
[system]
name = "primary_backup"
servers = 2
clients = 1
[run]
main = "3s"
quiet = "3s"
schedule = "fifo"
max_down = 1
[network]
latency = { constant = "1ms" }
[[workload]]
name = "settle"
phase = "setup"
[[workload]]
name = "mixed"
args = { keys = 1, reads = 0.0, appends = 1.0, think_ms = [500, 500], ops = 3 }
[[workload]]
name = "read-all"
phase = "final"
args = { keys = 1 }
[[fault]]
name = "kill"
when = { event = "pb.applied", node = "backup", nth = 2 }
for = "1500ms"
do = { crash = "primary" }
"#,
    );
    assert_eq!(report.verdict, Outcome::Pass, "{:?}", report.failure);
    let retry = in_order(
        &text,
        &[
            r#"client-0  op     invoke Append { key: "k0", value: "0.2;" }"#,
            "server-1  event  pb.applied { view: 2, index: 2, digest: 17213888009010816394, confirmed: false }",
            "server-0  node   crash",
            "server-1  event  pb.became_primary { view: 3, initialised: true }",
            "client-0  op     ok Done",
        ],
    );
    // The append is applied once, before the crash: the answer after it is from the table.
    assert_eq!(retry.iter().filter(|line| line.contains("pb.applied")).count(), 1);
    in_order(&text, &[r#"client-0  op     ok Value("0.1;0.2;0.3;")"#, "a retry is answered from the table"]);
    insta::assert_snapshot!("a_backup_takes_over", text);
}

#[test]
fn a_deposed_primary_is_refused() {
    let (report, text) = tell(
        r#"
description = "The primary is cut off from the view service, and still asked by the client that knows it"
[system]
name = "primary_backup"
servers = 2
clients = 1
[run]
main = "3s"
quiet = "3s"
schedule = "fifo"
[network]
latency = { constant = "1ms" }
[[workload]]
name = "settle"
phase = "setup"
[[workload]]
name = "mixed"
args = { keys = 1, reads = 0.0, appends = 1.0, think_ms = [700, 700], ops = 3 }
[[workload]]
name = "read-all"
phase = "final"
args = { keys = 1 }
[[fault]]
name = "cut"
at = "100ms"
for = "2s"
do = { partition = { groups = [["primary"], ["view"]] } }
"#,
    );
    assert_eq!(report.verdict, Outcome::Pass, "{:?}", report.failure);
    let cut = in_order(
        &text,
        &[
            "fault  partition {server-0 | view-0}",
            "server-1  event  pb.became_primary { view: 3, initialised: true }",
            r#"client-0  op     invoke Append { key: "k0", value: "0.2;" }"#,
            "server-1  event  pb.completed { view: 3 }",
            "client-0  op     ok Done",
            "fault  undo partition {server-0 | view-0}",
        ],
    );
    // The client asks the old primary, which neither applies nor answers anything any more.
    assert!(!cut.iter().any(|line| line.contains("server-0  event")));
    in_order(&text, &[r#"client-0  op     ok Value("0.1;0.2;0.3;")"#, "a deposed primary is refused"]);
    insta::assert_snapshot!("a_deposed_primary_is_refused", text);
}
