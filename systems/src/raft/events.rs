//! The events that servers of every system on Raft report. [`super::checks`] judges them.

use sim::{GroupId, event, observe};

use super::core::Core;
use super::membership::Membership;
use super::message::{Entry, Index, Payload};

event! {
    /// A server won an election.
    "raft.became_leader" => pub struct BecameLeader {
        /// The new leader's term.
        pub term: u64,
    }

    /// A server sent its vote, or requested votes for itself.
    "raft.voted" => pub struct Voted {
        /// The term.
        pub term: u64,
        /// The candidate that received the vote.
        pub candidate: u64,
    }

    /// A server sent its first message in a term: other servers rely on its term from now on.
    "raft.acted" => pub struct Acted {
        /// The term.
        pub term: u64,
    }

    /// A server started from the state on its disk.
    "raft.restored" => pub struct Restored {
        /// The server's term.
        pub term: u64,
        /// The server's vote in that term.
        pub voted_for: Option<u64>,
        /// The last entry that the server's snapshot includes.
        pub snapshot: u64,
        /// The last entry of the server's log.
        pub last: u64,
        /// The term of that entry.
        pub last_term: u64,
    }

    /// A server cannot start, because its disk has lost records.
    "raft.forgotten" => pub struct Forgotten {
        /// The first lost record of the server's log on disk.
        pub first: u64,
        /// The last lost record.
        pub last: u64,
    }

    /// A server appended an entry to its log. All earlier entries from this index on are replaced.
    "raft.appended" => pub struct Appended {
        /// The entry's index.
        pub index: u64,
        /// The entry's term.
        pub term: u64,
        /// The term of the entry before.
        pub prev_term: u64,
        /// The hash of the content.
        pub hash: u64,
        /// The term that the server leads; 0 if the server is not the leader.
        pub leads: u64,
    }

    /// An entry is durable on a server's disk.
    "raft.wrote" => pub struct Wrote {
        /// The entry's index.
        pub index: u64,
        /// The entry's term.
        pub term: u64,
        /// The file that has the entry.
        pub path: String,
        /// The offset of the entry in the file, in bytes.
        pub offset: u64,
        /// The length of the entry in the file, in bytes.
        pub len: u64,
    }

    /// A server advanced its commit index.
    "raft.committed" => pub struct Committed {
        /// The new commit index.
        pub index: u64,
        /// The term of the entry at that index.
        pub term: u64,
        /// The term that the server leads; 0 if the server is not the leader.
        pub leads: u64,
        /// The last entry that the server's snapshot includes.
        pub snapshot: u64,
        /// The last applied entry.
        pub applied: u64,
        /// The last entry of the server's log.
        pub last: u64,
    }

    /// A server passed an entry to its state machine.
    "raft.applied" => pub struct Applied {
        /// The entry's index.
        pub index: u64,
        /// The entry's term.
        pub term: u64,
        /// The hash of the content.
        pub hash: u64,
    }

    /// A server replaced its state with a leader's snapshot.
    "raft.installed" => pub struct Installed {
        /// The last entry that the snapshot includes.
        pub index: u64,
        /// The term of that entry.
        pub term: u64,
        /// The last entry of the server's log after the installation.
        pub last: u64,
    }

    /// A server discarded the log entries that its own snapshot includes.
    "raft.compacted" => pub struct Compacted {
        /// The last discarded entry.
        pub index: u64,
        /// The last applied entry.
        pub applied: u64,
    }

    /// A leader decreased a follower's `nextIndex` after a refused append.
    "raft.next_index_decreased" => pub struct NextIndexDecreased {
        /// The leader's term.
        pub term: u64,
        /// The follower's id.
        pub follower: u64,
        /// The refused `prevLogIndex`.
        pub refused: u64,
        /// The term of the follower's entry at that index, if its log is that long.
        pub theirs: Option<u64>,
        /// Whether the follower has accepted nothing since its previous refusal.
        pub again: bool,
    }

    /// A leader sent `TimeoutNow`, which asks another server to start an election at once.
    "raft.timeout_now_sent" => pub struct TimeoutNowSent {
        /// The receiver's id.
        pub to: u64,
        /// The last entry of the leader's log.
        pub last: u64,
    }

    /// A state machine reached an index.
    "raft.state" => pub struct State {
        /// The last applied entry.
        pub index: u64,
        /// The number of executed commands.
        pub count: u64,
        /// The hash of the executed commands.
        pub hash: u64,
    }

    /// A server requested a read index for a local read.
    "raft.read_index_requested" => pub struct ReadIndexRequested {
        /// The server's number for the request.
        pub request: u64,
    }

    /// A server received a read index: once it is applied, the read sees every write completed before the request.
    "raft.read_index_received" => pub struct ReadIndexReceived {
        /// The server's number for the request.
        pub request: u64,
        /// The read index.
        pub index: u64,
    }

    /// A server applied a committed membership.
    "raft.members_applied" => pub struct MembersApplied {
        /// The index of the membership's entry.
        pub index: u64,
        /// The voters; in a joint membership the new ones.
        pub incoming: Vec<u64>,
        /// The old voters of a joint membership; otherwise empty.
        pub outgoing: Vec<u64>,
        /// The learners.
        pub learners: Vec<u64>,
    }

    /// A membership is in a server's log, and therefore in force on that server.
    "raft.membership" => pub struct Members {
        /// The index of the membership's entry.
        pub index: u64,
        /// Whether this is the snapshot's membership, which replaces everything known about earlier ones.
        pub base: bool,
        /// The voters; in a joint membership the new ones.
        pub incoming: Vec<u64>,
        /// The old voters of a joint membership; otherwise empty.
        pub outgoing: Vec<u64>,
        /// The learners.
        pub learners: Vec<u64>,
    }
}

