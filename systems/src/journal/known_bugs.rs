//! The known bugs, the oracles that may report them, and the scenarios that find them: the journal's own, and those of
//! `storage`, which is shown by this system.

use sim::Manifest;

use super::Journal;

pub(super) fn declare(m: &mut Manifest<Journal>) {
    m.planted("journal.delete-before-snapshot")
        .breaks(["durable", "read-back"])
        .found_by("snapshot-crash", 60)
        .found_by("swarm", 30);
    m.planted("wal.ack-before-sync").breaks(["durable", "read-back"]).found_by("power-loss", 5).found_by("swarm", 5);
    m.planted("wal.ignore-sync-error")
        .breaks(["durable", "read-back"])
        .found_by("sync-errors", 60)
        .found_by("swarm", 850);
    m.planted("wal.retry-sync").breaks(["durable", "read-back"]).found_by("sync-errors", 5).found_by("swarm", 40);
    m.planted("wal.trust-length")
        .breaks(["ordered", "read-back", "always:journal.a-verified-record-is-one"])
        .found_by("rot-log", 15)
        .found_by("swarm", 25);
    m.planted("wal.rot-is-tail").breaks(["durable", "read-back"]).found_by("rot-log", 5).found_by("swarm", 25);
    m.planted("wal.no-dir-sync").breaks(["durable", "read-back"]).found_by("crash", 8).found_by("swarm", 9);
    m.planted("wal.trust-cache").breaks(["durable", "read-back"]).found_by("kill", 5).found_by("swarm", 10);
    m.planted("wal.cut-without-sync").breaks(["durable", "read-back"]).found_by("power-loss", 5).found_by("swarm", 5);
    m.planted("snapshot.no-dir-sync").breaks(["durable", "read-back"]).found_by("power-loss", 11).found_by("swarm", 25);
    m.planted("snapshot.in-place")
        .breaks(["durable", "read-back"])
        .found_by("snapshot-crash", 150)
        .found_by("swarm", 140);
    m.planted("snapshot.no-checksum")
        .breaks(["ordered", "read-back", "always:journal.a-verified-snapshot-is-one"])
        .found_by("rot-snapshot", 15)
        .found_by("swarm", 65);
}
