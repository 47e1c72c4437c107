//! Messages, log entries and persistent state, in the vocabulary of Figure 2.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sim::planted;

use super::membership::Membership;

/// The id of a server, unique within its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Id(pub u64);

/// A term, from 1; 0 before the first election. Each term has at most one leader.
pub type Term = u64;

/// The index of a log entry, from 1. 0 stands before the first entry.
pub type Index = u64;

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// The term of the leader that created the entry.
    pub term: Term,
    /// The entry's index in the log.
    pub index: Index,
    /// The content.
    pub payload: Payload,
}

/// The content of a log entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Payload {
    /// Empty: the first entry of a new leader.
    Noop,
    /// A command for the state machine.
    Command(Bytes),
    /// A new membership, in force as soon as the entry is in the log (section 6).
    Membership(Membership),
}

impl Entry {
    /// The approximate size of the entry in a message, in bytes.
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

/// The term and index of a log entry, which identify the entry and all entries before it (Log Matching Property).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position {
    /// The entry's term.
    pub term: Term,
    /// The entry's index.
    pub index: Index,
}

impl Position {
    /// Whether a log that ends at `self` is at least as up to date as a log that ends at `other` (section 5.4.1): a later last
    /// term wins; with equal terms the longer log wins.
    pub fn is_up_to_date(self, other: Position) -> bool {
        if planted!("raft.vote-ignores-last-term") {
            return self.index >= other.index;
        }
        if planted!("raft.vote-ignores-last-index") {
            return self.term >= other.term;
        }
        (self.term, self.index) >= (other.term, other.index)
    }
}

/// The persistent state besides the log (Figure 2). It must be durable before a server answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HardState {
    /// `currentTerm`: the latest term that the server has seen.
    pub term: Term,
    /// `votedFor`: the candidate that received the server's vote in that term.
    pub voted_for: Option<Id>,
}

/// The metadata of a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SnapshotMeta {
    /// `lastIncludedIndex` and `lastIncludedTerm`: the last entry that the snapshot includes.
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
    /// The sender's term. A `PreVote` and its granting reply carry the term of the election that would follow.
    pub term: Term,
    /// The content.
    pub body: Body,
}

/// The content of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// Asks whether the receiver would grant a vote in an election (thesis, section 9.6).
    PreVote {
        /// The last entry of the sender's log.
        last: Position,
    },
    /// The reply to a `PreVote`.
    PreVoteReply {
        /// Whether the receiver would grant the vote.
        granted: bool,
    },
    /// The RequestVote RPC.
    RequestVote {
        /// The last entry of the sender's log: `lastLogIndex`, `lastLogTerm`.
        last: Position,
        /// The leader asked for this election with `TimeoutNow`, so the receiver ignores the leader lease.
        transfer: bool,
    },
    /// The result of a `RequestVote`.
    RequestVoteReply {
        /// `voteGranted`.
        granted: bool,
    },
    /// The AppendEntries RPC; a heartbeat if it has no entries.
    AppendEntries {
        /// The entry before the new ones: `prevLogIndex`, `prevLogTerm`.
        prev: Position,
        /// `entries`.
        entries: Vec<Entry>,
        /// `leaderCommit`.
        commit: Index,
        /// The leader's heartbeat round. A reply to it proves that the sender still led when it started the round.
        round: u64,
    },
    /// The result of an `AppendEntries`.
    AppendEntriesReply {
        /// `success` with the index up to which the logs agree, or the conflict.
        result: Result<Index, Conflict>,
        /// The round of the request; 0 if the request was of an earlier term.
        round: u64,
    },
    /// The InstallSnapshot RPC: a part of a snapshot (Figure 13).
    InstallSnapshot {
        /// The snapshot's metadata.
        meta: SnapshotMeta,
        /// The first byte of the part.
        offset: u64,
        /// The bytes of the part.
        data: Bytes,
        /// Whether this is the last part.
        done: bool,
        /// The leader's heartbeat round.
        round: u64,
    },
    /// The result of an `InstallSnapshot`.
    InstallSnapshotReply {
        /// The last entry of the snapshot.
        last: Position,
        /// How much of the snapshot the receiver has.
        received: Received,
        /// The round of the request; 0 if the request was of an earlier term.
        round: u64,
    },
    /// Asks the receiver to start an election at once (leadership transfer; thesis, section 3.10).
    TimeoutNow,
    /// A follower requests a read index from the leader.
    ReadIndex {
        /// The follower's number for the request.
        request: u64,
    },
    /// The leader's reply to a `ReadIndex`.
    ReadIndexReply {
        /// The follower's number for the request.
        request: u64,
        /// The index that must be applied before the read; `None` if the receiver is not the leader.
        index: Option<Index>,
    },
    /// A follower forwards a proposal to the leader.
    Propose {
        /// The command.
        command: Bytes,
    },
}

/// How much of a snapshot the receiver has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Received {
    /// This many bytes, from the first on.
    Bytes(u64),
    /// The whole snapshot; the receiver's state includes it.
    Installed,
}

/// A conflict between a follower's log and an `AppendEntries`, with enough data for the leader to skip a whole term at a
/// time (the end of section 5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// The `prevLogIndex` that was refused.
    pub refused: Index,
    /// The term of the follower's entry at that index; `None` if its log is shorter.
    pub term: Option<Term>,
    /// The follower's first index of that term, or the index after its last entry.
    pub first: Index,
}
