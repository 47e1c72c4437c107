//! The scenarios of the sharded store: green without known bugs, and each known bug found.

use sim::RunOptions;
use systems::shardkv::ShardKv;

use crate::swept::Swept;

const SWEPT: Swept = Swept { system: &ShardKv };

#[test]
fn every_scenario_holds() {
    // The members of groups stay, and nobody watches the balance but in a large scenario.
    let never =
        ["raft.forgotten", "raft.members_applied", "raft.timeout_now_sent", "shardkv.improved", "shardkv.rested"];
    SWEPT.every_scenario_holds(6, &never);
}

#[test]
fn every_known_bug_is_found() {
    SWEPT.every_known_bug_is_found(200);
}

#[test]
fn a_move_is_measured_from_the_entry_that_gives_the_shard_up() {
    let scenario = SWEPT.scenario("join-leave");
    let report = sim::run(&ShardKv, &scenario, 1, RunOptions::default()).unwrap_or_else(|error| panic!("{error}"));
    let of = |kind: &str| report.metrics.recovery[kind].clone();
    let given_up = report.dose["shardkv.gave_up"];
    // Each of three replicas observes it.
    assert_eq!(of("move").time_ns.count() * 3, given_up);
    assert_eq!((of("move").unrecovered, of("move-gap").unrecovered), (0, 0));
    // Clients miss a shard for at least as long as no group serves it.
    assert!(of("move-gap").time_ns.percentile(50) > of("move").time_ns.percentile(50));
}
