//! The scenarios of the journal: green without known bugs, and each known bug found.

use crate::swept::Swept;
use systems::journal::Journal;

const SWEPT: Swept = Swept { system: &Journal };

#[test]
fn every_scenario_holds() {
    SWEPT.every_scenario_holds(10, &[]);
}

#[test]
fn every_known_bug_is_found() {
    SWEPT.every_known_bug_is_found(1_000);
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
