//! The known bugs, each one line where it would be made: the oracles that may report it, and the scenarios that find it.

use sim::Manifest;

use super::RaftLog;

pub(super) fn declare(m: &mut Manifest<RaftLog>) {
    votes_and_terms(m);
    replication(m);
    snapshots(m);
    memberships(m);
    reads(m);
}

fn votes_and_terms(m: &mut Manifest<RaftLog>) {
    m.planted("raft.vote-not-persisted")
        .breaks(["durable-vote", "election-safety"])
        .found_by("voters", 5)
        .found_by("swarm", 6);
    m.planted("raft.vote-before-sync")
        .breaks(["durable-vote", "monotonic", "election-safety"])
        .found_by("voters", 5)
        .found_by("swarm", 35);
    m.planted("raft.candidate-before-sync")
        .breaks(["durable-vote", "monotonic", "election-safety"])
        .found_by("voters", 5)
        .found_by("swarm", 55);
    m.planted("raft.term-not-persisted")
        .breaks(["monotonic", "durable-vote"])
        .found_by("power-loss", 8)
        .found_by("swarm", 17);
    m.planted("raft.votes-twice")
        .breaks(["durable-vote", "election-safety"])
        .found_by("elections", 8)
        .found_by("swarm", 14);
    m.planted("raft.vote-forgotten-on-step-down")
        .breaks(["durable-vote", "election-safety"])
        .found_by("elections", 290)
        .found_by("swarm", 17);
    m.planted("raft.vote-ignores-last-term")
        .breaks(["leader-completeness", "state-machine-safety"])
        .found_by("figure-8", 24)
        .found_by("swarm", 620);
    m.planted("raft.vote-ignores-last-index")
        .breaks(["leader-completeness", "state-machine-safety"])
        .found_by("flapping", 300)
        .found_by("swarm", 45);
    m.planted("raft.denied-vote-resets-the-timer")
        .breaks(["always:raft.election-in-time"])
        .found_by("timers", 7)
        .found_by("swarm", 25);
    m.planted("raft.stale-append-resets-the-timer")
        .breaks(["always:raft.election-in-time"])
        .found_by("timers", 18)
        .found_by("swarm", 70);
    m.planted("raft.grant-keeps-the-timer")
        .breaks(["always:raft.no-early-election"])
        .found_by("timers", 6)
        .found_by("swarm", 8);
    m.planted("raft.candidate-ignores-the-leader")
        .breaks(["always:raft.no-early-election"])
        .found_by("timers", 36)
        .found_by("swarm", 50);
    m.planted("raft.reply-terms-ignored").breaks(["liveness"]).found_by("timers", 11).found_by("swarm", 140);
    m.planted("raft.stale-vote-counts")
        .breaks(["quorums:elected", "election-safety"])
        .found_by("long-delays", 230)
        .found_by("swarm", 280);
    m.planted("raft.half-is-a-quorum")
        .breaks(["quorums:elected", "election-safety", "committed-on-disks"])
        .found_by("even", 5)
        .found_by("swarm", 10);
}

fn replication(m: &mut Manifest<RaftLog>) {
    m.planted("raft.append-before-sync")
        .breaks(["committed-on-disks", "leader-completeness", "monotonic", "transfer-target-up-to-date"])
        .found_by("slow-disk", 5)
        .found_by("swarm", 5);
    m.planted("raft.leader-counts-unsynced")
        .breaks(["committed-on-disks", "leader-completeness"])
        .found_by("slow-disk", 5)
        .found_by("swarm", 9);
    m.planted("raft.commits-earlier-terms")
        .breaks(["leader-completeness", "state-machine-safety"])
        .found_by("figure-8", 300)
        .found_by("swarm", 20000);
    m.planted("raft.late-append-truncates")
        .breaks(["committed-on-disks", "leader-completeness", "panic", "liveness"])
        .found_by("unreliable", 60)
        .found_by("swarm", 18);
    m.planted("raft.acks-unmatched-entries")
        .breaks(["committed-on-disks", "leader-completeness", "ordering", "liveness", "panic"])
        .found_by("figure-8-unreliable", 150)
        .found_by("swarm", 100);
    m.planted("raft.match-index-from-next-index")
        .breaks(["committed-on-disks", "leader-completeness"])
        .found_by("unreliable", 5)
        .found_by("swarm", 7);
    m.planted("raft.heartbeat-without-log-check")
        .breaks(["committed-on-disks", "state-machine-safety", "ordering"])
        .found_by("partitions", 9)
        .found_by("swarm", 16);
    m.planted("raft.no-fast-backup").breaks(["fast-backup"]).found_by("figure-8", 63).found_by("swarm", 620);
    m.planted("raft.proposes-during-transfer")
        .breaks(["always:raft.no-proposals-during-transfer"])
        .found_by("transfers", 5)
        .found_by("swarm", 35);
    m.planted("raft.transfer-before-caught-up")
        .breaks(["transfer-target-up-to-date"])
        .found_by("transfers", 6)
        .found_by("swarm", 15);
    m.planted("raft.stale-leader-accepted")
        .breaks([
            "leader-completeness",
            "state-machine-safety",
            "log-matching",
            "panic",
            "always:raft.election-in-time",
        ])
        .found_by("long-delays", 38)
        .found_by("swarm", 35);
}

