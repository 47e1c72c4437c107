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

/// Without pre-votes a server that comes back has a higher term, and deposes the leader.
#[test]
fn a_server_that_comes_back_deposes_the_leader_without_pre_votes() {
    let text = std::fs::read_to_string("../scenarios/raft/undisturbed.toml").expect("it is there");
    let text = format!("{text}\n[system.raft]\npre_vote = false\n");
    let scenario = Scenario::parse("undisturbed.toml", &text).unwrap_or_else(|error| panic!("{error}"));
    let options = RunOptions { freeze: true, ..RunOptions::default() };
    let report = run(&RaftLog, &scenario, 0, options).unwrap_or_else(|error| panic!("{error}"));
    let failure = report.failure.expect("it fails");
    assert_eq!(failure.signature, "dose:raft.became_leader");
    assert!(failure.explanation.contains("exactly 1 times"), "{}", failure.explanation);
    // The least is left out of a frozen run, and the most stays.
    let frozen = report.frozen.expect("it was asked for");
    assert!(frozen.contains("most = 1") && !frozen.contains("least"), "{frozen}");
    let frozen = Scenario::parse("frozen.toml", &frozen).unwrap_or_else(|error| panic!("{error}"));
    let again = run(&RaftLog, &frozen, 0, RunOptions::default()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(again.failure.expect("it fails again").signature, failure.signature);
}
