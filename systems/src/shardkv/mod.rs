//! A sharded key/value store: groups of replicas, each of which owns a part of the keys, and a controller that decides which.
//!
//! Keys are divided into *shards* by their hash ([`shard_of`]). A *configuration* says which group owns which shard
//! ([`config::Config`]). The *controller* makes one configuration after another: when groups join or leave, when an operator moves a
//! shard, and when a group has too much load. Each group is a replicated state machine ([`group::Group`]) of its own, and so is the
//! controller ([`controller::Controller`]), both on [`crate::rsm`].
//!
//! # How a shard moves
//!
//! ```text
//! old owner                                            new owner
//! adopts configuration n: stops serving the shard
//!                                                      adopts configuration n: expects the shard
//! sends a part  ───────────────────────────────────▶  has it in its log
//!               ◀───────────────────────────────────  how far the shard has arrived
//! ...                                                  has the last part: serves the shard
//!               ◀───────────────────────────────────  installed
//! deletes the shard
//! ```
//!
//! A group adopts configurations in the order of their numbers, each through its own log, and the next one only when everything of the
//! one before is installed and handed over. All decisions are made where an entry is applied, so all replicas make the same, and a
//! leader that crashes in the middle is followed by one that goes on from there.
//!
//! # Promises
//!
//! | promise | check |
//! |---|---|
//! | Get, put, append, compare-and-swap and delete are linearizable, across all moves | [`Linearizable`](sim::check::Linearizable) |
//! | At any moment at most one group executes commands on a shard | [`checks::OneOwner`] |
//! | A shard arrives whole, with its sessions, and is deleted only after it has arrived | [`checks::Handover`] |
//! | A group adopts each configuration, in order | [`checks::InOrder`] |
//! | Groups that join and leave own equal shares by weight, and as few shards move as can be | [`checks::Balanced`] |
//! | A command is executed at most once, by whichever groups own its shard; a client whose session has ended hears that the outcome is unknown | [`Linearizable`](sim::check::Linearizable) |
//! | A session may end late, and never early: its idle time goes with it when its shard moves | [`checks::SessionsEndLate`] |
//! | A shard that an operator moved stays until groups join or leave | [`checks::Balanced`] |
//! | Operations count once as load, however often a report is sent | [`checks::LoadCountedOnce`] |
//! | The controller moves at most so many shards by load within a minute | [`checks::MovesBounded`] |
//! | When all is healed, each group comes to the latest configuration, and holds what it owns and nothing else | [`workload::settle`], the final workload, and [`checks::HeldOnce`] |
//! | Shards that do not move are served as before while another one moves | [`workload::steady`], in the scenario `large-shard` |
//! | The state of all replicas of a group is the same | [`crate::raft::checks::SameState`] |
//!
//! It is not promised that an operation on a shard succeeds while it moves: clients wait
//! and try again.
//!
//! # Limits
//!
//! There are no operations on several keys. The controller keeps all configurations. If a group crashes for good, its shards stay
//! with it.
//!
//! # Sources
//!
//! The MIT 6.824 labs "sharded key/value service"; Adya et al., "Slicer: Auto-Sharding for Datacenter Applications", OSDI 2016.

pub mod checks;
pub mod client;
pub mod config;
pub mod controller;
pub mod events;
pub mod group;
mod known_bugs;
pub mod load;
pub mod operator;
pub mod server;
pub mod shard;
mod system;
mod transfer;
pub mod visible;
pub mod workload;

use sim::GroupId;
pub use system::{Params, ShardKv};
use xxhash_rust::xxh3::xxh3_64;

/// The number of a replica group, from 1: its nodes are the group `shard-1`, and so on.
pub type Gid = u16;

/// The number of a shard, from 0.
pub type ShardId = u16;

/// The shard of a key, of so many shards.
pub fn shard_of(key: &str, shards: ShardId) -> ShardId {
    (xxh3_64(key.as_bytes()) % u64::from(shards.max(1))) as ShardId
}

/// The nodes of a replica group, if the cluster has it.
pub fn nodes_of(gid: Gid) -> Option<GroupId> {
    sim::group::lookup(&format!("{}-{gid}", server::SHARD))
}
