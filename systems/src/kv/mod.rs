//! A fault-tolerant key/value store: a map that servers agree on with Raft.
//!
//! The service of the MIT 6.824 lab "fault-tolerant key/value service", with what one would miss there: compare-and-swap, delete, range scans, reads without log
//! entries, sessions that end, membership changes. The store is a state machine ([`store`]); all that replicates it, and makes a
//! request that is sent twice be executed once, is in [`crate::rsm`] and [`crate::raft`].
//!
//! # Guarantees
//!
//! - Get, put, append, compare-and-swap, delete and scan are linearizable: a scan shows all its keys at one moment.
//! - Each takes effect at most once however often it is sent. If a client's session has ended meanwhile, the client hears that
//!   nobody knows whether its request was executed; it will not be executed later.
//! - What was answered survives the crash of any minority of the servers for ever, and of all of them at once if their disks survive.
//! - Memory is bounded: by the limits of the store ([`store::Limits`]) and of sessions ([`crate::rsm::Limits`]), and, unless they
//!   are switched off, by snapshots in place of the log. What would exceed the store's limits is refused when its turn in the log
//!   comes, and changes nothing; what has more than 1 MiB does not get into the log.
//!
//! # How
//!
//! | rule | where |
//! |---|---|
//! | A command is executed when it is committed, by every server, in the log's order | [`crate::rsm::Replica`] |
//! | A command that was executed is not executed again; its reply is part of the replicated state, snapshots included | [`crate::rsm::Sessions`] |
//! | Sessions end by the log's time, at the same entry everywhere | [`crate::rsm::Sessions`] |
//! | Reads see all that was answered before: by the log, by a read index, or by a lease | [`crate::rsm::Reads`] |
//! | Clients keep the leader in mind, go on to another server when it does not answer, and give up at a deadline | [`client`] |
//!
//! # Where it comes from
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
