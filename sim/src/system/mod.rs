//! What a system under test implements.
//!
//! [`System::describe`] lists what there is: roles, workloads, events, selectors, oracles, known bugs. It needs no
//! parameters, so listing, checking a scenario and completion work from it alone. [`System::build`] says which nodes a
//! cluster of given parameters has. Everything else is the system's own code on its nodes, talking to the world through
//! `sim::{time, task, net, rpc, fs, rand}`.
//!
//! A system has the events that its own lines report, or those of a library that it uses. [`Manifest::events_beside`] adds all
//! events of a module at once, since a module's events are one vocabulary. A known bug is declared in one place, with everything
//! that tests and tools need to search for it: see [`Planted`].

mod description;
mod instance;
mod manifest;
mod names;
mod planted;

use std::future::Future;
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::base::NodeId;
use crate::event::On;
use crate::history::{self, Call, Op, OpError};

pub use description::{Description, EventInfo, Suggested};
#[doc(hidden)]
pub use instance::ClientSlot;
pub use instance::{DynSystem, Instance, RoleMain};
pub use manifest::{Manifest, PerGroup};
pub use planted::{Planted, PlantedInfo, Search};

/// A system under test.
pub trait System: Send + Sync + Sized + 'static {
    /// Its parameters: the keys of a scenario's `[system]` table.
    type Params: Serialize + DeserializeOwned + Clone + 'static;

    /// Lists roles, workloads, events, selectors, oracles and known bugs.
    fn describe(manifest: &mut Manifest<Self>);

    /// Says which nodes there are.
    fn build(&self, params: &Self::Params, cluster: &mut Cluster);
}

/// A node of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSpec {
    /// Its name, as in `shard-1-0`.
    pub name: String,
    /// What it runs: one of the roles that the system declares.
    pub role: String,
    /// Its home group: see [`group`](mod@crate::group).
    pub group: String,
}

/// The nodes of a role, in order.
pub(crate) fn of_role(nodes: &[NodeSpec], role: Option<&str>) -> Vec<NodeId> {
    let numbered = nodes.iter().enumerate();
    numbered.filter(|(_, node)| Some(&*node.role) == role).map(|(index, _)| NodeId::new(index as u16)).collect()
}

/// The most nodes of a cluster: a node's number has 16 bits.
pub const MOST_NODES: usize = u16::MAX as usize - 1;

/// The nodes of a cluster, in order: at most [`MOST_NODES`].
///
/// ```
/// use sim::Cluster;
///
/// let mut cluster = Cluster::default();
/// cluster.nodes("worker", 2).group("shard-1", "shard", 3).group("shard-2", "shard", 3);
/// assert_eq!(cluster.list()[0].name, "worker-0");
/// assert_eq!(cluster.list()[0].group, "worker");
/// assert_eq!(cluster.list()[2].name, "shard-1-0");
/// assert_eq!(cluster.list()[2].role, "shard");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    nodes: Vec<NodeSpec>,
    operators: Option<usize>,
    /// How many nodes were asked for, those that are too many included.
    asked: usize,
}

impl Cluster {
    /// Adds `count` nodes of a role, named `role-0`, `role-1` and so on, to the group of the role's name.
    pub fn nodes(&mut self, role: &str, count: usize) -> &mut Self {
        self.group(role, role, count)
    }

    /// Adds `count` nodes of a role to a group, named `group-0`, `group-1` and so on. The group is made if it is new.
    pub fn group(&mut self, group: &str, role: &str, count: usize) -> &mut Self {
        let first = self.nodes.iter().filter(|node| node.group == group).count();
        self.asked = self.asked.saturating_add(count);
        // A cluster that is too large is an error of the scenario; there is no need to make it.
        let count = count.min((MOST_NODES + 1).saturating_sub(self.nodes.len()));
        self.nodes.extend((first..first + count).map(|i| NodeSpec {
            name: format!("{group}-{i}"),
            role: role.to_owned(),
            group: group.to_owned(),
        }));
        self
    }

