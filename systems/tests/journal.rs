//! The scenarios of the journal: green without known bugs, and each known bug found, by the scenario made for it and by
//! the generic swarm.
#![allow(clippy::disallowed_methods, reason = "reads the scenario files of this repository")]

use sim::{DynSystem, Outcome, Report, RunOptions, Scenario, run};
use systems::journal::Journal;

fn folder() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/journal")
}

fn scenario(name: &str) -> Scenario {
    Scenario::load(&folder().join(format!("{name}.toml"))).unwrap_or_else(|error| panic!("{error}"))
}

fn report(scenario: &Scenario, seed: u64, planted: &[String]) -> Report {
    let options = RunOptions { planted: planted.to_vec(), ..RunOptions::default() };
    run(&Journal, scenario, seed, options).unwrap_or_else(|error| panic!("{error}"))
}

/// The scenario made for each known bug.
const MADE_FOR: [(&str, &str); 12] = [
    ("journal.delete-before-snapshot", "snapshot-crash"),
    ("wal.ack-before-sync", "power-loss"),
    ("wal.ignore-sync-error", "sync-errors"),
    ("wal.retry-sync", "sync-errors"),
    ("wal.trust-length", "rot-log"),
    ("wal.rot-is-tail", "rot-log"),
    ("wal.no-dir-sync", "crash"),
    ("wal.trust-cache", "kill"),
    ("wal.cut-without-sync", "power-loss"),
    ("snapshot.no-dir-sync", "snapshot-crash"),
    ("snapshot.in-place", "snapshot-crash"),
    ("snapshot.no-checksum", "rot-snapshot"),
];

/// The first of so many seeds in which the bug is reported by an oracle that it declares.
fn found(bug: &str, scenario: &Scenario, within: u64) -> Option<u64> {
    let planted = Journal.description().planted.into_iter().find(|planted| planted.name == bug)?;
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
    assert!(names.len() >= 20, "{names:?}");
    for name in names {
        let scenario = scenario(&name);
        for seed in 0..10 {
            let report = report(&scenario, seed, &[]);
            assert_eq!(report.verdict, Outcome::Pass, "{name} seed {seed}: {:?}", report.failure);
        }
    }
}

#[test]
fn every_known_bug_is_found_by_the_scenario_made_for_it() {
    let known: Vec<String> = Journal.description().planted.into_iter().map(|planted| planted.name).collect();
    assert_eq!(known.len(), MADE_FOR.len());
    for bug in known {
        let (_, name) = MADE_FOR.iter().find(|(known, _)| *known == bug).expect("each bug has a scenario");
        let seed = found(&bug, &scenario(name), 1_000);
        println!("{bug} by {name}: seed {seed:?}");
        assert!(seed.is_some(), "{bug} was not found by {name}");
    }
}

#[test]
fn every_known_bug_is_found_by_the_swarm() {
    let swarm = scenario("swarm");
    for (bug, _) in MADE_FOR {
        let seed = found(bug, &swarm, 5_000);
        println!("{bug} by the swarm: seed {seed:?}");
        assert!(seed.is_some(), "{bug} was not found by the swarm");
    }
}

/// A check that sees nothing would hold on a disk that keeps nothing: what is acknowledged there must be a failure.
#[test]
fn the_oracles_see_what_no_software_can_prevent() {
    for (name, signature) in [("lying-sync", "durable"), ("no-budget", "read-back")] {
        let scenario = scenario(name);
        for seed in 0..20 {
            let report = report(&scenario, seed, &[]);
            let declared = report.declared.unwrap_or_else(|| panic!("{name} seed {seed} saw nothing"));
            assert!(declared.signature.starts_with(signature), "{name} seed {seed}: {declared:?}");
        }
    }
}

#[test]
fn a_frozen_run_has_the_same_world_digest() {
    let swarm = scenario("swarm");
    for seed in 0..60 {
        // A known bug in every other run, so that failing runs are frozen too.
        let planted: Vec<String> = (seed % 2 == 1).then(|| MADE_FOR[0].0.to_owned()).into_iter().collect();
        let options = RunOptions { planted, freeze: true, ..RunOptions::default() };
        let original = run(&Journal, &swarm, seed, options).expect("the swarm runs");
        let text = original.frozen.clone().expect("a frozen text was asked for");
        let frozen = Scenario::parse("frozen.toml", &text).unwrap_or_else(|error| panic!("seed {seed}:\n{error}"));
        let again = report(&frozen, 0, &[]);
        assert_eq!(again.world, original.world, "seed {seed}");
        assert_eq!(again.failure, original.failure, "seed {seed}");
    }
}
