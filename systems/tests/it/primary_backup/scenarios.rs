//! The scenarios of primary/backup: green without known bugs, and each known bug found.

use crate::swept::Swept;
use systems::primary_backup::PrimaryBackup;

const SWEPT: Swept = Swept { system: &PrimaryBackup };

#[test]
fn every_scenario_holds() {
    SWEPT.every_scenario_holds(15, &[]);
}

#[test]
fn every_known_bug_is_found() {
    SWEPT.every_known_bug_is_found(1_000);
}

/// How many seeds of the swarm are frozen and run again. `DST_FROZEN_SEEDS` asks for more.
fn frozen_seeds() -> u64 {
    std::env::var("DST_FROZEN_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(100)
}

#[test]
fn a_frozen_run_has_the_same_world_digest() {
    SWEPT.frozen_runs_are_the_same(frozen_seeds(), "pb.stale-read");
}

#[test]
fn a_seed_has_one_digest_in_any_order_and_company() {
    let swarm = SWEPT.scenario("swarm");
    let digests = |seeds: Vec<u64>| -> Vec<(u64, String)> {
        seeds.into_iter().map(|seed| (seed, SWEPT.report(&swarm, seed).digest)).collect()
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
