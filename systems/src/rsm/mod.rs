//! Replicated state machines on Raft: what a system needs between its own commands and the log.
//!
//! A library, not a system. A system defines its state and its commands ([`StateMachine`]). The library adds replicas that agree
//! ([`Replica`]), a service for clients and operators ([`service`]), clients that find the leader, retry and are executed once
//! ([`Client`]), and a watch on leadership ([`Leadership`]). [`ExecutedByAll`] measures how long commands take to be executed
//! everywhere.
//!
//! # Guarantees
//!
//! - Every replica executes the same commands in the same order, each after it is committed. A restarted replica continues from
//!   its snapshot.
//! - A command of a session is executed at most once, however often and to whichever servers it is sent, across crashes and
//!   snapshots. A repeated request gets the reply of the first execution, as long as the command is the session's latest. If the
//!   session has expired, or a later command of it was executed, the command is not executed and the client gets an error.
//! - [`Client::execute`] has one of three results: executed (with the reply), not executed, or unknown.
//! - A command without a session ([`Client::command`]) is executed as often as it arrives. This is for state machines that know a
//!   repeated command by themselves, such as those whose sessions move from one group of replicas to another.
//! - Queries are linearizable with each of the three [`Reads`].
//! - A task on the leader ([`Leadership`]) sees each loss of leadership, and stops acting in a term that is over as soon as its
//!   server can know.
//! - A state of any size goes into snapshots and to other replicas in pieces ([`StateMachine::save`]). A replica makes a snapshot
//!   when the log has outgrown the last one, so snapshots at most double what a replica writes, unless [`Options::expansion_percent`]
//!   says otherwise. The log's entries are in memory, and take at most about as much as the state does.
//!
//! # The log's time
//!
//! Each entry carries a time, which its leader computes when it proposes the entry. The state machine gets the time as
//! [`At::now`]. It is the same at every replica, so leases, time-outs and deadlock detection of replicated systems are built on
//! it, and never on a clock.
//!
//! The log's time promises:
//!
//! - It begins at zero with the log and never goes back. Snapshots contain it, so neither a restart nor a new leader sets it back.
//! - It never runs faster than clocks. Between two entries of one leader it advances by what that leader's monotonic clock
//!   advanced; between the last entry of one leader and the first of the next it does not advance. A lease of ten seconds of the
//!   log's time therefore lasts *at least* ten seconds of real time, up to the drift of the leader's clock. Wall clocks and their
//!   steps have no effect.
//!
//! It does not promise:
//!
//! - That it advances by itself. It stands still while no entry is proposed. The next entry of the same leader makes up for the
//!   pause; the first entry of a new leader does not. A lease ends with the first entry whose time is past its end, so it may end
//!   late, and never early.
//! - That replicas see a time at the same moment. A replica that lags behind sees it later.
//!
//! A state machine sees the time only when a command is applied. If something must happen at a time without a client's
//! request, the leader proposes it: a task on each server waits until its replica leads ([`Leadership::gained`]), opens a session,
//! and submits a command every so often ([`Replica::submit`]). A query that is submitted also makes the time advance, without a
//! session.
//!
//! # Sources
//!
//! Sessions, their expiry by the log's time, and queries without log entries: Ongaro, "Consensus: Bridging Theory and
//! Practice", 2014, sections 6.3 and 6.4; when to make a snapshot: section 5.1.3. Replies kept for repeated requests: Liskov and
//! Cowling, "Viewstamped Replication Revisited", 2012, section 4.

mod client;
mod leadership;
pub mod operator;
mod replica;
pub mod service;
mod session;
mod visible;

use std::fmt::Debug;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use client::{Client, Patience};
pub use leadership::{Leadership, Stopped};
pub use replica::{Options, Reads, Replica, SubmitError, raft_config};
pub use session::{Limits, Outcome, Request, Sessions};
pub use visible::{Executed, ExecutedByAll};

use crate::raft::Index;
use crate::storage::StorageError;
use crate::storage::snapshot::{Snapshot, Writer};

/// A value that goes through the log, over the network and into snapshots.
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

/// A replicated state.
pub trait StateMachine: Data {
    /// A command changes the state.
    type Command: Data;
    /// The reply to a command.
    type Reply: Data;
    /// A query reads the state.
    type Query: Data;
    /// The answer to a query.
    type Answer: Data;

    /// Executes a command. State and reply must depend on nothing but the state before, `at` and the command: no clock but
    /// [`At::now`], no draws, no order of hash maps.
    fn apply(&mut self, at: &At, command: Self::Command) -> Self::Reply;

    /// Answers a query.
    fn query(&self, query: &Self::Query) -> Self::Answer;

    /// What the leader replies to a command without a session instead of putting it into the log, by the state that it has applied:
    /// a command that would be refused needs no entry. The default is to refuse nothing.
    ///
    /// This saves work, and decides nothing: what is refused when it arrives may be accepted when it is sent again, and what is
    /// accepted here must be judged again by [`StateMachine::apply`], since other commands come between.
    fn refuses(&self, command: &Self::Command) -> Option<Self::Reply> {
        let _ = command;
        None
    }

    /// Writes the state into a snapshot. Nothing is applied meanwhile, so this should do nothing but write; queries are answered.
    ///
    /// By default the state is one value for the codec, which must be smaller than [`sim::codec::LIMIT`] (16 MiB) and is in memory
    /// twice while it is written. A larger state writes itself piece by piece, and [`StateMachine::load`] reads the pieces in
    /// the same order:
    ///
    /// ```
    /// # use std::collections::BTreeMap;
    /// # use systems::storage::{StorageError, snapshot::{Snapshot, Writer}};
    /// struct Map(BTreeMap<String, String>);
    ///
    /// impl Map {
    ///     async fn save(&self, to: &mut Writer) -> Result<(), StorageError> {
    ///         to.put(&self.0.len()).await?;
    ///         for pair in &self.0 {
    ///             to.put(&pair).await?;
    ///         }
    ///         Ok(())
    ///     }
    ///
    ///     async fn load(from: &mut Snapshot) -> Result<Self, StorageError> {
    ///         let mut map = BTreeMap::new();
    ///         for _ in 0..from.get::<usize>().await? {
    ///             let (key, value) = from.get().await?;
    ///             map.insert(key, value);
    ///         }
    ///         Ok(Map(map))
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the writer. The server then stops, and starts anew from its disk.
    fn save(&self, to: &mut Writer) -> impl Future<Output = Result<(), StorageError>> {
        to.put(self)
    }

    /// Reads what [`StateMachine::save`] wrote.
    ///
    /// # Errors
    ///
    /// Those of the snapshot, as with [`StateMachine::save`].
    fn load(from: &mut Snapshot) -> impl Future<Output = Result<Self, StorageError>> {
        from.get()
    }

    /// A hash of the state. It is compared between replicas after each command, so it should cost little. By default only the
    /// executed commands are compared.
    fn digest(&self) -> u64 {
        0
    }
}
