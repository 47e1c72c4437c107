//! The system as `sim` sees it.

use serde::{Deserialize, Serialize};
use sim::{Cluster, Manifest, Phase, System};

use super::checks::AckedIsApplied;
use super::config::Config;
use super::ordered::Ordered;
use super::server::{self, Acked};
use super::visible::AppliedByAll;
use super::workload::{self, LogOp};

/// The keys of `[system]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// How many servers vote at the beginning.
    pub servers: usize,
    /// How many more there are, which may become members.
    pub spares: usize,
    /// How many clients.
    pub clients: usize,
    /// How its servers behave.
    pub raft: Config,
    /// A server makes a snapshot every so many entries; 0 is never.
    pub snapshot_every: u64,
    /// Whether servers tell a disk that was lost from one that is new: they write to it when they first start, and one that finds
    /// nothing there later takes no part any more. For scenarios that wipe disks; a server that dies before it has written is
    /// taken for one that was wiped.
    pub marks_disks: bool,
    /// How many bytes a snapshot has, more or less.
    pub snapshot_bytes: usize,
}

impl Default for Params {
    fn default() -> Self {
        Params {
            servers: 3,
            spares: 0,
            clients: 3,
            raft: Config::default(),
            snapshot_every: 50,
            marks_disks: false,
            snapshot_bytes: 100,
        }
    }
}

/// A replicated log.
pub struct RaftLog;

impl System for RaftLog {
    type Params = Params;

    fn describe(m: &mut Manifest<Self>) {
        m.name("raft", "A log that servers agree on with Raft")
            .role("server", server::boot)
            .client_role("client")
            .ops::<LogOp>();
        m.workload("mixed", workload::mixed)
            .workload("read-all", workload::read_all)
            .action("raft.transfer", workload::transfer)
            .action("raft.members", workload::members)
            .suggest(Phase::Main, "mixed")
            .suggest(Phase::Final, "read-all");
        super::declare(m);
        m.event::<Acked>();
        m.check::<Ordered>();
        m.per_group().invariant::<AckedIsApplied>().consistency::<AppliedByAll>();
        super::known_bugs::declare(m);
    }

    fn build(&self, params: &Params, cluster: &mut Cluster) {
        cluster.nodes("server", params.servers + params.spares).nodes("client", params.clients);
    }
}
