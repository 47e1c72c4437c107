//! A fault-tolerant key/value store, replicated with Raft.
//!
//! The store follows the MIT 6.824 lab "fault-tolerant key/value service", and adds compare-and-swap, delete, range scans, reads
//! without log entries, expiring sessions and membership changes. The map itself is a state machine ([`store`]). Replication
//! and the filtering of duplicate requests are in [`crate::rsm`] and [`crate::raft`].
//!
//! # Guarantees
//!
//! - Get, put, append, compare-and-swap, delete and scan are linearizable ([`Linearizable`](sim::check::Linearizable)). A scan
//!   shows all its keys at one moment.
//! - Each request takes effect at most once, however often the client retries it. If the client's session has expired in the
//!   meantime, the client learns that the outcome is unknown, and the request is not executed later.
//! - Acknowledged writes survive the crash of any minority of the servers, and the crash of all servers whose disks survive
//!   (the checks of [`crate::raft::checks`]).
//! - Memory is bounded by the limits of the store ([`store::Limits`]) and of sessions ([`crate::rsm::Limits`]), and by snapshots,
//!   which replace the log unless they are switched off. A command that would exceed the store's limits fails without effect
//!   when it is executed. A command of more than 1 MiB is rejected before it enters the log.
//!
//! # Rules
//!
//! | rule | code |
//! |---|---|
//! | Every server executes the committed commands, in the order of the log | [`crate::rsm::Replica`] |
//! | A command is executed once; its reply is part of the replicated state and of snapshots | [`crate::rsm::Sessions`] |
//! | Sessions expire by the log's time, at the same entry on every server | [`crate::rsm::Sessions`] |
//! | A read sees every write acknowledged before it: by a log entry, a read index, or a lease | [`crate::rsm::Reads`] |
//! | A client remembers the leader, tries another server if the leader does not answer, and gives up at a deadline | [`client`] |
//!
//! # Sources
//!
//! Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm" (extended version), 2014, section 8; Ongaro's
//! thesis, chapter 6.

pub mod client;
mod known_bugs;
pub mod server;
pub mod store;
mod system;
pub mod workload;

pub use system::{Kv, Params};
