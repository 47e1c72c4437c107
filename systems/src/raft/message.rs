//! What servers tell each other, and what they keep: the vocabulary of Figure 2.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sim::planted;

use super::membership::Membership;

/// A server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Id(pub u64);

/// A term: there is at most one leader in each.
pub type Term = u64;

/// A position in the log, from 1. 0 is before the first entry.
pub type Index = u64;

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// When a leader received it.
    pub term: Term,
    /// Where it is.
    pub index: Index,
    /// What it says.
    pub payload: Payload,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Payload {
    /// Nothing: a new leader's first entry.
    Noop,
    /// A command for the state machine.
    Command(Bytes),
    /// Who is a member from here on: it counts as soon as it is in the log (section 6).
    Membership(Membership),
}

impl Entry {
    /// What it adds to a message, roughly.
    pub fn size(&self) -> usize {
        const HEADER: usize = 24;
        HEADER
            + match &self.payload {
                Payload::Noop => 0,
                Payload::Command(bytes) => bytes.len(),
                Payload::Membership(membership) => 16 * membership.members().count(),
            }
    }
}

/// The last entry of a log, or the one before some others: enough to compare logs by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Its term.
    pub term: Term,
    /// Its index.
    pub index: Index,
}

impl Position {
    /// Whether a log that ends here is at least as up to date as one that ends at `other` (section 5.4.1): the later last
    /// term wins, and of equal ones the longer log.
    pub fn is_up_to_date(self, other: Position) -> bool {
        if planted!("raft.votes-for-the-longer-log") {
            return self.index >= other.index;
        }
        if planted!("raft.votes-for-the-later-term") {
            return self.term >= other.term;
        }
        (self.term, self.index) >= (other.term, other.index)
    }
}

/// What must be durable before a server answers (Figure 2: persistent state), besides the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HardState {
    /// `currentTerm`: the latest term that the server has seen.
    pub term: Term,
    /// `votedFor`: who got its vote in that term.
    pub voted_for: Option<Id>,
}

/// What a snapshot stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SnapshotMeta {
    /// `lastIncludedIndex` and `lastIncludedTerm`: the last entry that it replaces.
    pub last: Position,
    /// The membership as of that entry.
    pub membership: Membership,
}

/// A message from one server to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The sender.
    pub from: Id,
    /// The receiver.
    pub to: Id,
    /// The sender's term; of a pre-vote and its granting, the term that it would be.
    pub term: Term,
    /// What it says.
    pub body: Body,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// Would you vote for me, whose log ends there?
    PreVote {
        /// The end of the sender's log.
        last: Position,
    },
    /// The answer.
    PreVoteReply {
        /// Whether it would.
        granted: bool,
    },
    /// `RequestVote`.
    RequestVote {
        /// The end of the sender's log: `lastLogIndex`, `lastLogTerm`.
        last: Position,
        /// The leader asked for this election itself, so hearing from it is no reason against.
        transfer: bool,
    },
    /// Its result.
    RequestVoteReply {
        /// `voteGranted`.
        granted: bool,
    },
    /// `AppendEntries`; without entries a heartbeat.
    AppendEntries {
        /// The entry before: `prevLogIndex`, `prevLogTerm`.
        prev: Position,
        /// `entries`.
        entries: Vec<Entry>,
        /// `leaderCommit`.
        commit: Index,
        /// The leader's round: answers prove that it still led when it sent it.
        round: u64,
    },
    /// Its result.
    AppendEntriesReply {
        /// `success`, and how far the logs agree; or where they do not.
        result: Result<Index, Conflict>,
        /// The round that is answered.
        round: u64,
    },
    /// `InstallSnapshot`: a part of a snapshot.
    InstallSnapshot {
        /// Which snapshot.
        meta: SnapshotMeta,
        /// Where the part begins.
        offset: u64,
        /// The part.
        data: Bytes,
        /// Whether it is the last part.
        done: bool,
        /// The leader's round.
        round: u64,
    },
    /// How far the receiver has come with it.
    InstallSnapshotReply {
        /// The last entry of the snapshot that is meant.
        last: Position,
        /// The bytes that it has, without a gap; or that all of it is installed.
        received: Received,
        /// The round that is answered.
        round: u64,
    },
    /// Stand for election at once (thesis, section 3.10).
    TimeoutNow,
    /// A follower asks for a read index.
    ReadIndex {
        /// The follower's number for it.
        request: u64,
    },
    /// The leader's answer; none if it does not lead any more.
    ReadIndexReply {
        /// The follower's number.
        request: u64,
        /// What must be applied before the read.
        index: Option<Index>,
    },
    /// A follower passes a proposal on.
    Propose {
        /// The command.
        command: Bytes,
    },
}

/// How much of a snapshot has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Received {
    /// The first so many bytes.
    Bytes(u64),
    /// All, and it is the state now.
    Installed,
}

/// Where a follower's log differs: enough to skip a whole term at a time (the paper's section 5.3, at its end).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// The `prevLogIndex` that was refused.
    pub refused: Index,
    /// The follower's term there, if its log is that long.
    pub term: Option<Term>,
    /// Its first entry of that term, or the end of its log plus one.
    pub first: Index,
}
