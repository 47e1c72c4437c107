//! The known bugs, the oracles that may report them, and the scenarios that find them.

use sim::Manifest;

use super::ShardKv;

pub(super) fn declare(m: &mut Manifest<ShardKv>) {
    // Ownership.
    m.planted("shardkv.served-before-arrival")
        .breaks(["one-owner", "linearizable", "handover"])
        .found_by("partition", 500)
        .found_by("swarm", 1500);
    m.planted("shardkv.commands-after-giving-up")
        .breaks(["one-owner", "handover", "linearizable"])
        .found_by("partition", 500)
        .found_by("swarm", 1500);
    m.planted("shardkv.reads-after-giving-up").breaks(["linearizable"]).found_by("reads", 500).found_by("swarm", 1500);
    m.planted("shardkv.ownership-checked-when-proposed")
        .breaks(["one-owner", "handover", "linearizable"])
        .found_by("lost-replies", 500)
        .found_by("swarm", 1500);
    m.planted("shardkv.configuration-skipped")
        .breaks(["configurations-in-order"])
        .found_by("operators", 500)
        .found_by("swarm", 1500);
    m.planted("shardkv.adopted-in-the-middle")
        .breaks(["handover", "one-owner", "linearizable", "held-once"])
        .found_by("partition", 500)
        .found_by("swarm", 1500);
    // Moves.
    m.planted("shardkv.sessions-not-moved")
        .breaks(["handover", "linearizable"])
        .found_by("lost-replies", 500)
        .found_by("swarm", 1500);
    m.planted("shardkv.deleted-before-acknowledgement")
        .breaks(["handover"])
        .found_by("partition", 500)
        .found_by("swarm", 1500);
    m.planted("shardkv.behind-taken-for-installed")
        .breaks(["handover"])
        .found_by("partition", 500)
        .found_by("swarm", 1500);
    m.planted("shardkv.late-part-installed")
        .breaks(["linearizable", "handover"])
        .found_by("sessions", 500)
        .found_by("swarm", 1500);
    m.planted("shardkv.snapshot-without-migration")
        .breaks(["handover", "one-owner", "linearizable", "same-state"])
        .found_by("snapshots", 500)
        .found_by("swarm", 1500);
    m.planted("shardkv.never-forgotten")
        .breaks(["liveness:final", "held-once"])
        .found_by("join-leave", 500)
        .found_by("swarm", 1500);
    // The controller.
    m.planted("shardkv.moves-more-than-needed")
        .breaks(["balanced"])
        .found_by("join-leave", 500)
        .found_by("swarm", 1500);
    m.planted("shardkv.replicas-balance-differently")
        .breaks(["balanced", "same-state"])
        .found_by("controller-crash", 500)
        .found_by("swarm", 1500);
    m.planted("shardkv.weights-ignored").breaks(["balanced"]).found_by("weights", 500).found_by("swarm", 1500);
    m.planted("shardkv.lost-update").breaks(["always"]).found_by("operators", 500).found_by("swarm", 1500);
    m.planted("shardkv.load-counted-twice")
        .breaks(["load-counted-once"])
        .found_by("reports", 500)
        .found_by("swarm", 1500);
    m.planted("shardkv.moves-without-bound").breaks(["moves-bounded"]).found_by("reports", 500).found_by("swarm", 1500);
    // Sessions.
    m.planted("shardkv.new-session-elsewhere")
        .breaks(["linearizable"])
        .found_by("lost-replies", 500)
        .found_by("swarm", 1500);
    m.planted("shardkv.ended-session-comes-back")
        .breaks(["linearizable"])
        .found_by("sessions", 500)
        .found_by("swarm", 1500);
}
