//! The loop: dispatch what is due, poll what is ready, move time.

use std::cmp::Reverse;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::queue::Event;
use super::tasks::{BoxFuture, Current, TaskId};
use super::{Ready, Remains, State, panics, waker, with};
use crate::base::{Failure, NodeId};
use crate::trace::digest::Tag;
use crate::trace::record::Kind;

/// Why the loop gave control back to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The clock stands at the horizon, before anything else that happens at that nanosecond.
    Horizon,
    /// Nothing is runnable and nothing is scheduled.
    Idle,
    /// A failure, or a request of the host's.
    Halted,
}

enum Next {
    Poll(TaskId, BoxFuture, Waker),
    Wake(Waker),
    Bury,
    Stop(Stop),
}

/// Runs the world until the clock would reach `horizon` nanoseconds. Each event is before it; a fault scheduled at the
/// horizon therefore wins the tie against whatever else happens at that nanosecond.
pub(crate) fn run_to(horizon: u64) -> Stop {
    with(|state| state.horizon = horizon);
    loop {
        // One `catch_unwind` around the whole loop instead of one around each poll: a panic is rare, a poll is not.
        match catch_unwind(AssertUnwindSafe(drive)) {
            Ok(stop) => {
                with(|state| {
                    state.current = Current::HOST;
                    state.sync_clock();
                });
                return stop;
            }
            Err(payload) => {
                panics::in_task(payload);
                bury();
            }
        }
    }
}

fn drive() -> Stop {
    let mut next = with(State::next);
    loop {
        next = match next {
            Next::Poll(id, mut future, waker) => {
                let poll: Poll<()> = Pin::as_mut(&mut future).poll(&mut Context::from_waker(&waker));
                with(|state| {
                    state.polled(id, future, poll.is_ready());
                    state.next()
                })
            }
            Next::Wake(waker) => {
                waker.wake();
                with(State::next)
            }
            Next::Bury => {
                bury();
                with(State::next)
            }
            Next::Stop(stop) => return stop,
        };
    }
}

/// Drops everything in the graveyard, each as its owner, with the kernel released. Destructors may put more there.
pub(crate) fn bury() {
    let before = with(|state| state.current);
    loop {
        let remains = with(|state| std::mem::take(&mut state.graveyard));
        if remains.is_empty() {
            break;
        }
        for one in remains {
            let (current, dead): (Current, Box<dyn std::any::Any>) = match one {
                Remains::Future(current, future) => (current, Box::new(future)),
                Remains::Local(current, value) => (current, Box::new(value)),
                Remains::Waker(waker) => (before, Box::new(waker)),
            };
            with(|state| state.current = current);
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(dead))) {
                panics::in_destructor(current, payload);
            }
        }
    }
    with(|state| {
        // A destructor's panic may have killed the very node whose poll is under way.
        let up = before.node != NodeId::HOST && {
            let node = &state.nodes[before.node.index()];
            node.up && node.incarnation == before.incarnation
        };
        state.current = Current { alive: before.alive && up, ..before };
    });
}

impl State {
    /// Does kernel work until there is something that only code outside the kernel can do.
    fn next(&mut self) -> Next {
        loop {
            if !self.graveyard.is_empty() {
                return Next::Bury;
            }
            if self.halted {
                return Next::Stop(Stop::Halted);
            }
            let due = self.queue.next_at();
            if due.is_some_and(|at| at <= self.now) {
                if let Some(event) = self.queue.pop()
                    && let Some(waker) = self.dispatch(event)
                {
                    return Next::Wake(waker);
                }
                continue;
            }
            if let Some(Reverse(ready)) = self.ready.pop() {
                if let Some(next) = self.start(ready) {
                    return next;
                }
                continue;
            }
            let timers = &self.timers;
            self.queue.skip_dead(|timer| timers.contains(timer));
            match self.queue.next_at() {
                Some(at) if at < self.horizon => self.advance_to(at),
                // Nothing will ever happen by itself: the host decides whether that is a deadlock.
                _ if self.queue.live() == 0 => return Next::Stop(Stop::Idle),
                _ => {
                    self.advance_to(self.horizon);
                    return Next::Stop(Stop::Horizon);
                }
            }
        }
    }

    pub(crate) fn advance_to(&mut self, at: u64) {
        self.now = self.now.max(at);
    }

    /// Lets std's clocks follow ours, to the nanosecond, before any code runs that could look at them.
    #[inline]
    pub(crate) fn sync_clock(&mut self) {
        if self.clock_shows < self.now {
            self.clock.advance(Duration::from_nanos(self.now - self.clock_shows));
            self.clock_shows = self.now;
        }
    }

