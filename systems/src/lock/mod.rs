//! A lock service: leases in the log's time, with fencing tokens.
//!
//! A lock is granted for a *lease*. It is free again when its holder gives it back, or when the lease is over; so a holder that
//! crashes does not block the lock for ever. Each grant has a *fencing token*, larger than all before it. What a lock protects must
//! refuse a token that is smaller than one that it has seen: a holder that was paused may act on a lease that is over.
//!
//! This system is the template of a system on [`crate::rsm`]: a state machine, a client, a workload, a check, known bugs, a swarm
//! and a scenario.
//!
//! | promise | check |
//! |---|---|
//! | No client believes in a lease while another does, if clocks run within [`table::CLOCK_DRIFT`] | [`checks::MutualExclusion`] |
//! | Tokens of a lock ascend in the order of its grants | [`checks::MutualExclusion`] |
//! | All replicas end a lease at the same entry | [`crate::raft::checks::SameState`] |
//! | A lock whose holder crashed is granted again | [`workload::each`], the final workload: it ends when the client has held each lock |
//!
//! Gray and Cheriton, "Leases: An Efficient Fault-Tolerant Mechanism for Distributed File Cache Consistency", 1989; Burrows, "The
//! Chubby Lock Service for Loosely-Coupled Distributed Systems", 2006, section 2.4 (sequencers).

pub mod checks;
pub mod client;
mod system;
pub mod table;
pub mod workload;

pub use system::{Lock, Params};