fn snapshots(m: &mut Manifest<RaftLog>) {
    m.planted("raft.log-cut-before-snapshot")
        .breaks(["durability"])
        .found_by("snapshot-crash", 670)
        .found_by("swarm", 4000);
    m.planted("raft.snapshot-acked-before-sync")
        .breaks(["durability"])
        .found_by("lagging-follower", 14)
        .found_by("swarm", 130);
    m.planted("raft.snapshot-forgets-term")
        .breaks(["log-matching", "durability", "liveness"])
        .found_by("restarts", 17)
        .found_by("swarm", 25);
    m.planted("raft.snapshot-forgets-members")
        .breaks(["quorums:snapshot"])
        .found_by("members", 7)
        .found_by("swarm", 370);
    m.planted("raft.snapshot-index-off-by-one").breaks(["same-state"]).found_by("restarts", 12).found_by("swarm", 35);
    m.planted("raft.snapshot-state-ignored").breaks(["same-state"]).found_by("restarts", 12).found_by("swarm", 30);
    m.planted("raft.stale-snapshot-taken")
        .breaks(["state-machine-safety:back"])
        .found_by("lagging-follower", 14)
        .found_by("swarm", 85);
}

fn memberships(m: &mut Manifest<RaftLog>) {
    m.planted("raft.joint-is-one-majority")
        .breaks(["quorums:elected", "committed-on-disks"])
        .found_by("members-half-sent", 17)
        .found_by("swarm", 120);
    m.planted("raft.members-change-in-one-step")
        .breaks(["quorums:disjoint"])
        .found_by("members", 11)
        .found_by("swarm", 70);
    m.planted("raft.members-not-rolled-back")
        .breaks(["quorums", "committed-on-disks", "liveness"])
        .found_by("members-half-sent", 100)
        .found_by("swarm", 480);
    m.planted("raft.learners-count").breaks(["committed-on-disks"]).found_by("learners", 6).found_by("swarm", 120);
}

fn reads(m: &mut Manifest<RaftLog>) {
    m.planted("raft.read-without-quorum")
        .breaks(["fresh-reads", "ordered:stale"])
        .found_by("isolated-leader", 8)
        .found_by("swarm", 80);
    m.planted("raft.read-before-own-commit")
        .breaks(["fresh-reads", "ordered:stale"])
        .found_by("new-leader-reads", 43)
        .found_by("swarm", 25);
    m.planted("raft.read-joins-an-earlier-round")
        .breaks(["fresh-reads", "ordered:stale"])
        .found_by("transfers", 8)
        .found_by("swarm", 4000);
    m.planted("raft.read-numbers-reused")
        .breaks(["fresh-reads", "ordered:stale"])
        .found_by("long-delays", 900)
        .found_by("swarm", 940);
    m.planted("raft.lease-ignores-drift")
        .breaks(["fresh-reads", "ordered:stale"])
        .found_by("leases", 100)
        .found_by("swarm", 10000);
    m.planted("raft.lease-survives-transfer")
        .breaks(["fresh-reads", "ordered:stale"])
        .found_by("transfers", 8)
        .found_by("swarm", 810);
    m.planted("raft.lease-from-reply-time")
        .breaks(["fresh-reads", "ordered:stale"])
        .found_by("leases", 900)
        .found_by("swarm", 10000);
    m.planted("raft.lease-forgotten-by-restart")
        .breaks(["fresh-reads", "ordered:stale"])
        .found_by("forgotten-leases", 11)
        .found_by("swarm", 11800);
    m.planted("raft.missed-ticks-ignored")
        .breaks(["fresh-reads", "ordered:stale"])
        .found_by("leases", 38)
        .found_by("swarm", 750);
}
