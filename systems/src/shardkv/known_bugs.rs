//! The known bugs, the oracles that may report them, and the scenarios that find them.

use sim::Manifest;

use super::ShardKv;

pub(super) fn declare(m: &mut Manifest<ShardKv>) {
    // Ownership.
    m.planted("shardkv.served-before-arrival")
        .breaks(["handover", "linearizable"])
        .found_by("partition", 15)
        .found_by("swarm", 15);
    m.planted("shardkv.commands-after-giving-up")
        .breaks(["handover", "linearizable", "one-owner"])
        .found_by("partition", 15)
        .found_by("swarm", 25);
    m.planted("shardkv.reads-after-giving-up").breaks(["linearizable"]).found_by("reads", 20).found_by("swarm", 55);
    m.planted("shardkv.ownership-checked-when-proposed")
        .breaks(["handover"])
        .found_by("lost-replies", 25)
        .found_by("swarm", 35);
    m.planted("shardkv.configuration-skipped")
        .breaks(["configurations-in-order"])
        .found_by("operators", 15)
        .found_by("swarm", 15);
    m.planted("shardkv.adopted-in-the-middle").breaks(["handover"]).found_by("partition", 15).found_by("swarm", 15);
    // Moves.
    m.planted("shardkv.sessions-not-moved").breaks(["handover"]).found_by("lost-replies", 15).found_by("swarm", 15);
    m.planted("shardkv.deleted-before-acknowledgement")
        .breaks(["handover"])
        .found_by("partition", 15)
        .found_by("swarm", 15);
    m.planted("shardkv.behind-taken-for-installed")
        .breaks(["handover"])
        .found_by("partition", 15)
        .found_by("swarm", 15);
    m.planted("shardkv.late-part-installed")
        .breaks(["linearizable", "sessions-end-late"])
        .found_by("sessions", 35)
        .found_by("swarm", 80);
    m.planted("shardkv.snapshot-without-migration")
        .breaks(["handover", "linearizable", "same-state"])
        .found_by("snapshots", 15)
        .found_by("swarm", 80);
    m.planted("shardkv.never-forgotten").breaks(["liveness:final"]).found_by("join-leave", 15).found_by("swarm", 15);
    // The controller.
    m.planted("shardkv.moves-more-than-needed").breaks(["balanced"]).found_by("join-leave", 15).found_by("swarm", 15);
    m.planted("shardkv.replicas-balance-differently")
        .breaks(["balanced"])
        .found_by("controller-crash", 15)
        .found_by("swarm", 15);
    m.planted("shardkv.weights-ignored").breaks(["balanced"]).found_by("weights", 15).found_by("swarm", 55);
    m.planted("shardkv.lost-update").breaks(["always"]).found_by("operators", 15).found_by("swarm", 15);
    m.planted("shardkv.load-counted-twice").breaks(["load-counted-once"]).found_by("reports", 20).found_by("swarm", 25);
    m.planted("shardkv.moves-without-bound").breaks(["moves-bounded"]).found_by("reports", 45).found_by("swarm", 170);
    // Sessions.
    m.planted("shardkv.new-session-elsewhere")
        .breaks(["linearizable"])
        .found_by("lost-replies", 15)
        .found_by("swarm", 65);
    m.planted("shardkv.ended-session-comes-back")
        .breaks(["linearizable"])
        .found_by("sessions", 15)
        .found_by("swarm", 15);
}
