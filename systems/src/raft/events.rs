//! What servers say about themselves. What is checked is in [`super::checks`].

use sim::{event, observe};

use super::core::Core;
use super::message::{Entry, Payload};

event! {
    /// A server won an election.
    "raft.became_leader" => pub struct BecameLeader {
        /// The term that it leads.
        pub term: u64,
    }

    /// A server gave its vote, to itself or to another, and said so.
    "raft.voted" => pub struct Voted {
        /// The term.
        pub term: u64,
        /// Who got it.
        pub candidate: u64,
    }

    /// A server started with what was on its disk.
    "raft.restored" => pub struct Restored {
        /// Its term.
        pub term: u64,
        /// The last entry that its snapshot stands for.
        pub snapshot: u64,
        /// The last entry of its log.
        pub last: u64,
    }

    /// A server cannot start: what it had promised to remember is lost.
    "raft.forgotten" => pub struct Forgotten {
        /// The first record of its log that is lost.
        pub first: u64,
        /// The last.
        pub last: u64,
    }

    /// An entry is in a server's log, and everything that was at its index or behind it is not any more.
    "raft.appended" => pub struct Appended {
        /// Where.
        pub index: u64,
        /// Its term.
        pub term: u64,
        /// The term of the entry before.
        pub prev_term: u64,
        /// What it says, as a hash.
        pub hash: u64,
        /// The term that the server leads, 0 if it does not.
        pub leads: u64,
    }

    /// An entry is on a server's disk.
    "raft.wrote" => pub struct Wrote {
        /// Where in the log.
        pub index: u64,
        /// Its term.
        pub term: u64,
        /// The file.
        pub path: String,
        /// Where in the file.
        pub offset: u64,
        /// How many bytes.
        pub len: u64,
    }

    /// A server knows more entries to be committed.
    "raft.committed" => pub struct Committed {
        /// The last of them.
        pub index: u64,
        /// Its term.
        pub term: u64,
        /// The term that the server leads, 0 if it does not.
        pub leads: u64,
    }

    /// A server gives an entry to its state machine.
    "raft.applied" => pub struct Applied {
        /// Where.
        pub index: u64,
        /// Its term.
        pub term: u64,
        /// What it says, as a hash.
        pub hash: u64,
    }

    /// A server's state is that of a snapshot.
    "raft.installed" => pub struct Installed {
        /// The last entry that it stands for.
        pub index: u64,
        /// Its term.
        pub term: u64,
    }

    /// A server forgot the entries that a snapshot of its own stands for.
    "raft.compacted" => pub struct Compacted {
        /// The last of them.
        pub index: u64,
    }

    /// A membership is in force on a server, because it is in its log.
    "raft.membership" => pub struct Members {
        /// Where in the log.
        pub index: u64,
        /// Who votes, or will.
        pub incoming: Vec<u64>,
        /// Who voted, if a change is half done.
        pub outgoing: Vec<u64>,
        /// Who learns.
        pub learners: Vec<u64>,
    }
}

/// Says what a server has started with.
pub(super) fn restored(core: &Core) {
    let log = core.log();
    let (term, snapshot, last) = (core.term(), log.snapshot().last.index, log.last().index);
    observe!(Restored { term, snapshot, last });
    members(core);
}

/// Says who the members are.
pub(super) fn members(core: &Core) {
    let membership = core.membership();
    let ids = |ids: &std::collections::BTreeSet<super::Id>| ids.iter().map(|id| id.0).collect();
    observe!(Members {
        index: core.log().membership_index(),
        incoming: ids(membership.voters.incoming.voters()),
        outgoing: ids(membership.voters.outgoing.voters()),
        learners: ids(&membership.learners),
    });
}

/// What an entry says, as a hash.
pub fn hash(entry: &Entry) -> u64 {
    match &entry.payload {
        Payload::Noop => 0,
        Payload::Command(command) => xxhash_rust::xxh3::xxh3_64(command),
        Payload::Membership(_) => {
            let bytes = sim::codec::encode(&entry.payload).expect("a membership is small");
            xxhash_rust::xxh3::xxh3_64(&bytes)
        }
    }
}
