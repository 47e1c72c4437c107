//! The task table: slots that are reused, generations that are not.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;

use crate::base::NodeId;

/// A future that the kernel can poll.
pub(crate) type BoxFuture = Pin<Box<dyn Future<Output = ()>>>;

/// A slot and the generation that it had when the task was spawned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TaskId {
    pub slot: u32,
    pub generation: u32,
}

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
    pub const HOST: Current = Current {
        node: NodeId::HOST,
        incarnation: 0,
        task: TaskId { slot: u32::MAX, generation: u32::MAX },
        alive: false,
    };
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

struct Slot {
    generation: u32,
    task: Option<Task>,
}

/// All tasks of a run.
#[derive(Default)]
pub(crate) struct Tasks {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

impl Tasks {
    pub fn insert(&mut self, task: Task) -> TaskId {
        match self.free.pop() {
            Some(slot) => {
                let entry = &mut self.slots[slot as usize];
                entry.task = Some(task);
                TaskId { slot, generation: entry.generation }
            }
            None => {
                let slot = self.slots.len() as u32;
                self.slots.push(Slot { generation: 0, task: Some(task) });
                TaskId { slot, generation: 0 }
            }
        }
    }

    #[inline]
    pub fn get(&mut self, id: TaskId) -> Option<&mut Task> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        if slot.generation == id.generation { slot.task.as_mut() } else { None }
    }

    pub fn remove(&mut self, id: TaskId) -> Option<Task> {
        let slot = self.slots.get_mut(id.slot as usize).filter(|slot| slot.generation == id.generation)?;
        let task = slot.task.take()?;
        slot.generation = (slot.generation + 1) & 0x00FF_FFFF;
        self.free.push(id.slot);
        Some(task)
    }

    /// The tasks of `node`, in the order in which they were spawned.
    pub fn of_node(&self, node: NodeId) -> Vec<TaskId> {
        let mut found: Vec<(u32, TaskId)> = (0u32..)
            .zip(&self.slots)
            .filter_map(|(slot, entry)| {
                let task = entry.task.as_ref().filter(|task| task.node == node)?;
                Some((task.ordinal, TaskId { slot, generation: entry.generation }))
            })
            .collect();
        found.sort_unstable_by_key(|&(ordinal, _)| ordinal);
        found.into_iter().map(|(_, id)| id).collect()
    }

    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}
