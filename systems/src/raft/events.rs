//! What servers say about themselves. What is checked is in [`super::checks`].

use sim::{event, observe};

use super::core::Core;
use super::membership::Membership;
use super::message::{Entry, Index, Payload};

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

    /// A server answered or asked in a term that it had not acted in before: others count on it from now on.
    "raft.acted" => pub struct Acted {
        /// The term.
        pub term: u64,
    }

    /// A server started with what was on its disk.
    "raft.restored" => pub struct Restored {
        /// Its term.
        pub term: u64,
        /// Who had its vote in that term.
        pub voted_for: Option<u64>,
        /// The last entry that its snapshot stands for.
        pub snapshot: u64,
        /// The last entry of its log.
        pub last: u64,
        /// That entry's term.
        pub last_term: u64,
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
        /// Up to where its snapshot stands for the entries.
        pub snapshot: u64,
        /// The last entry that it has applied.
        pub applied: u64,
        /// The last entry of its log.
        pub last: u64,
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
        /// The last entry of its log now.
        pub last: u64,
    }

    /// A server forgot the entries that a snapshot of its own stands for.
    "raft.compacted" => pub struct Compacted {
        /// The last of them.
        pub index: u64,
        /// The last entry that it has applied.
        pub applied: u64,
    }

    /// A leader goes back in a follower's log, because the follower refused what it sent.
    "raft.backed_up" => pub struct BackedUp {
        /// The leader's term.
        pub term: u64,
        /// The follower.
        pub follower: u64,
        /// The entry that it should have had.
        pub refused: u64,
        /// The term of what it has there, if it has anything.
        pub theirs: Option<u64>,
        /// It has accepted nothing since the last refusal.
        pub again: bool,
    }

    /// A leader tells another server to stand for election at once.
    "raft.told_to_stand" => pub struct ToldToStand {
        /// Who is told.
        pub to: u64,
        /// The last entry of the leader's log.
        pub last: u64,
    }

    /// A client was told that its command is committed.
    "raft.acked" => pub struct Acked {
        /// Where.
        pub index: u64,
        /// What the command is, as a hash.
        pub hash: u64,
    }

    /// The state machine has come to an index.
    "raft.state" => pub struct State {
        /// The last entry that was applied.
        pub index: u64,
        /// How many commands it has executed.
        pub count: u64,
        /// What they were, as a hash.
        pub hash: u64,
    }

    /// A server was asked for a read index.
    "raft.read_asked" => pub struct ReadAsked {
        /// The number of the question, which is the server's own.
        pub request: u64,
    }

    /// It has one: when everything up to it is applied, the read shows all that was committed when it was asked.
    "raft.read_ready" => pub struct ReadReady {
        /// The number of the question.
        pub request: u64,
        /// The index.
        pub index: u64,
    }

    /// A committed membership is applied.
    "raft.members_applied" => pub struct MembersApplied {
        /// Where in the log.
        pub index: u64,
        /// Who votes, or will.
        pub incoming: Vec<u64>,
        /// Who voted, if a change is half done.
        pub outgoing: Vec<u64>,
        /// Who learns.
        pub learners: Vec<u64>,
    }

    /// A membership is in force on a server, because it is in its log.
    "raft.membership" => pub struct Members {
        /// Where in the log.
        pub index: u64,
        /// Whether it is the one that the snapshot has: of an earlier entry, and all that is known of those.
        pub base: bool,
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
    observe!(Restored {
        term: core.term(),
        voted_for: core.voted_for().map(|id| id.0),
        snapshot: log.snapshot().last.index,
        last: log.last().index,
        last_term: log.last().term,
    });
    let entries = log.entries(log.snapshot().last.index + 1, usize::MAX);
    for entry in entries {
        let (index, term, hash) = (entry.index, entry.term, hash(entry));
        let prev_term = log.term(index - 1).unwrap_or(0);
        observe!(Appended { index, term, prev_term, hash, leads: 0 });
    }
    memberships(core);
}

/// Says which memberships a log has, beginning with its snapshot's.
pub(super) fn memberships(core: &Core) {
    let log = core.log();
    members(log.snapshot().last.index, true, &log.snapshot().membership);
    log.memberships().for_each(|(index, membership)| members(index, false, membership));
}

/// Says that a membership is in a log.
pub(super) fn members(index: Index, base: bool, membership: &Membership) {
    let (incoming, outgoing, learners) = ids(membership);
    observe!(Members { index, base, incoming, outgoing, learners });
}

/// Says that a membership is applied.
pub(super) fn members_applied(index: Index, membership: &Membership) {
    let (incoming, outgoing, learners) = ids(membership);
    observe!(MembersApplied { index, incoming, outgoing, learners });
}

fn ids(membership: &Membership) -> (Vec<u64>, Vec<u64>, Vec<u64>) {
    let ids = |ids: &std::collections::BTreeSet<super::Id>| ids.iter().map(|id| id.0).collect();
    let voters = &membership.voters;
    (ids(voters.incoming.voters()), ids(voters.outgoing.voters()), ids(&membership.learners))
}

/// What an entry says, as a hash.
pub fn hash(entry: &Entry) -> u64 {
    match &entry.payload {
        Payload::Noop => 0,
        Payload::Command(command) => hash_of(command),
        Payload::Membership(_) => hash_of(&sim::codec::encode(&entry.payload).expect("a membership is small")),
    }
}

/// What a command says, as a hash.
pub fn hash_of(command: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(command)
}
