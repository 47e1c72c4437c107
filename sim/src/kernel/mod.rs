//! The kernel: tasks, virtual time, the event queue and the schedule, on one thread, for one run.
//!
//! # Why we own an executor
//!
//! madsim provides the process boundary: virtual std clocks, deterministic `HashMap` keys, no threads. This kernel runs inside
//! that boundary, because a simulator needs an executor that drops all futures of a crashed node at once and in order, cancels
//! timers on drop, keeps nanosecond time, delays a drawn fraction of wakes, and stops in the middle of a poll when a fault
//! strikes there. The kernel is also several times faster (see `tools/bench`).
//!
//! # Contracts
//!
//! Each contract has a test with its name in `sim/tests/it/kernel.rs`.
//!
//! - *No user code runs while a kernel structure is borrowed.* Polls, drops, foreign wakers, invariants and selectors
//!   are all called with the state released; what must be dropped waits in the graveyard until then.
//! - *A crash drops all futures of the node at once*, in spawn order. Their destructors run on a crashed node, where sends,
//!   spawns, sleeps and panics have no effect.
//! - *A crash at an `observe!` takes effect there*: the rest of that poll has no effect.
//! - *Nothing of an old incarnation reaches the new one*: no task, timer, socket, mailbox, reply or disk completion.
//!   (Datagrams that peers sent are the network's, not the incarnation's: they may arrive after a restart.)
//! - *Timers cancel on drop*, and have nanosecond resolution without a floor.
//! - *A panic in a task is never lost*: it becomes a failure with node, virtual time and source location, also when the
//!   task's handle was dropped, also in a destructor on a live node.
//! - *A livelock ends*: a node that never idles for [`LIVELOCK_POLLS`] polls is a failure.
//! - *Wakers are safe anywhere*: on another thread and after the run they do nothing.
//! - *Everything is dropped at the end of a run.*
//!
//! # Order
//!
//! Events of one nanosecond are dispatched before any task is polled; then ready tasks run in the order of their keyed
//! priorities. Under [`Policy::Random`] one wake in eight is delayed by a drawn jitter: with nanosecond latencies the
//! ready set nearly always holds one task, and shuffling it alone would explore nothing.

pub mod boundary;
mod clock;
mod drive;
mod lifecycle;
pub(crate) mod panics;
mod queue;
mod tasks;
mod waker;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::task::Waker;
use std::time::Duration;

pub(crate) use clock::Clock;
pub(crate) use drive::{Stop, bury, run_to};
pub(crate) use tasks::{BoxFuture, Current, TaskId};

use crate::base::seed::{Draw, Key, Purpose, Seed};
use crate::base::slab::{Id, Slab};
use crate::base::{Effects, Failure, NodeId};
use crate::fs::{Devices, Disks};
use crate::group::Group;
use crate::net::{MessageId, Net};
use crate::node::Node;
use crate::probe::ProbeState;
use crate::trace::digest::{Digest, Tag};
use crate::trace::record::{Kind, Recorder};
use crate::world::world;
use queue::{Event, Queue};
use tasks::Task;

/// A node that was polled this often without once being idle is livelocked. At the default CPU model that is half a
/// virtual second of doing nothing but spinning; a legitimate backlog drains long before.
pub const LIVELOCK_POLLS: u32 = 1_000_000;

/// How ready tasks are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Keyed priorities, and one wake in eight delayed: the default, for finding bugs.
    #[default]
    Random,
    /// First come, first served, and CPU time is free: for transcripts that read like a story.
    Fifo,
}

/// How much virtual time a node's CPU takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuModel {
    /// The cost of one poll of one task.
    pub poll: Duration,
    /// The most by which a delayed wake is late.
    pub wake_jitter: Duration,
}

impl Default for CpuModel {
    fn default() -> Self {
        CpuModel { poll: Duration::from_nanos(500), wake_jitter: Duration::from_micros(20) }
    }
}

/// One wake in this many is delayed under [`Policy::Random`].
const JITTERED: u64 = 8;

/// A task in a run queue. Smallest priority first, then first come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ready {
    priority: u32,
    sequence: u32,
    slot: u32,
    generation: u32,
}

impl Ready {
    fn task(self) -> TaskId {
        TaskId::new(self.slot, self.generation)
    }
}

/// A pending timer: see [`State::add_timer`].
pub(crate) type TimerId = Id<Waker>;

/// Something whose destructor may be user code. It waits for a moment when the kernel is not borrowed.
pub(crate) enum Remains {
    Future(Current, BoxFuture),
    Waker(Waker),
    Local(Current, std::rc::Rc<dyn std::any::Any>),
}

