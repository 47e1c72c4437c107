//! The scenarios of the lock service: green without known bugs, and each known bug found.

use crate::swept::Swept;
use systems::lock::Lock;

const SWEPT: Swept = Swept { system: &Lock };

#[test]
fn every_scenario_holds() {
    SWEPT.every_scenario_holds(20, &[]);
}

#[test]
fn every_known_bug_is_found() {
    SWEPT.every_known_bug_is_found(200);
}
