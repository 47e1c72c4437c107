//! The scenarios of Raft: green without known bugs, and each known bug found, by the scenario made for it and by the
//! generic swarm.

use crate::swept::Swept;
use sim::{RunOptions, Scenario, run};
use systems::raft::RaftLog;

const SWEPT: Swept = Swept {
    system: &RaftLog,
    folder: "raft",
    made_for: &[
        ("raft.vote-not-persisted", "voters"),
        ("raft.vote-before-sync", "voters"),
        ("raft.candidate-before-sync", "voters"),
        ("raft.term-not-persisted", "power-loss"),
        ("raft.votes-twice", "elections"),
        ("raft.vote-forgotten-on-step-down", "elections"),
        ("raft.vote-ignores-last-term", "figure-8"),
        ("raft.vote-ignores-last-index", "flapping"),
        ("raft.denied-vote-resets-the-timer", "timers"),
        ("raft.stale-append-resets-the-timer", "timers"),
        ("raft.grant-keeps-the-timer", "timers"),
        ("raft.candidate-ignores-the-leader", "timers"),
        ("raft.reply-terms-ignored", "timers"),
        ("raft.stale-vote-counts", "long-delays"),
        ("raft.half-is-a-quorum", "even"),
        ("raft.append-before-sync", "slow-disk"),
        ("raft.leader-counts-unsynced", "slow-disk"),
        ("raft.commits-earlier-terms", "figure-8"),
        ("raft.late-append-truncates", "unreliable"),
        ("raft.acks-unmatched-entries", "figure-8-unreliable"),
        ("raft.match-index-from-next-index", "unreliable"),
        ("raft.heartbeat-without-log-check", "partitions"),
        ("raft.no-fast-backup", "figure-8"),
        ("raft.proposes-during-transfer", "transfers"),
        ("raft.transfer-before-caught-up", "transfers"),
        ("raft.stale-leader-accepted", "long-delays"),
        ("raft.log-cut-before-snapshot", "snapshot-crash"),
        ("raft.snapshot-acked-before-sync", "lagging-follower"),
        ("raft.snapshot-forgets-term", "restarts"),
        ("raft.snapshot-forgets-members", "members"),
        ("raft.snapshot-index-off-by-one", "restarts"),
        ("raft.snapshot-state-ignored", "restarts"),
        ("raft.stale-snapshot-taken", "lagging-follower"),
        ("raft.joint-is-one-majority", "members-half-sent"),
        ("raft.members-change-in-one-step", "members"),
        ("raft.members-not-rolled-back", "members-half-sent"),
        ("raft.learners-count", "learners"),
        ("raft.read-without-quorum", "isolated-leader"),
        ("raft.read-before-own-commit", "new-leader-reads"),
        ("raft.read-joins-an-earlier-round", "transfers"),
        ("raft.read-numbers-reused", "long-delays"),
        ("raft.lease-ignores-drift", "leases"),
        ("raft.lease-survives-transfer", "transfers"),
        ("raft.lease-from-reply-time", "leases"),
        ("raft.lease-forgotten-by-restart", "forgotten-leases"),
        ("raft.missed-ticks-ignored", "leases"),
    ],
};

/// Those for which the swarm needs more seeds than a test can make: it is swept for them with `dst sweep --planted`.
const RARE: [&str; 7] = [
    "raft.read-joins-an-earlier-round",
    "raft.commits-earlier-terms",
    "raft.lease-ignores-drift",
    "raft.lease-from-reply-time",
    "raft.lease-forgotten-by-restart",
    "raft.lease-survives-transfer",
    "raft.missed-ticks-ignored",
];

#[test]
fn every_scenario_holds() {
    SWEPT.every_scenario_holds(6);
}

#[test]
fn every_known_bug_is_found_by_the_scenario_made_for_it() {
    SWEPT.every_known_bug_is_found_by_its_scenario(300);
}

#[test]
fn every_known_bug_is_found_by_the_swarm() {
    SWEPT.every_known_bug_is_found_by_the_swarm(250, &RARE);
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
