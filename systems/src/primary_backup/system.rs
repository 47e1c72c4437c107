//! The system as `sim` sees it.

use serde::{Deserialize, Serialize};
use sim::check::Linearizable;
use sim::models::{Kv, KvOp};
use sim::{Cluster, Manifest, Phase, System};

use super::checks::{Applied, Backup, Holders, OneServerPerView, Primary, PrimaryHasState, ReplicasAgree, ViewOrder};
use super::visible::OnBoth;
use super::{known_bugs, server, view_service, workload};

/// The keys of `[system]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// How many servers there are; two have a role, the others are idle.
    pub servers: usize,
    /// How many clients.
    pub clients: usize,
}

impl Default for Params {
    fn default() -> Self {
        Params { servers: 3, clients: 3 }
    }
}

/// Primary/backup replication with a view service.
pub struct PrimaryBackup;

impl System for PrimaryBackup {
    type Params = Params;

    fn describe(m: &mut Manifest<Self>) {
        m.name("primary_backup", "A key/value store on a primary and a backup, with a view service")
            .role("view", view_service::boot)
            .role("server", server::boot)
            .client_role("client")
            .ops::<KvOp>();
        m.workload("mixed", workload::mixed)
            .workload("read-all", workload::read_all)
            .workload("settle", workload::settle)
            .suggest_on(Phase::Setup, "settle", "client-0")
            .suggest(Phase::Main, "mixed")
            .suggest(Phase::Final, "read-all");
        m.events_beside::<Applied>();
        m.selector::<Primary>().selector::<Backup>().protected::<Holders>();
        m.check::<Linearizable<Kv>>()
            .invariant::<OneServerPerView>()
            .invariant::<ViewOrder>()
            .invariant::<PrimaryHasState>()
            .invariant::<ReplicasAgree>();
        m.consistency::<OnBoth>();
        // Most datagrams are pings, and go to the view service; what servers are there for is to apply operations.
        m.work::<Applied>();
        known_bugs::declare(m);
    }

    fn build(&self, params: &Params, cluster: &mut Cluster) {
        cluster.nodes("view", 1).nodes("server", params.servers).nodes("client", params.clients);
    }
}
