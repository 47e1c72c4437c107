//! A journal: one node that appends records to its disk, and acknowledges each when it would survive a crash.
//!
//! There is nothing distributed about it, on purpose: it is what `systems::storage` is tested with. Whatever a disk does to
//! a log and its snapshots happens to this node, and there is no replica that could hide it.
//!
//! # Guarantees
//!
//! - An acknowledged record is on the disk: a crash, a killed process, a failed or torn write, a full disk lose none.
//! - What the hardware itself destroys (rot, unreadable sectors, writes that went elsewhere) cannot be kept by one copy. Then
//!   the journal says which records are lost, and loses no others.
//! - Records have numbers: one that was acknowledged before another was sent has a smaller one. A record is there once,
//!   however often a client sends it.
//! - A refusal is certain: what was refused never appears.
//!
//! # How
//!
//! | rule | where |
//! |---|---|
//! | Acknowledge when the log says that the record is durable | [`server`] |
//! | After any failed write or sync: forget what is in memory, open anew, and believe only what is read back | [`server`] |
//! | Cut the log up to the snapshot *before* the newest, so that one rotten snapshot costs nothing | [`server`] |
//! | A number is never given out twice, even if the log lost more than its end | [`recovery`] |
//! | A client's record is known by its session and number, so that sending it again is harmless | [`crate::kit::session`] |
//!
//! The log and the snapshots are those of [`crate::storage`]. "Can Applications Recover from fsync Failures?" (Rebello et
//! al., ATC 2020) has what is done after a failed sync, and "Protocol-Aware Recovery for Consensus-Based Storage"
//! (Alagappan et al., FAST 2018) the distinction between what was torn and what has rotted.

pub mod checks;
pub mod client;
pub mod events;
mod known_bugs;
pub mod ledger;
pub mod ordered;
pub mod recovery;
pub mod server;
pub mod state;
mod system;
mod visible;
pub mod workload;

pub use system::{Journal, Params};
