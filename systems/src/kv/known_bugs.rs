//! The known bugs, the oracles that may report them, and the scenarios that find them: those of the store itself, and those of
//! `rsm`, which is shown by this system.

use sim::Manifest;

use super::Kv;

pub(super) fn declare(m: &mut Manifest<Kv>) {
    m.planted("kv.scan-in-pages").breaks(["linearizable"]).found_by("scans", 15).found_by("swarm", 230);
    m.planted("kv.swap-in-two-steps").breaks(["linearizable"]).found_by("scans", 15).found_by("swarm", 40);
    m.planted("kv.unknown-reported-as-failed").breaks(["linearizable"]).found_by("sessions", 15).found_by("swarm", 9);
    rsm(m);
}

fn rsm(m: &mut Manifest<Kv>) {
    // Executed once.
    m.planted("rsm.executes-again").breaks(["linearizable"]).found_by("one-key", 15).found_by("swarm", 6);
    m.planted("rsm.replies-anew").breaks(["linearizable"]).found_by("lost-replies", 30).found_by("swarm", 35);
    m.planted("rsm.late-command-executed").breaks(["linearizable"]).found_by("sessions", 75).found_by("swarm", 30);
    m.planted("rsm.new-leader-forgets-replies")
        .breaks(["linearizable", "same-state"])
        .found_by("lost-replies", 15)
        .found_by("swarm", 10);
    m.planted("rsm.snapshot-without-replies")
        .breaks(["linearizable", "same-state"])
        .found_by("snapshots", 15)
        .found_by("swarm", 25);
    m.planted("rsm.client-counts-attempts").breaks(["linearizable"]).found_by("one-key", 15).found_by("swarm", 7);
    // Sessions.
    m.planted("rsm.sessions-end-by-local-clock")
        .breaks(["same-state", "linearizable"])
        .found_by("sessions", 15)
        .found_by("swarm", 9);
    m.planted("rsm.ended-session-comes-back").breaks(["linearizable"]).found_by("sessions", 15).found_by("swarm", 14);
    m.planted("rsm.session-ids-reused").breaks(["linearizable"]).found_by("sessions", 15).found_by("swarm", 16);
    // Replies.
    m.planted("rsm.reply-before-commit").breaks(["linearizable"]).found_by("partitions", 15).found_by("swarm", 7);
    m.planted("rsm.replies-by-index").breaks(["linearizable", "always"]).found_by("reads", 60).found_by("swarm", 100);
    // Queries.
    m.planted("rsm.any-replica-answers").breaks(["linearizable"]).found_by("reads", 15).found_by("swarm", 10);
    m.planted("rsm.leader-answers-unasked").breaks(["linearizable"]).found_by("reads", 60).found_by("swarm", 240);
    m.planted("rsm.answers-before-it-has-applied")
        .breaks(["linearizable"])
        .found_by("reads", 45)
        .found_by("swarm", 140);
    // Snapshots.
    m.planted("rsm.snapshot-older-than-it-says")
        .breaks(["same-state", "linearizable"])
        .found_by("snapshots", 15)
        .found_by("swarm", 15);
    m.planted("rsm.installed-state-ignored")
        .breaks(["same-state", "linearizable"])
        .found_by("snapshots", 15)
        .found_by("swarm", 16);
}
