//! The scenarios of Raft: green without known bugs, and each known bug found, by the scenario made for it and by the
//! generic swarm.
#![allow(clippy::disallowed_methods, reason = "reads the scenario files of this repository")]

use sim::{DynSystem, Outcome, Report, RunOptions, Scenario, run};
use systems::raft::RaftLog;

fn folder() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/raft")
}

fn scenario(name: &str) -> Scenario {
    Scenario::load(&folder().join(format!("{name}.toml"))).unwrap_or_else(|error| panic!("{error}"))
}

fn report(scenario: &Scenario, seed: u64, planted: &[String]) -> Report {
    let options = RunOptions { planted: planted.to_vec(), ..RunOptions::default() };
    run(&RaftLog, scenario, seed, options).unwrap_or_else(|error| panic!("{error}"))
}

/// The scenario made for each known bug.
const MADE_FOR: [(&str, &str); 38] = [
    ("raft.vote-not-persisted", "voters"),
    ("raft.vote-before-sync", "voters"),
    ("raft.candidate-before-sync", "voters"),
    ("raft.term-not-persisted", "power-loss"),
    ("raft.votes-twice", "elections"),
    ("raft.vote-forgotten-on-step-down", "elections"),
    ("raft.votes-for-the-longer-log", "figure-8"),
    ("raft.votes-for-the-later-term", "flapping"),
    ("raft.stale-vote-counts", "long-delays"),
    ("raft.half-is-a-quorum", "even"),
    ("raft.append-before-sync", "slow-disk"),
    ("raft.leader-counts-unsynced", "slow-disk"),
    ("raft.commits-earlier-terms", "figure-8"),
    ("raft.late-append-truncates", "unreliable"),
    ("raft.acks-the-whole-log", "figure-8-unreliable"),
    ("raft.match-from-what-was-sent", "unreliable"),
    ("raft.heartbeat-unchecked", "partitions"),
    ("raft.deposed-leader-obeyed", "long-delays"),
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
    ("raft.lease-from-the-answer", "leases"),
    ("raft.lease-forgotten-by-restart", "forgotten-leases"),
    ("raft.time-stands-still", "leases"),
];

/// Those for which the swarm needs more seeds than a test can make: it is swept for them with `dst sweep --planted`.
const RARE: [&str; 9] = [
    "raft.read-numbers-reused",
    "raft.lease-ignores-drift",
    "raft.lease-from-the-answer",
    "raft.lease-forgotten-by-restart",
    "raft.lease-survives-transfer",
    "raft.time-stands-still",
    "raft.read-joins-an-earlier-round",
    "raft.snapshot-acked-before-sync",
    "raft.members-not-rolled-back",
];

/// The first of so many seeds in which the bug is reported by an oracle that it declares.
fn found(bug: &str, scenario: &Scenario, within: u64) -> Option<u64> {
    let planted = RaftLog.description().planted.into_iter().find(|planted| planted.name == bug)?;
    (0..within).find(|&seed| {
        let failure = report(scenario, seed, &[bug.to_owned()]).failure;
        failure.is_some_and(|failure| planted.is_broken_by(&failure.signature))
    })
}

#[test]
fn every_scenario_holds() {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .expect("the scenarios are beside the crate")
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    assert!(names.len() >= 30, "{names:?}");
    for name in names {
        let scenario = scenario(&name);
        for seed in 0..6 {
            let report = report(&scenario, seed, &[]);
            assert_eq!(report.verdict, Outcome::Pass, "{name} seed {seed}: {:?}", report.failure);
        }
    }
}

#[test]
fn every_known_bug_is_found_by_the_scenario_made_for_it() {
    let known: Vec<String> = RaftLog.description().planted.into_iter().map(|planted| planted.name).collect();
    assert_eq!(known.len(), MADE_FOR.len());
    for bug in known {
        let (_, name) = MADE_FOR.iter().find(|(known, _)| *known == bug).expect("each bug has a scenario");
        let seed = found(&bug, &scenario(name), 300);
        println!("{bug} by {name}: seed {seed:?}");
        assert!(seed.is_some(), "{bug} was not found by {name}");
    }
}

#[test]
fn every_known_bug_is_found_by_the_swarm() {
    let swarm = scenario("swarm");
    for (bug, _) in MADE_FOR.iter().filter(|(bug, _)| !RARE.contains(bug)) {
        let seed = found(bug, &swarm, 300);
        println!("{bug} by the swarm: seed {seed:?}");
        assert!(seed.is_some(), "{bug} was not found by the swarm");
    }
}

#[test]
fn a_frozen_run_has_the_same_world_digest() {
    let swarm = scenario("swarm");
    for seed in 0..30 {
        // A known bug in every other run, so that failing runs are frozen too.
        let planted: Vec<String> = (seed % 2 == 1).then(|| MADE_FOR[0].0.to_owned()).into_iter().collect();
        let options = RunOptions { planted, freeze: true, ..RunOptions::default() };
        let original = run(&RaftLog, &swarm, seed, options).expect("the swarm runs");
        let text = original.frozen.clone().expect("a frozen text was asked for");
        let frozen = Scenario::parse("frozen.toml", &text).unwrap_or_else(|error| panic!("seed {seed}:\n{error}"));
        let again = report(&frozen, 0, &[]);
        assert_eq!(again.world, original.world, "seed {seed}");
        assert_eq!(again.failure, original.failure, "seed {seed}");
    }
}
