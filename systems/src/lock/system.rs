//! The system as `sim` sees it.

use std::rc::Rc;

use serde::{Deserialize, Serialize};
use sim::{Cluster, Manifest, Phase, System, group};

use super::checks::{Acquired, MutualExclusion};
use super::table::Table;
use super::workload::{self, Acquire};
use crate::raft;
use crate::rsm::{self, Options, Patience, service};

/// The role of the servers, and their group.
const SERVER: &str = "server";
/// Where servers listen to each other.
const RAFT: u16 = 1;
/// Where servers answer clients.
const PORT: u16 = 2;

/// The keys of `[system]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The number of servers.
    pub servers: usize,
    /// The number of clients.
    pub clients: usize,
    /// The configuration of Raft.
    #[serde(deserialize_with = "rsm::raft_config")]
    pub raft: raft::Config,
}

impl Default for Params {
    fn default() -> Self {
        Params { servers: 3, clients: 3, raft: raft::Config::default() }
    }
}

impl Params {
    /// A client of the servers.
    pub(super) fn client(&self) -> rsm::Client<Table> {
        let servers = group::lookup(SERVER).expect("the system has servers");
        rsm::Client::new(servers, servers.addrs(PORT), Patience::default())
    }
}

async fn boot(params: Rc<Params>) {
    let options = Options::of_home_group("lock", RAFT, params.raft.clone(), params.servers);
    service::run(options, Table::default(), PORT, |_| ()).await;
}

/// A lock service on Raft.
pub struct Lock;

impl System for Lock {
    type Params = Params;

    fn describe(m: &mut Manifest<Self>) {
        m.name("lock", "A lock service on Raft: leases and fencing tokens").role(SERVER, boot).client_role("client");
        m.ops::<Acquire>()
            .events_beside::<Acquired>()
            .workload("mixed", workload::mixed)
            .workload("each", workload::each);
        m.suggest(Phase::Main, "mixed").suggest(Phase::Final, "each");
        raft::declare(m);
        m.invariant::<MutualExclusion>().per_group().consistency::<rsm::ExecutedByAll>();
        m.planted("lock.anyone-releases").breaks(["mutual-exclusion"]).found_by("expiry", 100).found_by("swarm", 120);
        m.planted("lock.lease-from-reply").breaks(["mutual-exclusion"]).found_by("expiry", 5).found_by("swarm", 150);
    }

    fn build(&self, params: &Params, cluster: &mut Cluster) {
        cluster.nodes(SERVER, params.servers).nodes("client", params.clients);
    }
}
