//! The scenarios of primary/backup: green without known bugs, and each known bug found, by the scenario made for it and by
//! the generic swarm.
#![allow(clippy::disallowed_methods, reason = "reads the scenario files of this repository")]

use sim::{DynSystem, Outcome, Report, RunOptions, Scenario, run};
use systems::primary_backup::PrimaryBackup;

fn folder() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/primary_backup")
}

fn scenario(name: &str) -> Scenario {
    Scenario::load(&folder().join(format!("{name}.toml"))).unwrap_or_else(|error| panic!("{error}"))
}

fn report(scenario: &Scenario, seed: u64, planted: &[String]) -> Report {
    let options = RunOptions { planted: planted.to_vec(), ..RunOptions::default() };
    run(&PrimaryBackup, scenario, seed, options).unwrap_or_else(|error| panic!("{error}"))
}

/// The scenario made for each known bug.
const MADE_FOR: [(&str, &str); 10] = [
    ("pb.no-backup-ack", "crash-primary"),
    ("pb.view-before-ack", "view-service-crash"),
    ("pb.ready-before-transfer", "new-backup"),
    ("pb.transfer-without-sessions", "new-backup"),
    ("pb.transfer-beside-operations", "new-backup"),
    ("pb.operations-side-by-side", "concurrent-clients"),
    ("pb.stale-read", "deposed-primary"),
    ("pb.backup-serves", "concurrent-clients"),
    ("pb.empty-keeps-role", "rolling-restarts"),
    ("pb.view-not-durable", "view-service-crash"),
];

/// The first of 2,000 seeds in which the bug is reported by an oracle that it declares.
fn found(bug: &str, scenario: &Scenario) -> Option<u64> {
    let planted = PrimaryBackup.description().planted.into_iter().find(|planted| planted.name == bug)?;
    (0..2_000).find(|&seed| {
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
    assert!(names.len() >= 6, "{names:?}");
    for name in names {
        let scenario = scenario(&name);
        for seed in 0..15 {
            let report = report(&scenario, seed, &[]);
            assert_eq!(report.verdict, Outcome::Pass, "{name} seed {seed}: {:?}", report.failure);
        }
    }
}

#[test]
fn every_known_bug_is_found_by_the_scenario_made_for_it() {
    let known: Vec<String> = PrimaryBackup.description().planted.into_iter().map(|planted| planted.name).collect();
    assert_eq!(known.len(), MADE_FOR.len());
    for bug in known {
        let (_, name) = MADE_FOR.iter().find(|(known, _)| *known == bug).expect("each bug has a scenario");
        let seed = found(&bug, &scenario(name));
        println!("{bug} by {name}: seed {seed:?}");
        assert!(seed.is_some(), "{bug} was not found by {name}");
    }
}

#[test]
fn every_known_bug_is_found_by_the_swarm() {
    let swarm = scenario("swarm");
    for (bug, _) in MADE_FOR {
        let seed = found(bug, &swarm);
        println!("{bug} by the swarm: seed {seed:?}");
        assert!(seed.is_some(), "{bug} was not found by the swarm");
    }
}

/// How many seeds of the swarm are frozen and run again. `DST_FROZEN_SEEDS` asks for more.
fn frozen_seeds() -> u64 {
    std::env::var("DST_FROZEN_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(100)
}

#[test]
fn a_frozen_run_has_the_same_world_digest() {
    let swarm = scenario("swarm");
    for seed in 0..frozen_seeds() {
        // A known bug in every other run, so that failing runs are frozen too.
        let planted: Vec<String> = (seed % 2 == 1).then(|| "pb.stale-read".to_owned()).into_iter().collect();
        let options = RunOptions { planted, freeze: true, ..RunOptions::default() };
        let original = run(&PrimaryBackup, &swarm, seed, options).expect("the swarm runs");
        let text = original.frozen.clone().expect("a frozen text was asked for");
        let frozen = Scenario::parse("frozen.toml", &text).unwrap_or_else(|error| panic!("seed {seed}:\n{error}"));
        let again = report(&frozen, 0, &[]);
        assert_eq!(again.world, original.world, "seed {seed}");
        assert_eq!(again.failure, original.failure, "seed {seed}");
    }
}

#[test]
fn a_seed_has_one_digest_in_any_order_and_company() {
    let swarm = scenario("swarm");
    let digests = |seeds: Vec<u64>| -> Vec<(u64, String)> {
        seeds.into_iter().map(|seed| (seed, report(&swarm, seed, &[]).digest)).collect()
    };
    let forward = digests((0..24).collect());
    let mut backward = digests((0..24).rev().collect());
    backward.reverse();
    assert_eq!(forward, backward);
    let (even, odd) = std::thread::scope(|scope| {
        let even = scope.spawn(|| digests((0..24).step_by(2).collect()));
        let odd = digests((1..24).step_by(2).collect());
        (even.join().expect("no panic"), odd)
    });
    for pair in even.into_iter().chain(odd) {
        assert!(forward.contains(&pair));
    }
}
