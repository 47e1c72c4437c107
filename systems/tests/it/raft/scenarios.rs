//! The scenarios of Raft: green without known bugs, and each known bug found.

use crate::swept::Swept;
use sim::{RunOptions, Scenario, run};
use systems::raft::RaftLog;

const SWEPT: Swept = Swept { system: &RaftLog };

#[test]
fn every_scenario_holds() {
    SWEPT.every_scenario_holds(6, &[]);
}

#[test]
fn every_known_bug_is_found() {
    SWEPT.every_known_bug_is_found(1_000);
}

#[test]
fn a_frozen_run_has_the_same_world_digest() {
    SWEPT.frozen_runs_are_the_same(30, "raft.vote-not-persisted");
}

/// A server that lost its disk and starts as a new one would vote twice, and not have what it said it has.
#[test]
fn a_wiped_server_that_takes_part_as_a_new_one_is_noticed() {
    let text = std::fs::read_to_string("../scenarios/raft/wipe.toml").expect("it is there");
    let text = text.replace("marks_disks = true", "marks_disks = false");
    let scenario = Scenario::parse("wipe.toml", &text).unwrap_or_else(|error| panic!("{error}"));
    for seed in 0..5 {
        let report = run(&RaftLog, &scenario, seed, RunOptions::default()).unwrap_or_else(|error| panic!("{error}"));
        let failure = report.failure.unwrap_or_else(|| panic!("seed {seed} passed"));
        assert!(
            ["durability", "durable-vote", "monotonic"].contains(&failure.signature.as_str()),
            "{}",
            failure.signature
        );
    }
}
