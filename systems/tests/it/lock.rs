//! The scenarios of the lock service: green without known bugs, and each known bug found.

use crate::swept::Swept;
use systems::lock::Lock;

const SWEPT: Swept = Swept { system: &Lock };

#[test]
fn every_scenario_holds() {
    // The service has no queries, and its members stay.
    let never = [
        "raft.forgotten",
        "raft.members_applied",
        "raft.read_index_received",
        "raft.read_index_requested",
        "raft.timeout_now_sent",
    ];
    SWEPT.every_scenario_holds(20, &never);
}

#[test]
fn every_known_bug_is_found() {
    SWEPT.every_known_bug_is_found(200);
}
