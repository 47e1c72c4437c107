//! Replicated state machines on Raft: what a system needs between its own commands and the log.
//!
//! Not a system but a library: a system says what its state is and what a command does ([`StateMachine`]), and has
//! replicas that agree ([`Replica`]), a service that clients ask ([`service`]), and clients that find the leader, try again and
//! are executed once ([`Client`]). How long commands take to be executed everywhere is measured with one line more
//! ([`ExecutedByAll`]).
//!
//! # Guarantees
//!
//! - Every replica executes the same commands in the same order, each after it is committed, and after a restart goes on
//!   from its snapshot.
//! - A command of a session is executed at most once, however often it is sent, to whomever, across crashes and snapshots; who
//!   sends it again gets the reply of the first time, as long as it is the session's latest. If the session is no longer known,
//!   or a later command of it was executed, it is not executed, and its sender hears that.
//! - [`Client::execute`] says one of three things: executed (with the reply), certainly not executed, or unknown.
//! - Queries are linearizable, by whichever of the three ways they are answered ([`Reads`]).
//!
//! # The log's time
//!
//! Each entry carries the log's time as the leader that took it reckoned it, and the state machine sees it in [`At::now`]. Leases,
//! time-outs and deadlock detection of replicated systems are built on it, and on nothing else: it is the same at every replica.
//!
//! It promises:
//!
//! - It begins at zero with the log, never goes back, and is part of snapshots: neither a restart nor a new leader sets it back.
//! - Between two entries it goes on by no more than passed on the clock of the leader (or, across leaders, on the clocks of all of
//!   them added up) between their proposals. So what is granted for ten seconds of the log's time is granted for ten seconds of
//!   real time *at least*, up to the drift of the leader's clock; wall clocks and their steps do not matter.
//!
//! It does not promise:
//!
//! - That it goes on by itself. It stands still while nobody proposes; the next entry of the same leader makes up for that,
//!   and the first entry of another leader does not: it carries the time at which that leader's state stood. What ends at a
//!   time ends with the first entry that comes later than that, so it may end late, and never early.
//! - That it is the time of any clock, or the same moment's time everywhere: a replica that is behind sees it later.
//!
//! A state machine hears of the time only in [`StateMachine::apply`]. A system in which something must happen at a time though no
//! client asks for anything has its leader propose: a task on each server waits until its replica leads, and then submits
//! a command every so often (of a session of its own), or any [`Request`], which is enough to make the time go on.
//!
//! # Where it comes from
//!
//! Sessions, their expiry on the log's own clock, and queries without log entries: Ongaro, "Consensus: Bridging Theory and
//! Practice", 2014, sections 6.3 and 6.4. Replies kept to recognise commands that are sent again: Liskov and Cowling,
//! "Viewstamped Replication Revisited", 2012, section 4.

mod client;
mod known_bugs;
pub mod operator;
mod replica;
pub mod service;
mod session;
mod visible;

use std::fmt::Debug;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use client::{Client, ClientError, Patience};
pub use known_bugs::declare as declare_known_bugs;
pub use replica::{Options, Reads, Replica, Submit, SubmitError};
pub use session::{Limits, Outcome, Sessions};
pub use visible::ExecutedByAll;

use crate::raft::Index;

/// What goes through the log, over the network and into snapshots.
pub trait Data: Clone + Debug + Eq + Serialize + DeserializeOwned + 'static {}

impl<T: Clone + Debug + Eq + Serialize + DeserializeOwned + 'static> Data for T {}

/// Where a command is in the log, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// The index of its entry: unique, and ascending from command to command. A good source of ids and fencing tokens.
    pub index: Index,
    /// The log's time, since the log began. Never less than that of the command before: see the [module](self).
    pub now: Duration,
}

/// What is replicated. Its serialized form is the snapshot.
pub trait StateMachine: Data {
    /// What changes the state.
    type Command: Data;
    /// What comes of it.
    type Reply: Data;
    /// What asks about the state.
    type Query: Data;
    /// The answer.
    type Answer: Data;

    /// Executes a command. State and reply must depend on nothing but the state before, `at` and the command: no clock but
    /// [`At::now`], no draws, no order of hash maps.
    fn apply(&mut self, at: &At, command: Self::Command) -> Self::Reply;

    /// Answers a query.
    fn query(&self, query: &Self::Query) -> Self::Answer;

    /// Something that differs for different states, with a probability that can be relied on. It is compared between
    /// replicas after each command, so it should cost little. Without it only what was executed is compared.
    fn digest(&self) -> u64 {
        0
    }
}
