//! The known bugs, each one line where it would be made, and the oracles that may report it.

use sim::Manifest;

use super::RaftLog;

pub(super) fn declare(m: &mut Manifest<RaftLog>) {
    // Votes and terms.
    m.planted("raft.vote-not-persisted", ["durable-vote", "election-safety"])
        .planted("raft.vote-before-sync", ["durable-vote", "monotonic", "election-safety"])
        .planted("raft.candidate-before-sync", ["durable-vote", "monotonic", "election-safety"])
        .planted("raft.term-not-persisted", ["monotonic", "durable-vote"])
        .planted("raft.votes-twice", ["durable-vote", "election-safety"])
        .planted("raft.vote-forgotten-on-step-down", ["durable-vote", "election-safety"])
        .planted("raft.vote-ignores-last-term", ["leader-completeness", "state-machine-safety"])
        .planted("raft.vote-ignores-last-index", ["leader-completeness", "state-machine-safety"])
        .planted("raft.denied-vote-resets-the-timer", ["always:raft.election-in-time"])
        .planted("raft.stale-append-resets-the-timer", ["always:raft.election-in-time"])
        .planted("raft.grant-keeps-the-timer", ["always:raft.no-early-election"])
        .planted("raft.candidate-ignores-the-leader", ["always:raft.no-early-election"])
        .planted("raft.reply-terms-ignored", ["liveness"])
        .planted("raft.stale-vote-counts", ["quorums:elected", "election-safety"])
        .planted("raft.half-is-a-quorum", ["quorums:elected", "election-safety", "committed-on-disks"]);
    // Replication.
    m.planted(
        "raft.append-before-sync",
        ["committed-on-disks", "leader-completeness", "monotonic", "transfer-target-up-to-date"],
    )
    .planted("raft.leader-counts-unsynced", ["committed-on-disks", "leader-completeness"])
    .planted("raft.commits-earlier-terms", ["leader-completeness", "state-machine-safety"])
    .planted("raft.late-append-truncates", ["committed-on-disks", "leader-completeness", "panic", "liveness"])
    .planted(
        "raft.acks-unmatched-entries",
        ["committed-on-disks", "leader-completeness", "ordering", "liveness", "panic"],
    )
    .planted("raft.match-index-from-next-index", ["committed-on-disks", "leader-completeness"])
    .planted("raft.heartbeat-without-log-check", ["committed-on-disks", "state-machine-safety", "ordering"])
    .planted("raft.no-fast-backup", ["fast-backup"])
    .planted("raft.proposes-during-transfer", ["always:raft.no-proposals-during-transfer"])
    .planted("raft.transfer-before-caught-up", ["transfer-target-up-to-date"])
    .planted(
        "raft.stale-leader-accepted",
        ["leader-completeness", "state-machine-safety", "log-matching", "panic", "always:raft.election-in-time"],
    );
    // Snapshots.
    m.planted("raft.log-cut-before-snapshot", ["durability"])
        .planted("raft.snapshot-acked-before-sync", ["durability"])
        .planted("raft.snapshot-forgets-term", ["log-matching", "durability", "liveness"])
        .planted("raft.snapshot-forgets-members", ["quorums:snapshot"])
        .planted("raft.snapshot-index-off-by-one", ["same-state"])
        .planted("raft.snapshot-state-ignored", ["same-state"])
        .planted("raft.stale-snapshot-taken", ["state-machine-safety:back"]);
    // Memberships.
    m.planted("raft.joint-is-one-majority", ["quorums:elected", "committed-on-disks"])
        .planted("raft.members-change-in-one-step", ["quorums:disjoint"])
        .planted("raft.members-not-rolled-back", ["quorums", "committed-on-disks", "liveness"])
        .planted("raft.learners-count", ["committed-on-disks"]);
    // Reads.
    m.planted("raft.read-without-quorum", ["fresh-reads", "ordered:stale"])
        .planted("raft.read-before-own-commit", ["fresh-reads", "ordered:stale"])
        .planted("raft.read-joins-an-earlier-round", ["fresh-reads", "ordered:stale"])
        .planted("raft.read-numbers-reused", ["fresh-reads", "ordered:stale"])
        .planted("raft.lease-ignores-drift", ["fresh-reads", "ordered:stale"])
        .planted("raft.lease-survives-transfer", ["fresh-reads", "ordered:stale"])
        .planted("raft.lease-from-reply-time", ["fresh-reads", "ordered:stale"])
        .planted("raft.lease-forgotten-by-restart", ["fresh-reads", "ordered:stale"])
        .planted("raft.missed-ticks-ignored", ["fresh-reads", "ordered:stale"]);
}
