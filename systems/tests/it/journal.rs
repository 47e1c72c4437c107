//! The scenarios of the journal: green without known bugs, and each known bug found, by the scenario made for it and by
//! the generic swarm.

use crate::swept::Swept;
use systems::journal::Journal;

const SWEPT: Swept = Swept {
    system: &Journal,
    folder: "journal",
    made_for: &[
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
    ],
};

#[test]
fn every_scenario_holds() {
    SWEPT.every_scenario_holds(10);
}

#[test]
fn every_known_bug_is_found_by_the_scenario_made_for_it() {
    SWEPT.every_known_bug_is_found_by_its_scenario(1_000);
}

#[test]
fn every_known_bug_is_found_by_the_swarm() {
    SWEPT.every_known_bug_is_found_by_the_swarm(5_000, &[]);
}

/// A check that sees nothing would hold on a disk that keeps nothing: what is acknowledged there must be a failure.
#[test]
fn the_oracles_see_what_no_software_can_prevent() {
    for (name, signature) in [("lying-sync", "durable"), ("no-budget", "read-back")] {
        let scenario = SWEPT.scenario(name);
        for seed in 0..20 {
            let report = SWEPT.report(&scenario, seed);
            let declared = report.declared.unwrap_or_else(|| panic!("{name} seed {seed} saw nothing"));
            assert!(declared.signature.starts_with(signature), "{name} seed {seed}: {declared:?}");
        }
    }
}

#[test]
fn a_frozen_run_has_the_same_world_digest() {
    SWEPT.frozen_runs_are_the_same(60, "journal.delete-before-snapshot");
}