/// Reports the state that a server started from.
pub(super) fn restored(group: GroupId, core: &Core) {
    let log = core.log();
    let restored = Restored {
        term: core.term(),
        voted_for: core.voted_for().map(|id| id.0),
        snapshot: log.snapshot().last.index,
        last: log.last().index,
        last_term: log.last().term,
    };
    observe!(group: group, restored);
    let entries = log.entries(log.snapshot().last.index + 1, usize::MAX);
    for entry in entries {
        let (index, term, hash) = (entry.index, entry.term, hash(entry));
        let prev_term = log.term(index - 1).unwrap_or(0);
        observe!(group: group, Appended { index, term, prev_term, hash, leads: 0 });
    }
    memberships(group, core);
}

/// Reports the memberships in a log, beginning with the snapshot's.
pub(super) fn memberships(group: GroupId, core: &Core) {
    let log = core.log();
    members(group, log.snapshot().last.index, true, &log.snapshot().membership);
    log.memberships().for_each(|(index, membership)| members(group, index, false, membership));
}

/// Reports that a membership is in a log.
pub(super) fn members(group: GroupId, index: Index, base: bool, membership: &Membership) {
    let (incoming, outgoing, learners) = ids(membership);
    observe!(group: group, Members { index, base, incoming, outgoing, learners });
}

/// Reports that a membership is applied.
pub(super) fn members_applied(group: GroupId, index: Index, membership: &Membership) {
    let (incoming, outgoing, learners) = ids(membership);
    observe!(group: group, MembersApplied { index, incoming, outgoing, learners });
}

fn ids(membership: &Membership) -> (Vec<u64>, Vec<u64>, Vec<u64>) {
    let ids = |ids: &std::collections::BTreeSet<super::Id>| ids.iter().map(|id| id.0).collect();
    let voters = &membership.voters;
    (ids(voters.incoming.voters()), ids(voters.outgoing.voters()), ids(&membership.learners))
}

/// The hash of an entry's content; 0 for an empty entry.
pub fn hash(entry: &Entry) -> u64 {
    match &entry.payload {
        Payload::Noop => 0,
        Payload::Command(command) => hash_of(command),
        Payload::Membership(_) => hash_of(&sim::codec::encode(&entry.payload).expect("a membership is small")),
    }
}

/// The hash of a command.
pub fn hash_of(command: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(command)
}
