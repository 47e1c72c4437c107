//! What happens to a node: boot, kill, pause, resume, and the spawning of its tasks.

use std::cmp::Reverse;
use std::panic::Location;

use super::tasks::{BoxFuture, Current, Task, TaskId};
use super::{Remains, State};
use crate::base::NodeId;
use crate::trace::digest::Tag;
use crate::trace::record::Kind;

impl State {
    /// Starts a task on the running node. On a crashed node the future goes straight to the graveyard.
    pub fn spawn(&mut self, future: BoxFuture, spawned_at: &'static Location<'static>) -> Option<TaskId> {
        let node = self.here();
        if !self.current.alive {
            self.graveyard.push(Remains::Future(self.current, future));
            return None;
        }
        Some(self.spawn_on(node, future, spawned_at))
    }

    pub(crate) fn spawn_on(
        &mut self,
        node: NodeId,
        future: BoxFuture,
        spawned_at: &'static Location<'static>,
    ) -> TaskId {
        let owner = &mut self.nodes[node.index()];
        owner.spawned += 1;
        let task = Task {
            node,
            incarnation: owner.incarnation,
            ordinal: owner.spawned,
            spawned_at,
            future: Some(future),
            scheduled: false,
            held_back: false,
            aborted: false,
            wakes: 0,
        };
        let id = self.tasks.insert(task);
        self.wake(id);
        id
    }

    /// Ends a task before its time: its future is dropped as soon as it is not being polled.
    pub fn abort(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        task.aborted = true;
        if let Some(future) = task.future.take() {
            let owner = Current { node: task.node, incarnation: task.incarnation, task: id, alive: true };
            self.tasks.remove(id);
            self.graveyard.push(Remains::Future(owner, future));
        }
    }

    /// Starts a new incarnation of a node that is down, with `main` as its first task.
    pub fn boot(&mut self, id: NodeId, main: BoxFuture, spawned_at: &'static Location<'static>) {
        let node = &mut self.nodes[id.index()];
        debug_assert!(!node.up, "booting a node that is up");
        node.up = true;
        node.incarnation += 1;
        node.spawned = 0;
        node.busy_until = self.now;
        node.streak = 0;
        let incarnation = node.incarnation;
        self.digest.event(Tag::Boot, u64::from(id.0), u64::from(incarnation), self.now);
        self.record(id, Kind::Node, |_| format!("boot (incarnation {incarnation})"));
        self.spawn_on(id, main, spawned_at);
    }

    /// Kills the incarnation at once. What must be dropped goes to the graveyard, in spawn order; if the running poll
    /// is the node's own, its remaining effects are discarded and its future follows when it returns.
    pub fn kill(&mut self, id: NodeId) {
        let now = self.now;
        let node = &mut self.nodes[id.index()];
        if !node.up {
            return;
        }
        node.up = false;
        node.run_queue.clear();
        node.stalled.clear();
        node.cpu_wait = false;
        let dead = Current { node: id, incarnation: node.incarnation, task: Current::HOST.task, alive: false };
        let locals = std::mem::take(&mut node.locals);
        if self.current.node == id {
            self.current.alive = false;
        }
        // What it had already given up is dropped as a dead node's, too.
        for remains in &mut self.graveyard {
            if let Remains::Future(owner, _) | Remains::Local(owner, _) = remains
                && owner.node == id
            {
                owner.alive = false;
            }
        }
        self.digest.event(Tag::Kill, u64::from(id.0), u64::from(dead.incarnation), now);
        for task in self.tasks.of_node(id) {
            // The one being polled has no future here; it is removed when its poll returns.
            if self.tasks.get(task).is_some_and(|task| task.future.is_some())
                && let Some(future) = self.tasks.remove(task).and_then(|task| task.future)
            {
                self.graveyard.push(Remains::Future(Current { task, ..dead }, future));
            }
        }
        for value in locals {
            self.graveyard.push(Remains::Local(dead, value.1));
        }
        self.close_sockets(id);
    }

    /// Stops the node's CPU: its tasks do not run, its clocks and the network go on. Pauses nest.
    pub fn pause(&mut self, id: NodeId) {
        self.nodes[id.index()].paused += 1;
    }

    /// Undoes one pause. After the last, everything that was woken meanwhile runs.
    pub fn resume(&mut self, id: NodeId) {
        let node = &mut self.nodes[id.index()];
        node.paused = node.paused.saturating_sub(1);
        if node.paused == 0 {
            for ready in std::mem::take(&mut node.stalled) {
                self.ready.push(Reverse(ready));
            }
        }
    }
}
