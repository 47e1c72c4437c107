//! The system as `sim` sees it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::check::Linearizable;
use sim::models::{self, StoreOp};
use sim::{Cluster, Manifest, Phase, System};

use super::checks::{Balanced, Handover, HeldOnce, InOrder, LoadCountedOnce, MovesBounded, OneOwner, SessionsEndLate};
use super::events::{ReadServed, Served};
use super::load::Policy;
use super::shard::Limits;
use super::visible::{ExecutedByOwners, NotSeen, NotServed};
use super::{Gid, ShardId, known_bugs, operator, server, workload};
use crate::kit::params::between;
use crate::kv::store;
use crate::raft;
use crate::rsm::{self, Reads};

/// The keys of `[system]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// How many servers each group has, and the controller: 1 to 100.
    #[serde(deserialize_with = "between::<_, _, 1, 100>")]
    pub servers: usize,
    /// How many groups there are: 1 to 1,000.
    #[serde(deserialize_with = "between::<_, _, 1, 1_000>")]
    pub groups: Gid,
    /// How many of them the first configuration has: those with the lowest numbers, all of them if there are fewer. At least 1.
    #[serde(deserialize_with = "between::<_, _, 1, 1_000>")]
    pub joined: Gid,
    /// How many shards there are: 1 to 10,000.
    #[serde(deserialize_with = "between::<_, _, 1, 10_000>")]
    pub shards: ShardId,
    /// How many clients.
    pub clients: usize,
    /// How many operators act at once: 1 to 100.
    #[serde(deserialize_with = "between::<_, _, 1, 100>")]
    pub operators: usize,
    /// How reads are answered: `log`, `index` or `lease`.
    pub reads: Reads,
    /// How Raft behaves, in each group.
    #[serde(deserialize_with = "rsm::raft_config")]
    pub raft: raft::Config,
    /// When a log has more bytes than this, and more than the last snapshot, a snapshot takes its place; 0 is never.
    pub snapshot_bytes: usize,
    /// The expansion factor of snapshots in hundredths: see [`rsm::Options::expansion_percent`].
    pub expansion_percent: usize,
    /// The most bytes of one value.
    pub max_value: usize,
    /// The most bytes of all keys and values of a shard.
    pub max_bytes: usize,
    /// A session of a shard ends when no command of it came for so long.
    pub session_idle_ms: u64,
    /// When a shard has more sessions than this, the one that was used least recently ends. At most
    /// 100,000, since they are part of snapshots.
    #[serde(deserialize_with = "between::<_, _, 1, 100_000>")]
    pub max_sessions: usize,
    /// A client leaves a session that it has not used for so long for a new one.
    pub client_session_ms: u64,
    /// How long a client waits for one answer.
    pub attempt_ms: u64,
    /// How many bytes of a shard move in one message, at least one key: 1 to 524,288.
    #[serde(deserialize_with = "between::<_, _, 1, 524_288>")]
    pub chunk_bytes: usize,
    /// How long a group pauses after each such message.
    pub chunk_pause_ms: u64,
    /// How often a group asks for the next configuration: each 1 ms to one minute.
    #[serde(deserialize_with = "between::<_, _, 1, 60_000>")]
    pub poll_ms: u64,
    /// How often a group reports its load; 0 is never.
    pub report_ms: u64,
    /// How many shards the controller moves by load within a minute, at most; 0 is none.
    pub moves_per_minute: usize,
    /// The controller moves a shard by load only from a group that has so many hundredths of the mean load.
    pub hysteresis_percent: u64,
}

impl Default for Params {
    fn default() -> Self {
        Params {
            servers: 3,
            groups: 3,
            joined: 2,
            shards: 8,
            clients: 3,
            operators: 1,
            reads: Reads::Index,
            raft: raft::Config::default(),
            snapshot_bytes: 4_000,
            expansion_percent: 100,
            max_value: 64 << 10,
            max_bytes: 4 << 20,
            session_idle_ms: 60_000,
            max_sessions: 1_000,
            client_session_ms: 20_000,
            attempt_ms: 500,
            chunk_bytes: 4_000,
            chunk_pause_ms: 0,
            poll_ms: 100,
            report_ms: 500,
            moves_per_minute: 0,
            hysteresis_percent: 130,
        }
    }
}

impl Params {
    pub(super) fn limits(&self) -> Limits {
        Limits {
            store: store::Limits { value: self.max_value, total: self.max_bytes },
            idle: Duration::from_millis(self.session_idle_ms),
            sessions: self.max_sessions,
        }
    }

    pub(super) fn policy(&self) -> Policy {
        Policy { moves_per_minute: self.moves_per_minute, hysteresis_percent: self.hysteresis_percent }
    }

    pub(super) fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms)
    }
}

/// A sharded key/value store.
pub struct ShardKv;

impl System for ShardKv {
    type Params = Params;

    fn describe(m: &mut Manifest<Self>) {
        m.name("shardkv", "A sharded key/value store: replica groups on Raft, and a controller")
            .role(server::CONTROLLER, server::boot_controller)
            .role(server::SHARD, server::boot_shard)
            .client_role("client")
            .ops::<StoreOp>()
            .events_beside::<Served>();
        m.workload("mixed", workload::mixed)
            .workload("steady", workload::steady)
            .workload("watch", workload::watch)
            .workload("settle", workload::settle)
            .action("shardkv.join", operator::join)
            .action("shardkv.leave", operator::leave)
            .action("shardkv.move", operator::move_shard)
            .action("shardkv.weigh", operator::weigh)
            .suggest(Phase::Main, "mixed")
            .suggest(Phase::Final, "settle");
        raft::declare(m);
        m.check::<Linearizable<models::Store>>()
            .invariant::<OneOwner>()
            .invariant::<Handover>()
            .invariant::<InOrder>()
            .invariant::<Balanced>()
            .invariant::<LoadCountedOnce>()
            .invariant::<MovesBounded>()
            .invariant::<SessionsEndLate>()
            .invariant::<HeldOnce>()
            .consistency::<ExecutedByOwners>()
            .recovery::<NotServed>("move")
            .recovery::<NotSeen>("move-gap")
            .work::<Served>()
            .work::<ReadServed>();
        known_bugs::declare(m);
    }

    fn build(&self, params: &Params, cluster: &mut Cluster) {
        cluster.nodes(server::CONTROLLER, params.servers);
        for gid in 1..=params.groups {
            cluster.group(&format!("{}-{gid}", server::SHARD), server::SHARD, params.servers);
        }
        cluster.nodes("client", params.clients).operators(params.operators);
    }
}