/// The whole simulated world of one run, but for the futures being polled.
pub(crate) struct State {
    pub seed: Seed,
    pub run: u16,
    /// Nanoseconds since the run began.
    pub now: u64,
    /// Time must not reach this before the host has been asked: the next fault, or the end.
    pub horizon: u64,
    pub current: Current,
    pub policy: Policy,
    pub cpu: CpuModel,
    schedule: Key,
    queue: Queue,
    ready: BinaryHeap<Reverse<Ready>>,
    ready_sequence: u32,
    tasks: Slab<Task>,
    /// The wakers of pending timers: a timer lives from the first poll of its `Sleep` until it fires or the `Sleep` is dropped.
    timers: Slab<Waker>,
    pub graveyard: Vec<Remains>,
    pub nodes: Vec<Node>,
    pub groups: Vec<Group>,
    /// Whether any node's monotonic clock was ever off. Until then nobody has to look at the node's.
    pub drifts: bool,
    pub net: Net,
    pub disks: Disks,
    pub devices: Devices,
    pub probes: ProbeState,
    pub effects: Effects,
    pub failures: Vec<Failure>,
    /// Set by the first failure, and by the host: the loop stops before the next poll.
    pub halted: bool,
    /// How many calls to the machine have been refused since then.
    pub refused: u32,
    /// The host wants to look after each completed operation.
    pub host_waits: bool,
    /// The coordinates (poll, observation) of the next exact fault that strikes in the middle of a poll.
    pub strike: Option<(u64, u32)>,
    /// How many polls there have been, and how many observations in the one under way: the coordinates of a fault that
    /// struck at an `observe!`.
    pub polls: u64,
    pub observations: u32,
    pub livelock_polls: u32,
    /// Faults applied so far: each has a number.
    pub injected: u32,
    pub digest: Digest,
    pub recorder: Option<Recorder>,
    clock: madsim::time::TimeHandle,
    /// What std's clocks show, in the same count as `now`.
    clock_shows: u64,
}

/// Runs `f` on this thread's world. Everything in `sim` that touches the world comes through here, so `f` must be
/// kernel code: it must not poll, drop or wake anything of the user's.
#[inline]
pub(crate) fn with<R>(f: impl FnOnce(&mut State) -> R) -> R {
    world(|world| match &mut *world.state.borrow_mut() {
        Some(state) => f(state),
        None => outside(),
    })
}

/// As [`with`], for code that may run after the world is gone: wakers and destructors. Does nothing then.
#[inline]
pub(crate) fn with_running<R>(f: impl FnOnce(&mut State) -> R) -> Option<R> {
    world(|world| world.state.borrow_mut().as_mut().map(|state| f(state)))
}

#[cold]
#[track_caller]
fn outside() -> ! {
    panic!("sim: called outside of a simulation; enter one with `sim::simulate` or `sim::run`")
}

impl State {
    pub fn new(seed: Seed, run: u16) -> Self {
        State {
            seed,
            run,
            now: 0,
            horizon: 0,
            current: Current::HOST,
            policy: Policy::default(),
            cpu: CpuModel::default(),
            schedule: seed.key(Purpose::Schedule, ""),
            queue: Queue::default(),
            ready: BinaryHeap::new(),
            ready_sequence: 0,
            tasks: Slab::default(),
            timers: Slab::default(),
            graveyard: Vec::new(),
            nodes: Vec::new(),
            groups: Vec::new(),
            drifts: false,
            net: Net::default(),
            disks: Disks::default(),
            devices: Devices::default(),
            probes: ProbeState::new(),
            effects: Effects::default(),
            failures: Vec::new(),
            halted: false,
            refused: 0,
            host_waits: false,
            strike: None,
            polls: 0,
            observations: 0,
            livelock_polls: LIVELOCK_POLLS,
            injected: 0,
            digest: Digest::default(),
            recorder: None,
            clock: madsim::time::TimeHandle::current(),
            clock_shows: 0,
        }
    }

    // ---- wakes and the schedule -------------------------------------------------------------------------------

    /// A wake of `id`: at once for most, later for a drawn few.
    #[inline]
    pub fn wake(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        if task.scheduled {
            return;
        }
        task.scheduled = true;
        if self.policy == Policy::Fifo {
            self.make_ready(id, 0);
            return;
        }
        task.wakes += 1;
        let draw = self.schedule.draw(task.entity(), task.wakes);
        let priority = (draw.0 >> 32) as u32;
        if draw.0.is_multiple_of(JITTERED) && !self.cpu.wake_jitter.is_zero() {
            // Woken in one of its node's own polls, or while its CPU is busy: it would have run at once.
            let node = &self.nodes[task.node.index()];
            task.held_back = self.current.node == task.node || node.busy_until > self.now;
            let late = 1 + draw.again().below(self.cpu.wake_jitter.as_nanos() as u64);
            self.queue.push(self.now.saturating_add(late), priority, Event::Wake(id));
        } else {
            self.make_ready(id, priority);
        }
    }

    #[inline]
    fn make_ready(&mut self, id: TaskId, priority: u32) {
        self.ready_sequence = self.ready_sequence.wrapping_add(1);
        self.ready.push(Reverse(Ready {
            priority,
            sequence: self.ready_sequence,
            slot: id.slot(),
            generation: id.generation(),
        }));
    }

