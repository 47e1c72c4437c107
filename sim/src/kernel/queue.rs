//! The event queue: everything that will happen at a known virtual time, in one heap.

use dary_heap::QuaternaryHeap;

use super::tasks::TaskId;
use super::timers::TimerId;
use crate::node::NodeId;

/// What happens when an entry's time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A timer fires, unless it was cancelled.
    Timer(TimerId),
    /// A message arrives.
    Deliver(u32),
    /// A wake that was delayed by jitter takes effect.
    Wake(TaskId),
    /// A node's CPU is free for the next task in its run queue.
    CpuFree { node: NodeId, incarnation: u32 },
}

struct Entry {
    /// Time in the upper half; then the keyed priority and the sequence number, which order the events of one
    /// nanosecond. One number, so that comparing is two instructions.
    key: u128,
    event: Event,
}

impl Entry {
    fn at(&self) -> u64 {
        (self.key >> 64) as u64
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
    #[inline]
    fn le(&self, other: &Self) -> bool {
        other.key <= self.key
    }
    #[inline]
    fn lt(&self, other: &Self) -> bool {
        other.key < self.key
    }
}
impl Ord for Entry {
    /// Reversed: the heap gives the greatest first, and the soonest shall be it.
    #[inline]
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.key.cmp(&self.key)
    }
}

/// Below this many dead entries, sweeping them out is not worth a look.
const SWEEP_FLOOR: usize = 64;

#[derive(Default)]
pub(crate) struct Queue {
    heap: QuaternaryHeap<Entry>,
    sequence: u32,
    /// Entries of cancelled timers. They are skipped when they come up, and swept out together once they are the
    /// majority, so a cancel is O(1) amortised and the heap stays proportional to what is alive.
    dead: usize,
}

impl Queue {
    #[inline]
    pub fn push(&mut self, at: u64, priority: u32, event: Event) {
        self.sequence = self.sequence.wrapping_add(1);
        let tie = u64::from(priority) << 32 | u64::from(self.sequence);
        self.heap.push(Entry { key: u128::from(at) << 64 | u128::from(tie), event });
    }

    #[inline]
    pub fn next_at(&self) -> Option<u64> {
        self.heap.peek().map(Entry::at)
    }

    #[inline]
    pub fn pop(&mut self) -> Option<Event> {
        self.heap.pop().map(|entry| entry.event)
    }

    /// A timer in the queue was cancelled. `alive` says of a timer whether it still stands.
    pub fn cancelled(&mut self, alive: impl Fn(TimerId) -> bool) {
        self.dead += 1;
        if self.dead > SWEEP_FLOOR && self.dead * 2 > self.heap.len() {
            self.heap.retain(|entry| match entry.event {
                Event::Timer(timer) => alive(timer),
                _ => true,
            });
            self.dead = 0;
        }
    }

    /// A cancelled timer came up among the events that are due.
    #[inline]
    pub fn came_up_dead(&mut self) {
        self.dead -= 1;
    }

    /// Removes cancelled timers from the front, so that none of them ever moves time.
    #[inline]
    pub fn skip_dead(&mut self, alive: impl Fn(TimerId) -> bool) {
        while let Some(Entry { event: Event::Timer(timer), .. }) = self.heap.peek()
            && !alive(*timer)
        {
            self.heap.pop();
            self.dead -= 1;
        }
    }

    /// How many entries will still do something.
    pub fn live(&self) -> usize {
        self.heap.len() - self.dead
    }
}
