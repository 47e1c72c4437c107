//! Raft: a replicated log that survives the loss of any minority of its servers.
pub mod config;
pub mod core;
mod election;
mod follower;
pub mod leader;
pub mod log;
pub mod membership;
pub mod message;
pub mod progress;
pub mod quorum;
pub mod read;
pub mod snapshot;

pub use config::Config;
pub use message::{Id, Index, Term};
