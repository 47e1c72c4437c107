//! The scenarios of the key/value store: green without known bugs, and each known bug found.

use crate::swept::Swept;
use systems::kv::Kv;

const SWEPT: Swept = Swept { system: &Kv };

#[test]
fn every_scenario_holds() {
    SWEPT.every_scenario_holds(10, &["raft.forgotten"]);
}

#[test]
fn every_known_bug_is_found() {
    SWEPT.every_known_bug_is_found(1_000);
}

#[test]
fn a_frozen_run_has_the_same_world_digest() {
    SWEPT.frozen_runs_are_the_same(30, "rsm.executes-again");
}
