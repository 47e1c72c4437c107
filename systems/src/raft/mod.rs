//! Raft: a replicated log that survives the loss of any minority of its servers.
pub mod checks;
pub mod config;
pub mod core;
pub mod driver;
mod election;
pub mod events;
mod follower;
mod known_bugs;
pub mod leader;
pub mod log;
pub mod membership;
pub mod message;
pub mod ordered;
pub mod progress;
pub mod quorum;
pub mod read;
pub mod server;
pub mod snapshot;
mod system;
pub mod workload;

pub use config::Config;
pub use message::{Id, Index, Term};
pub use system::{Params, RaftLog};
