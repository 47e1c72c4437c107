//! The system as `sim` sees it.

use serde::{Deserialize, Serialize};
use sim::check::Linearizable;
use sim::models::{self, StoreOp};
use sim::{Client, Cluster, Manifest, Phase, System};

use super::store::Store;
use super::{known_bugs, server, workload};
use crate::kit::params::between;
use crate::raft::operator::{MembersAre, TransferTo};
use crate::rsm::operator;
use crate::rsm::{Limits, Patience, Reads};
use crate::{raft, rsm};

/// The keys of `[system]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// How many servers vote at the beginning: 1 to 100.
    #[serde(deserialize_with = "between::<_, _, 1, 100>")]
    pub servers: usize,
    /// How many more there are, which may become members.
    pub spares: usize,
    /// How many clients.
    pub clients: usize,
    /// How reads are answered: `log`, `index` or `lease`, which is `index` with [`raft::Config::lease_reads`].
    pub reads: Reads,
    /// How Raft behaves.
    #[serde(deserialize_with = "rsm::raft_config")]
    pub raft: raft::Config,
    /// When the log has more bytes than this, and more than the last snapshot, a snapshot takes its place; 0 is never.
    pub snapshot_bytes: usize,
    /// The most bytes of one value.
    pub max_value: usize,
    /// The most bytes of all keys and values: see [`Limits::total`](super::store::Limits::total).
    pub max_bytes: usize,
    /// A session ends when no command of it came to the log for so long.
    pub session_idle_ms: u64,
    /// When there are more sessions than this, the one that was used least recently ends. At most
    /// 100,000, since they are part of snapshots.
    #[serde(deserialize_with = "between::<_, _, 1, 100_000>")]
    pub max_sessions: usize,
    /// A client leaves a session that it has not used for so long for a new one.
    pub client_session_ms: u64,
    /// How long a client waits for one answer.
    pub attempt_ms: u64,
}

impl Default for Params {
    fn default() -> Self {
        let (limits, patience) = (Limits::default(), Patience::default());
        Params {
            servers: 3,
            spares: 0,
            clients: 3,
            reads: Reads::Index,
            raft: raft::Config::default(),
            snapshot_bytes: 4_000,
            max_value: 64 << 10,
            max_bytes: 4 << 20,
            session_idle_ms: limits.idle.as_millis() as u64,
            max_sessions: limits.sessions,
            client_session_ms: patience.session.as_millis() as u64,
            attempt_ms: patience.attempt.as_millis() as u64,
        }
    }
}

/// A key/value store on Raft.
pub struct Kv;

impl System for Kv {
    type Params = Params;

    fn describe(m: &mut Manifest<Self>) {
        m.name("kv", "A key/value store on Raft")
            .role(server::GROUP, server::boot)
            .client_role("client")
            .ops::<StoreOp>();
        m.workload("mixed", workload::mixed)
            .workload("read-all", workload::read_all)
            .action("kv.transfer", |_: Client<Params>, args: TransferTo| {
                operator::transfer::<Store>(server::GROUP, server::PORT, args)
            })
            .action("kv.members", |_: Client<Params>, args: MembersAre| {
                operator::members::<Store>(server::GROUP, server::PORT, args)
            })
            .suggest(Phase::Main, "mixed")
            .suggest(Phase::Final, "read-all");
        raft::declare(m);
        m.check::<Linearizable<models::Store>>();
        m.per_group().consistency::<rsm::ExecutedByAll>();
        known_bugs::declare(m);
    }

    fn build(&self, params: &Params, cluster: &mut Cluster) {
        cluster.nodes(server::GROUP, params.servers + params.spares).nodes("client", params.clients);
    }
}
