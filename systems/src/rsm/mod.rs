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

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use client::{Client, ClientError, Patience};
pub use known_bugs::declare as declare_known_bugs;
pub use replica::{Options, Reads, Replica, Submit, SubmitError};
pub use session::{Limits, Outcome, Sessions};
pub use visible::ExecutedByAll;

/// What goes through the log, over the network and into snapshots.
pub trait Data: Clone + Debug + Eq + Serialize + DeserializeOwned + 'static {}

impl<T: Clone + Debug + Eq + Serialize + DeserializeOwned + 'static> Data for T {}

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

    /// Executes a command. State and reply must depend on nothing but the state before and the command: no clock, no draws,
    /// no order of hash maps.
    fn apply(&mut self, command: Self::Command) -> Self::Reply;

    /// Answers a query.
    fn query(&self, query: &Self::Query) -> Self::Answer;

    /// Something that differs for different states, with a probability that can be relied on. It is compared between
    /// replicas after each command, so it should cost little. Without it only what was executed is compared.
    fn digest(&self) -> u64 {
        0
    }
}