    /// Wakes what `waker` names without leaving the kernel if it is ours; otherwise it is user code, and is returned
    /// to be called with the kernel released.
    #[inline]
    pub fn wake_waker(&mut self, waker: Waker) -> Option<Waker> {
        match waker::task_of(&waker, self.run) {
            Some(id) => {
                self.wake(id);
                None
            }
            None => Some(waker),
        }
    }

    /// A waker whose destructor must not run here.
    #[inline]
    pub fn discard(&mut self, waker: Option<Waker>) {
        if let Some(waker) = waker
            && waker::task_of(&waker, self.run).is_none()
        {
            self.graveyard.push(Remains::Waker(waker));
        }
    }

    // ---- timers -----------------------------------------------------------------------------------------------

    /// What the monotonic clock of the running node shows; true time on the host.
    #[inline]
    pub fn clock_now(&self) -> u64 {
        if self.drifts { self.own_clock().monotonic(self.now) } else { self.now }
    }

    /// The clock of the running node; a right one on the host.
    #[cold]
    fn own_clock(&self) -> Clock {
        self.nodes.get(self.current.node.index()).map_or_else(Clock::default, |node| node.clock)
    }

    /// Sets a timer for the time at which the running node's clock shows `deadline`. If the clock slows down in the meantime,
    /// the timer fires early, and its owner must check the clock again.
    pub fn add_timer(&mut self, deadline: u64, waker: Waker) -> TimerId {
        let id = self.timers.insert(waker);
        // A timer that never fires is kept, and not queued.
        if deadline < clock::NEVER {
            let at = if self.drifts { self.own_clock().true_time_of(deadline) } else { deadline };
            self.queue.push(at.max(self.now), 0, Event::Timer(id));
        }
        id
    }

    /// Sets a timer for a true time: hardware does not go by a node's clock.
    pub fn add_true_timer(&mut self, at: u64, waker: Waker) -> TimerId {
        let id = self.timers.insert(waker);
        if at < clock::NEVER {
            self.queue.push(at.max(self.now), 0, Event::Timer(id));
        }
        id
    }

    /// Cancels the timer that was set for `deadline`.
    pub fn cancel_timer(&mut self, id: TimerId, deadline: u64) {
        if let Some(waker) = self.timers.remove(id) {
            self.discard(Some(waker));
            if deadline < clock::NEVER {
                let timers = &self.timers;
                self.queue.cancelled(|timer| timers.contains(timer));
            }
        }
    }

    pub fn is_timer_pending(&self, id: TimerId) -> bool {
        self.timers.contains(id)
    }

    pub fn rearm_timer(&mut self, id: TimerId, waker: &Waker) {
        let Some(pending) = self.timers.get_mut(id) else { return };
        if !pending.will_wake(waker) {
            let old = std::mem::replace(pending, waker.clone());
            self.discard(Some(old));
        }
    }

    pub fn push_delivery(&mut self, at: u64, order: Draw, message: MessageId) {
        let priority = if self.policy == Policy::Fifo { 0 } else { (order.0 >> 32) as u32 };
        self.queue.push(at.max(self.now), priority, Event::Deliver(message));
    }

    // ---- who is running ---------------------------------------------------------------------------------------

    /// The node whose code is running. Panics on the host, where there is none.
    #[track_caller]
    #[inline]
    pub fn here(&self) -> NodeId {
        if self.current.node == NodeId::HOST {
            panic!("sim: called by the host program, outside of any node; call it from a node's task");
        }
        self.current.node
    }

    pub fn node(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.index()]
    }

    /// Whether a task has not ended.
    pub fn has_task(&self, id: TaskId) -> bool {
        self.tasks.contains(id)
    }

    /// The live task count, for leak checks.
    pub fn live_tasks(&self) -> usize {
        self.tasks.len()
    }

    // ---- recording --------------------------------------------------------------------------------------------

    /// Whether the recorder wants lines of this kind.
    pub fn shows(&self, kind: Kind) -> bool {
        self.recorder.as_ref().is_some_and(|recorder| recorder.wants(kind))
    }

    /// Writes a line of trace if the recorder wants it. Otherwise `text` is not formatted.
    #[inline]
    pub fn record(&mut self, node: NodeId, kind: Kind, text: impl FnOnce(&Self) -> String) {
        if self.shows(kind) {
            let text = text(self);
            let name = (node != NodeId::HOST).then(|| self.nodes[node.index()].name.clone());
            let now = self.now;
            if let Some(recorder) = &mut self.recorder {
                recorder.write(now, name, kind, text);
            }
        }
    }

    /// Records a failure. The first one halts the run.
    pub fn fail(&mut self, failure: Failure) {
        self.digest.event(Tag::Failure, 0, crate::trace::digest::hash_bytes(failure.signature.as_bytes()), self.now);
        self.record(NodeId::HOST, Kind::Failure, |_| format!("{}: {}", failure.signature, failure.explanation));
        self.failures.push(failure);
        self.halted = true;
    }
}
