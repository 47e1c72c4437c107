//! The scenarios of the key/value store: green without known bugs, and each known bug found, by the scenario made for it and by
//! the generic swarm.

use crate::swept::Swept;
use systems::kv::Kv;

const SWEPT: Swept = Swept {
    system: &Kv,
    folder: "kv",
    made_for: &[
        ("kv.scan-in-pages", "scans"),
        ("kv.swap-in-two-steps", "scans"),
        ("kv.unknown-reported-as-failed", "sessions"),
        ("rsm.executes-again", "one-key"),
        ("rsm.replies-anew", "lost-replies"),
        ("rsm.late-command-executed", "sessions"),
        ("rsm.new-leader-forgets-replies", "lost-replies"),
        ("rsm.snapshot-without-replies", "snapshots"),
        ("rsm.client-counts-attempts", "one-key"),
        ("rsm.sessions-end-by-local-clock", "sessions"),
        ("rsm.ended-session-comes-back", "sessions"),
        ("rsm.session-ids-reused", "sessions"),
        ("rsm.reply-before-commit", "partitions"),
        ("rsm.replies-by-index", "reads"),
        ("rsm.any-replica-answers", "reads"),
        ("rsm.leader-answers-unasked", "reads"),
        ("rsm.answers-before-it-has-applied", "reads"),
        ("rsm.snapshot-older-than-it-says", "snapshots"),
        ("rsm.installed-state-ignored", "snapshots"),
    ],
};

#[test]
fn every_scenario_holds() {
    SWEPT.every_scenario_holds(10);
}

#[test]
fn every_known_bug_is_found_by_the_scenario_made_for_it() {
    SWEPT.every_known_bug_is_found_by_its_scenario(300);
}

#[test]
fn every_known_bug_is_found_by_the_swarm() {
    SWEPT.every_known_bug_is_found_by_the_swarm(300, &[]);
}

#[test]
fn a_frozen_run_has_the_same_world_digest() {
    SWEPT.frozen_runs_are_the_same(30, "rsm.executes-again");
}
