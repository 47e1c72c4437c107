//! Tasks, and which of them is running.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;

use crate::base::NodeId;
use crate::base::slab::{Id, Slab};

/// A future that the kernel can poll.
pub(crate) type BoxFuture = Pin<Box<dyn Future<Output = ()>>>;

pub(crate) type TaskId = Id<Task>;

/// The running task, set during one poll or one destructor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Current {
    pub node: NodeId,
    pub incarnation: u32,
    pub task: TaskId,
    /// False once the incarnation has crashed: from then on the running code has no effect.
    pub alive: bool,
}

impl Current {
    /// The host program, between polls.
    pub const HOST: Current = Current { node: NodeId::HOST, incarnation: 0, task: TaskId::NONE, alive: false };
}

pub(crate) struct Task {
    pub node: NodeId,
    pub incarnation: u32,
    /// Which spawn of its incarnation this was; with node and incarnation, the task's identity in every draw.
    pub ordinal: u32,
    pub spawned_at: &'static Location<'static>,
    /// Absent while the task is being polled.
    pub future: Option<BoxFuture>,
    /// In a run queue or about to be: further wakes change nothing.
    pub scheduled: bool,
    /// Woken at its node's own doing, right after a poll of the node, and delayed by jitter only.
    pub held_back: bool,
    pub aborted: bool,
    /// How often it was woken: the index of its next scheduling draw.
    pub wakes: u64,
}

impl Task {
    /// The task's identity as an entity of keyed draws.
    #[inline]
    pub fn entity(&self) -> u64 {
        u64::from(self.node.0) << 48 | u64::from(self.incarnation & 0xFFFF) << 32 | u64::from(self.ordinal)
    }
}

impl Slab<Task> {
    /// The tasks of `node`, in the order in which they were spawned.
    pub fn of_node(&self, node: NodeId) -> Vec<TaskId> {
        let of_node = self.iter().filter(|(_, task)| task.node == node);
        let mut found: Vec<(u32, TaskId)> = of_node.map(|(id, task)| (task.ordinal, id)).collect();
        found.sort_unstable_by_key(|&(ordinal, _)| ordinal);
        found.into_iter().map(|(_, id)| id).collect()
    }
}