    /// How many operators there are, named `operator-0` and so on. A system with actions has one if it does not say.
    pub fn operators(&mut self, count: usize) -> &mut Self {
        self.operators = Some(count);
        self
    }

    /// All nodes.
    pub fn list(&self) -> &[NodeSpec] {
        &self.nodes
    }
}

/// Finds nodes by what is known of them at a moment: the leader, the primary. A fold over events.
///
/// A frozen run does not ask it, so it must leave no trace: no `sim::rand`, no `HashMap` (std gives each map made on a
/// thread other keys).
pub trait Selector: Default + 'static {
    /// Its name in scenario files.
    const NAME: &'static str;

    /// Says which events it folds over.
    fn subscribe(on: &mut On<Self>);

    /// The nodes, in a deterministic order. Empty if there is none at present.
    fn nodes(&self) -> Vec<NodeId>;
}

/// Knows what a fault must not destroy, because it would be lost for good and by no bug. A fold over events.
pub trait Protect: Default + 'static {
    /// Says which events it folds over.
    fn subscribe(on: &mut On<Self>);

    /// Sets of nodes: of each, at least one must keep its memory. A fault that would leave a set without does not
    /// happen.
    fn memories(&self) -> Vec<Vec<NodeId>>;

    /// Sets of nodes: of each, at least one must keep its disk whole. A fault that would leave a set without does not
    /// happen: a `wipe`, `bit_rot`, `bad_sectors`, and a `disk` that lies about syncs or misdirects writes. A quorum of three
    /// disks of which two must be whole is the set of each two of them.
    ///
    /// The simulator knows which disks are damaged: those with a rotten, bad or misdirected sector that was not written
    /// again, those that have lied, and those that were wiped, until something is durable on them again. When a wiped disk has all
    /// that it should have, only the system can tell: it leaves the node out of its sets until then.
    fn disks(&self) -> Vec<Vec<NodeId>> {
        Vec::new()
    }
}

/// What a [`Protect`] says at a moment.
#[derive(Clone, Debug, Default)]
pub struct Protected {
    pub(crate) memories: Vec<Vec<NodeId>>,
    pub(crate) disks: Vec<Vec<NodeId>>,
}

/// The role of the node that actions run on.
pub(crate) const OPERATOR: &str = "operator";

/// The client that a workload runs on, or the operator that acts.
pub struct Client<P> {
    /// The system's parameters.
    pub params: Rc<P>,
    /// Which client this is, from 0, and how many there are.
    pub index: usize,
    /// How many clients run the workload.
    pub count: usize,
    pub(crate) stop: Rc<std::cell::Cell<bool>>,
}

impl<P> Client<P> {
    /// Whether to go on: false once the workload's phase is over and nothing more is asked of it.
    pub fn running(&self) -> bool {
        !self.stop.get()
    }

    /// Performs an operation and writes it into the history: it begins now and ends, as it ends, when `work` does. If the
    /// client crashes before, nobody knows how it ended.
    ///
    /// ```
    /// # use sim::{Client, OpError, models::{KvOp, KvRet}};
    /// # async fn ask(op: &KvOp) -> Option<KvRet> { None }
    /// async fn workload(cx: Client<()>, _: toml::Table) {
    ///     let op = KvOp::Get { key: "k".into() };
    ///     // Without an answer, it may still be executed later.
    ///     let _value = cx.record(op.clone(), async { ask(&op).await.ok_or(OpError::Unknown) }).await;
    /// }
    /// ```
    ///
    /// # Errors
    /// The error of `work`.
    pub async fn record<O: Op>(
        &self,
        op: O,
        work: impl Future<Output = Result<O::Ret, OpError>>,
    ) -> Result<O::Ret, OpError> {
        let call = self.invoke(op);
        let outcome = work.await;
        call.end_with(outcome.clone());
        outcome
    }

    /// Begins an operation.
    pub fn invoke<O: Op>(&self, op: O) -> Call<O> {
        history::invoke(op)
    }
}
