//! The rows of the generic test: with more and more that goes wrong, without snapshots and with them.

use super::generic::{Generic, Seen, generic};
use super::lab::{LabConfig, assert_detects, assert_holds, servers};

/// Logs are cut when they have more bytes than this.
const LIMIT: usize = 1_000;

/// One row. Shows also that all that was to go wrong went wrong.
fn row(what: Generic, config: &LabConfig) {
    let limit = config.params.snapshot_bytes;
    let is_unreliable = config.network.loss > 0.0;
    let mut minorities = 0;
    for seen in assert_holds(config, |lab| generic(lab, what)) {
        println!("{seen:?}");
        let Seen { ops, least, in_flight, with_snapshot, term, lost, kept, .. } = seen;
        assert!(ops as u64 >= 50 * what.clients && least >= 1, "{seen:?}");
        assert_eq!(lost > 0, is_unreliable, "{seen:?}");
        assert_eq!(kept > 0, what.partitions, "{seen:?}");
        minorities += seen.minorities;
        assert!(!what.restarts || in_flight >= 3 && term > 3, "{seen:?}");
        assert!(!what.restarts || limit == 0 || with_snapshot == 3 * config.params.servers, "{seen:?}");
        if limit == 0 {
            assert_eq!(seen.largest_snapshot, 0, "{seen:?}");
        } else {
            // A snapshot is made when the log has outgrown the last one.
            let limit = limit.max(seen.largest_snapshot);
            assert!(
                seen.largest_snapshot > 0 && seen.log_at_end <= 2 * limit && seen.largest_log <= 8 * limit,
                "{seen:?}"
            );
        }
    }
    assert_eq!(minorities > 0, what.partitions);
}

fn clients(clients: u64) -> Generic {
    Generic { clients, ..Generic::default() }
}

fn with_partitions(what: Generic) -> Generic {
    Generic { partitions: true, ..what }
}

fn with_restarts(what: Generic) -> Generic {
    Generic { restarts: true, ..what }
}

fn any_key(what: Generic) -> Generic {
    Generic { any_key: true, ..what }
}

/// The lab's Basic.
#[test]
fn one_client() {
    row(clients(1), &servers(5));
}

/// Concurrent.
#[test]
fn five_clients() {
    row(clients(5), &servers(5));
}

/// Unreliable.
#[test]
fn an_unreliable_network() {
    row(clients(5), &servers(5).unreliable());
    assert_detects("rsm.executes-again", &servers(5).unreliable(), |lab| generic(lab, clients(5)));
}

/// ManyPartitionsOneClient.
#[test]
fn partitions_and_one_client() {
    row(with_partitions(clients(1)), &servers(5));
}

/// ManyPartitionsManyClients.
#[test]
fn partitions() {
    row(with_partitions(clients(5)), &servers(5));
}

/// PersistOneClient.
#[test]
fn restarts_and_one_client() {
    row(with_restarts(clients(1)), &servers(5));
}

/// PersistConcurrent.
#[test]
fn restarts() {
    row(with_restarts(clients(5)), &servers(5));
}

/// PersistConcurrentUnreliable.
#[test]
fn restarts_and_an_unreliable_network() {
    row(with_restarts(clients(5)), &servers(5).unreliable());
}

/// PersistPartition.
#[test]
fn restarts_and_partitions() {
    row(with_restarts(with_partitions(clients(5))), &servers(5));
}

/// PersistPartitionUnreliable.
#[test]
fn restarts_and_partitions_and_an_unreliable_network() {
    let (what, config) = (with_restarts(with_partitions(clients(5))), servers(5).unreliable());
    row(what, &config);
    assert_detects("rsm.new-leader-forgets-replies", &config, |lab| generic(lab, what));
}

/// PersistPartitionUnreliableLinearizable.
#[test]
fn everything_and_any_key() {
    row(any_key(with_restarts(with_partitions(clients(15)))), &servers(7).unreliable());
}

/// SnapshotRecover.
#[test]
fn snapshots_and_restarts_and_one_client() {
    row(with_restarts(clients(1)), &servers(5).limit(LIMIT));
}

/// SnapshotRecoverManyClients.
#[test]
fn snapshots_and_restarts_and_many_clients() {
    row(with_restarts(clients(20)), &servers(5).limit(LIMIT));
}

/// SnapshotUnreliable.
#[test]
fn snapshots_and_an_unreliable_network() {
    row(clients(5), &servers(5).limit(LIMIT).unreliable());
}

/// SnapshotUnreliableRecover.
#[test]
fn snapshots_and_restarts_and_an_unreliable_network() {
    let config = servers(5).limit(LIMIT).unreliable();
    row(with_restarts(clients(5)), &config);
    assert_detects("rsm.snapshot-without-replies", &config, |lab| generic(lab, with_restarts(clients(5))));
}

/// SnapshotUnreliableRecoverConcurrentPartition.
#[test]
fn snapshots_and_restarts_and_partitions_and_an_unreliable_network() {
    row(with_restarts(with_partitions(clients(5))), &servers(5).limit(LIMIT).unreliable());
}

/// SnapshotUnreliableRecoverConcurrentPartitionLinearizable.
#[test]
fn everything_and_snapshots_and_any_key() {
    row(any_key(with_restarts(with_partitions(clients(15)))), &servers(7).limit(LIMIT).unreliable());
}
