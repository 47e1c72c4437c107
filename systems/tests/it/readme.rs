//! The scenario in the README is one that a user could write, and it does what it says; the failure that it shows is that of
//! the run that it names.

use std::sync::{Arc, Mutex};

use sim::trace::record::{Kind, Record, Recorder};
use sim::{Outcome, RunOptions, Scenario, run};
use systems::kv::Kv;
use systems::primary_backup::PrimaryBackup;
use systems::shardkv::ShardKv;

#[test]
fn the_sentence_takes_fewer_than_15_lines_and_happens() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).expect("it is there");
    let text = readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    assert!(text.lines().filter(|line| !line.is_empty()).count() < 15, "{text}");
    let scenario = Scenario::parse("README.md", text).unwrap_or_else(|error| panic!("{error}"));
    sim::validate(&PrimaryBackup, &scenario).unwrap_or_else(|error| panic!("{error}"));
    let mut crashes = 0;
    for seed in 0..30 {
        let report = run(&PrimaryBackup, &scenario, seed, RunOptions::default()).expect("it runs");
        assert_eq!(report.verdict, Outcome::Pass, "seed {seed}: {:?}", report.failure);
        crashes += report.dose.get("crash").copied().unwrap_or(0);
    }
    // Not in every run: the last copy is spared.
    assert!(crashes > 10, "{crashes}");
}

#[test]
fn the_balance_improves_as_it_says() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).expect("it is there");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/large/shardkv/rebalancing.toml");
    let scenario = Scenario::load(std::path::Path::new(path)).unwrap_or_else(|error| panic!("{error}"));
    let improved: Arc<Mutex<Vec<Record>>> = Arc::default();
    let sink = improved.clone();
    let keep = move |record: Record| {
        if record.text.starts_with("shardkv.improved") {
            sink.lock().expect("one thread at a time").push(record);
        }
    };
    let options =
        RunOptions { recorder: Some(Recorder::new(Box::new(keep)).only([Kind::Event])), ..RunOptions::default() };
    let report = run(&ShardKv, &scenario, 2, options).expect("it runs");
    assert_eq!(report.verdict, Outcome::Pass, "{:?}", report.failure);
    let improved = improved.lock().expect("one thread at a time");
    assert_eq!(improved.len(), 1);
    assert!(readme.contains(&improved[0].text), "the README does not show: {}", improved[0].text);
    let moves = &report.metrics.recovery["move"].time_ns;
    let ms = |ns: u64| (ns + 500_000) / 1_000_000;
    let line = format!("move {}ms", moves.percentile(99).map_or(0, ms));
    assert!(readme.contains(&line), "the README does not show: {line}");
}

#[test]
fn the_failure_is_that_of_the_run() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).expect("it is there");
    let crash = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/kv/crash.toml"));
    let scenario = Scenario::load(crash).unwrap_or_else(|error| panic!("{error}"));
    let options = RunOptions { planted: vec!["rsm.executes-again".to_owned()], ..RunOptions::default() };
    let failure = run(&Kv, &scenario, 16, options).expect("it runs").failure.expect("it fails");
    for line in failure.explanation.lines() {
        assert!(readme.contains(line.trim()), "the README does not show: {line}");
    }
}