    #[inline]
    fn dispatch(&mut self, event: Event) -> Option<Waker> {
        match event {
            Event::Deliver(message) => self.deliver(message),
            Event::Timer(timer) => {
                let Some(waker) = self.timers.remove(timer) else {
                    self.queue.came_up_dead();
                    return None;
                };
                self.digest.event(Tag::Timer, 0, 0, self.now);
                if self.recorder.is_some() {
                    self.record_timer(&waker);
                }
                self.wake_waker(waker)
            }
            Event::Wake(id) => {
                self.make_ready(id, 0);
                None
            }
            Event::CpuFree { node, incarnation } => {
                let node = &mut self.nodes[node.index()];
                if node.incarnation == incarnation {
                    node.cpu_wait = false;
                    // One whose task was aborted meanwhile must not use up the turn of the next.
                    while let Some(ready) = node.run_queue.pop() {
                        if self.tasks.contains(ready.0.task()) {
                            self.ready.push(ready);
                            break;
                        }
                    }
                }
                None
            }
        }
    }

    /// Begins the poll of a ready task, unless its node cannot run it now.
    #[inline]
    fn start(&mut self, ready: Ready) -> Option<Next> {
        let id = ready.task();
        let task = self.tasks.get_mut(id)?;
        let (node_id, was_held_back) = (task.node, task.held_back);
        let node = &mut self.nodes[node_id.index()];
        debug_assert!(node.up && node.incarnation == task.incarnation, "a task outlived its incarnation");
        if node.paused > 0 {
            node.stalled.push(ready);
            self.effects.stalled += 1;
            return None;
        }
        if node.busy_until > self.now {
            node.run_queue.push(Reverse(ready));
            node.wait_for_cpu(&mut self.queue);
            return None;
        }
        // Idle means that nothing was waiting to be run: a wake that jitter held back is no rest.
        if (self.now == node.busy_until || was_held_back) && node.polls > 0 {
            node.streak += 1;
            if node.streak >= self.livelock_polls {
                return Some(self.livelock(node_id, id));
            }
        } else {
            node.streak = 0;
        }
        node.polls += 1;
        node.busy_until = self.now.saturating_add(node.poll_cost);
        let task = self.tasks.get_mut(id)?;
        let future = task.future.take()?;
        task.scheduled = false;
        task.held_back = false;
        let (incarnation, entity) = (task.incarnation, task.entity());
        self.sync_clock();
        self.polls += 1;
        self.observations = 0;
        self.current = Current { node: node_id, incarnation, task: id, alive: true };
        self.digest.event(Tag::Poll, entity & 0x00FF_FFFF_FFFF_FFFF, self.polls, self.now);
        if self.recorder.is_some() {
            self.record_poll(node_id, id);
        }
        Some(Next::Poll(id, future, waker::of(id, self.run)))
    }

    #[cold]
    fn record_poll(&mut self, node: NodeId, id: TaskId) {
        let (polls, spawned_at) = (self.polls, self.tasks.get(id).map(|task| task.spawned_at));
        let place = spawned_at.map(ToString::to_string).unwrap_or_default();
        self.record(node, Kind::Poll, |_| format!("poll {polls}, of the task spawned at {place}"));
    }

    #[cold]
    fn record_timer(&mut self, waker: &Waker) {
        let task = waker::task_of(waker, self.run).and_then(|id| self.tasks.get(id));
        let (node, of) = match task {
            Some(task) => (task.node, format!("of the task spawned at {}", task.spawned_at)),
            None => (NodeId::HOST, "of a waker that is not the simulator's".to_owned()),
        };
        self.record(node, Kind::Timer, |_| format!("a timer {of} fires"));
    }

    /// Ends a poll.
    #[inline]
    fn polled(&mut self, id: TaskId, future: BoxFuture, done: bool) {
        let current = std::mem::replace(&mut self.current, Current::HOST);
        match self.tasks.get_mut(id) {
            Some(task) if !done && current.alive && !task.aborted => task.future = Some(future),
            _ => {
                self.tasks.remove(id);
                self.graveyard.push(Remains::Future(current, future));
            }
        }
        let node = &mut self.nodes[current.node.index()];
        if !node.run_queue.is_empty() {
            node.wait_for_cpu(&mut self.queue);
        }
    }

    #[cold]
    fn livelock(&mut self, node: NodeId, id: TaskId) -> Next {
        let place = self.tasks.get(id).map(|task| task.spawned_at.to_string()).unwrap_or_default();
        let name = self.nodes[node.index()].name.clone();
        let polls = self.livelock_polls;
        self.record(node, Kind::Failure, |_| "livelock".into());
        self.fail(Failure::new(
            format!("livelock:{}", self.nodes[node.index()].role),
            self.now,
            format!("{name} was polled {polls} times without once being idle; last by the task spawned at {place}"),
        ));
        Next::Stop(Stop::Halted)
    }
}

impl crate::node::Node {
    /// Asks for the next task of the run queue at the moment the CPU is free.
    fn wait_for_cpu(&mut self, queue: &mut super::queue::Queue) {
        if !self.cpu_wait {
            self.cpu_wait = true;
            queue.push(self.busy_until, 0, Event::CpuFree { node: self.id, incarnation: self.incarnation });
        }
    }
}
