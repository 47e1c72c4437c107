//! Metrics: the performance of a system in a run.
//!
//! | metric | meaning | unit | source |
//! |---|---|---|---|
//! | *consistency latency* | the time from the invocation of an operation until its effect is durable and visible on all required nodes | virtual ns, one value per operation | the system's declaration with [`Manifest::consistency`](crate::Manifest::consistency) |
//! | *fault recovery time* | the time from a fault to the completion of the first operation that was invoked after the fault and completed | virtual ns, one value per fault, by kind of fault | history and faults, for every system; times of other kinds, such as that of a moving shard, by the system's declaration with [`Manifest::recovery`](crate::Manifest::recovery) |
//! | *load balance* | the work of the busiest node divided by the mean over nodes, and the coefficient of variation (standard deviation divided by mean) | ratios, one value per run | datagrams that reached each node, or events: [`Manifest::work`](crate::Manifest::work) |
//!
//! A run has [`Metrics`], and a sweep has the sum over its runs. They are [`Histogram`]s, whose percentiles are accurate to one
//! percent and do not depend on the order of addition. A span that did not end within its run is counted separately.
//!
//! Metrics do not affect a run, and are not part of the digest.
//!
//! # Declaring metrics
//!
//! ```
//! # use sim::{Cluster, Manifest, System, event};
//! use sim::metric::{Keyed, OnEach};
//!
//! event! {
//!     /// A client begins to write.
//!     "store.asked" => struct Asked { id: u64 }
//!     /// A server has it on its disk.
//!     "store.stored" => struct Stored { id: u64 }
//! }
//! impl Keyed for Asked {
//!     fn key(&self) -> u64 { self.id }
//! }
//! impl Keyed for Stored {
//!     fn key(&self) -> u64 { self.id }
//! }
//! # struct Store;
//! # impl System for Store {
//! #     type Params = ();
//! fn describe(m: &mut Manifest<Self>) {
//!     // A write is visible when each server has stored it, and storing is what servers do all day.
//!     m.consistency::<OnEach<Asked, Stored>>().work::<Stored>();
//! }
//! #     fn build(&self, _: &(), _: &mut Cluster) {}
//! # }
//! # fn main() {}
//! ```
//!
//! | module | what |
//! |---|---|
//! | `consistency` | spans, and the folds that begin and end them |
//! | `spread` | what "everywhere" usually is |
//! | `recovery`, `balance` | the other two |
//! | `histogram` | how values are added up |
//! | `measures` | what is set up before a run, and the result after it |

mod balance;
mod consistency;
mod histogram;
mod measures;
mod recovery;
mod spread;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use consistency::{Consistency, Spans, Watch, note, note_of};
pub(crate) use consistency::{Notes, Outcomes, install};
pub use histogram::Histogram;
#[doc(hidden)]
pub use measures::Measures;
pub use spread::{InOrder, Keyed, OnEach};

/// Ratios are recorded as integers, in units of `1 / SCALE`.
pub const SCALE: f64 = 1e6;

/// The metrics of one run, or of several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metrics {
    /// Consistency latency; none if the system declares nothing.
    pub consistency: Option<Visibility>,
    /// Fault recovery time, by kind of fault.
    pub recovery: BTreeMap<String, Recovery>,
    /// Load balance; none if there was no work.
    pub balance: Option<Balance>,
}

/// When operations became visible.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visibility {
    /// How long it took, in virtual nanoseconds.
    pub latency_ns: Histogram,
    /// Operations that were begun and did not become visible until the end of the run.
    pub never: u64,
}

/// When operations completed again after faults of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// How long it took, in virtual nanoseconds.
    pub time_ns: Histogram,
    /// Faults after which none did until the end of the run.
    pub unrecovered: u64,
}

/// How work was parted among nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// What work is: `messages`, or the names of events.
    pub work: String,
    /// Work of the busiest node by the mean, times [`SCALE`], one value a run.
    pub max_over_mean: Histogram,
    /// Coefficient of variation, times [`SCALE`], one value a run.
    pub variation: Histogram,
}

impl Metrics {
    /// Adds those of other runs.
    pub fn add(&mut self, other: &Metrics) {
        if let Some(visibility) = &other.consistency {
            self.consistency.get_or_insert_default().add(visibility);
        }
        for (kind, recovery) in &other.recovery {
            match self.recovery.get_mut(kind) {
                Some(sum) => sum.add(recovery),
                None => drop(self.recovery.insert(kind.clone(), recovery.clone())),
            }
        }
        if let Some(balance) = &other.balance {
            let sum = self.balance.get_or_insert_with(|| Balance { work: balance.work.clone(), ..Balance::default() });
            sum.max_over_mean.add(&balance.max_over_mean);
            sum.variation.add(&balance.variation);
        }
    }
}

impl Visibility {
    fn add(&mut self, other: &Visibility) {
        self.latency_ns.add(&other.latency_ns);
        self.never += other.never;
    }
}

impl From<&Visibility> for Recovery {
    /// Spans of a system, as times of recovery.
    fn from(spans: &Visibility) -> Recovery {
        Recovery { time_ns: spans.latency_ns.clone(), unrecovered: spans.never }
    }
}

impl Recovery {
    /// Adds those of other faults.
    pub fn add(&mut self, other: &Recovery) {
        self.time_ns.add(&other.time_ns);
        self.unrecovered += other.unrecovered;
    }
}
