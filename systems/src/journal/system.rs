//! The system as `sim` sees it.

use serde::{Deserialize, Serialize};
use sim::{Cluster, Manifest, Phase, System};

use super::checks::{Durable, ReadBack, TheOnlyDisk};
use super::events::Asked;
use super::ordered::Ordered;
use super::visible::OnDisk;
use super::workload::JournalOp;
use super::{known_bugs, server, workload};
use crate::storage::wal::Marking;

/// The keys of `[system]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// How many clients.
    pub clients: usize,
    /// How many bytes a segment of the log has before the next one is begun.
    pub segment: u64,
    /// The longest record that the log takes, in bytes.
    pub max_record: usize,
    /// After how many records a snapshot is made, and the log cut.
    pub snapshot_every: u64,
    /// When the log writes the mark of a batch: `with-batch` or `after-batch`.
    pub marking: Marking,
}

impl Default for Params {
    fn default() -> Self {
        Params { clients: 2, segment: 8 * 1024, max_record: 4 * 1024, snapshot_every: 60, marking: Marking::WithBatch }
    }
}

/// A journal on one disk.
pub struct Journal;

impl System for Journal {
    type Params = Params;

    fn describe(m: &mut Manifest<Self>) {
        m.name("journal", "A journal on one disk: appends are acknowledged when they would survive a crash")
            .role("journal", server::boot)
            .client_role("client")
            .ops::<JournalOp>();
        m.workload("append", workload::append)
            .workload("read-all", workload::read_all)
            .suggest(Phase::Main, "append")
            .suggest(Phase::Final, "read-all");
        m.events_beside::<Asked>();
        m.protected::<TheOnlyDisk>();
        m.check::<Ordered>().invariant::<Durable>().invariant::<ReadBack>();
        m.consistency::<OnDisk>();
        known_bugs::declare(m);
    }

    fn build(&self, params: &Params, cluster: &mut Cluster) {
        cluster.nodes("journal", 1).nodes("client", params.clients);
    }
}
