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
    /// How long a tick is.
    pub tick_ms: u64,
    /// See [`Config::election_ticks`].
    pub election_ticks: u64,
    /// See [`Config::heartbeat_ticks`].
    pub heartbeat_ticks: u64,
    /// See [`Config::pre_vote`].
    pub pre_vote: bool,
    /// See [`Config::check_quorum`].
    pub check_quorum: bool,
    /// See [`Config::stickiness`].
    pub stickiness: bool,
    /// See [`Config::noop`].
    pub noop: bool,
    /// See [`Config::forward`].
    pub forward: bool,
    /// See [`Config::lease_reads`].
    pub lease_reads: bool,
    /// See [`Config::clock_drift`].
    pub clock_drift: f64,
    /// See [`Config::max_append_bytes`].
    pub max_append_bytes: usize,
    /// See [`Config::max_inflight`].
    pub max_inflight: usize,
    /// See [`Config::snapshot_chunk`].
    pub snapshot_chunk: usize,
    /// A server makes a snapshot every so many entries; 0 is never.
    pub snapshot_every: u64,
    /// How many bytes a segment of the log on disk has before the next one is begun.
    pub segment: u64,
    /// Whether servers tell a disk that was lost from one that is new: they write to it when they first start, and one that finds
    /// nothing there later takes no part any more. For scenarios that wipe disks; a server that dies before it has written is
    /// taken for one that was wiped.
    pub marks_disks: bool,
    /// How many bytes a snapshot has, more or less.
    pub snapshot_bytes: usize,
}

impl Default for Params {
    fn default() -> Self {
        let config = Config::default();
        Params {
            servers: 3,
            spares: 0,
            clients: 3,
            tick_ms: 20,
            election_ticks: config.election_ticks,
            heartbeat_ticks: config.heartbeat_ticks,
            pre_vote: config.pre_vote,
            check_quorum: config.check_quorum,
            stickiness: config.stickiness,
            noop: config.noop,
            forward: config.forward,
            lease_reads: config.lease_reads,
            clock_drift: config.clock_drift,
            max_append_bytes: config.max_append_bytes,
            max_inflight: config.max_inflight,
            snapshot_chunk: config.snapshot_chunk,
            snapshot_every: 50,
            segment: 8 * 1024,
            marks_disks: false,
            snapshot_bytes: 100,
        }
    }
}

impl Params {
    /// The core's knobs.
    pub fn config(&self) -> Config {
        Config {
            election_ticks: self.election_ticks,
            heartbeat_ticks: self.heartbeat_ticks,
            pre_vote: self.pre_vote,
            check_quorum: self.check_quorum,
            stickiness: self.stickiness,
            noop: self.noop,
            forward: self.forward,
            lease_reads: self.lease_reads,
            clock_drift: self.clock_drift,
            max_append_bytes: self.max_append_bytes,
            max_inflight: self.max_inflight,
            snapshot_chunk: self.snapshot_chunk,
            ..Config::default()
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
