//! The known bugs, each one line where it would be made, and the oracles that may report it.

use sim::{Manifest, System};

/// Declares them in a system whose clients' histories are checked for linearizability.
pub fn declare<S: System>(m: &mut Manifest<S>) {
    // Executed once.
    m.planted("rsm.executes-again", ["linearizable"])
        .planted("rsm.replies-anew", ["linearizable"])
        .planted("rsm.late-command-executed", ["linearizable"])
        .planted("rsm.new-leader-forgets-replies", ["linearizable", "same-state"])
        .planted("rsm.snapshot-without-replies", ["linearizable", "same-state"])
        .planted("rsm.client-counts-attempts", ["linearizable"]);
    // Sessions.
    m.planted("rsm.sessions-end-by-local-clock", ["same-state", "linearizable"])
        .planted("rsm.ended-session-comes-back", ["linearizable"])
        .planted("rsm.session-ids-reused", ["linearizable"]);
    // Replies.
    m.planted("rsm.reply-before-commit", ["linearizable"]).planted("rsm.replies-by-index", ["linearizable", "always"]);
    // Queries.
    m.planted("rsm.any-replica-answers", ["linearizable"])
        .planted("rsm.leader-answers-unasked", ["linearizable"])
        .planted("rsm.answers-before-it-has-applied", ["linearizable"]);
    // Snapshots.
    m.planted("rsm.snapshot-older-than-it-says", ["same-state", "linearizable"])
        .planted("rsm.installed-state-ignored", ["same-state", "linearizable"]);
}
