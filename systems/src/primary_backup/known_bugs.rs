//! The known bugs, each one line where it would be made: the oracles that may report it, and the scenarios that find it.

use sim::Manifest;

use super::PrimaryBackup;

pub(super) fn declare(m: &mut Manifest<PrimaryBackup>) {
    m.planted("pb.no-backup-ack")
        .breaks(["linearizable", "replicas-agree", "always:pb.backup-misses-nothing"])
        .found_by("crash-primary", 5)
        .found_by("swarm", 5);
    m.planted("pb.view-before-ack")
        .breaks(["view-order", "primary-has-state", "linearizable"])
        .found_by("view-service-crash", 5)
        .found_by("swarm", 5);
    m.planted("pb.ready-before-transfer")
        .breaks(["primary-has-state", "linearizable", "replicas-agree"])
        .found_by("new-backup", 45)
        .found_by("swarm", 85);
    m.planted("pb.transfer-without-sessions")
        .breaks(["linearizable"])
        .found_by("new-backup", 335)
        .found_by("swarm", 360);
    m.planted("pb.transfer-beside-operations")
        .breaks(["linearizable", "replicas-agree", "always:pb.backup-misses-nothing"])
        .found_by("new-backup", 6)
        .found_by("swarm", 14);
    m.planted("pb.operations-side-by-side")
        .breaks(["linearizable", "replicas-agree", "always:pb.backup-misses-nothing"])
        .found_by("concurrent-clients", 5)
        .found_by("swarm", 5);
    m.planted("pb.stale-read").breaks(["linearizable"]).found_by("deposed-primary", 5).found_by("swarm", 180);
    m.planted("pb.backup-serves")
        .breaks(["one-server-per-view", "linearizable", "replicas-agree"])
        .found_by("concurrent-clients", 41)
        .found_by("swarm", 17);
    m.planted("pb.empty-keeps-role")
        .breaks(["linearizable", "replicas-agree", "primary-has-state"])
        .found_by("rolling-restarts", 10)
        .found_by("swarm", 12);
    m.planted("pb.view-not-durable")
        .breaks(["view-order", "one-server-per-view", "linearizable", "primary-has-state"])
        .found_by("view-service-crash", 5)
        .found_by("swarm", 10);
}
