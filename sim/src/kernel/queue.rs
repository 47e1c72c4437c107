//! The event queue: everything that will happen at a known virtual time.
//!
//! Most events are pushed for soon: a message, a wake, the end of a disk's operation. The few that are next are kept in order
//! in a short list, where a push is a search and a small move, and a pop is nothing; all later ones are in a heap. An event
//! that is pushed for soon never sees the heap, however many timers are in it.

use dary_heap::QuaternaryHeap;

use super::TimerId;
use super::tasks::TaskId;
use crate::base::NodeId;
use crate::net::MessageId;

/// What happens when an entry's time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A timer fires, unless it was cancelled.
    Timer(TimerId),
    /// A message arrives.
    Deliver(MessageId),
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

/// The length of the list of what is next.
const SOON: usize = 32;

/// Below this many dead entries, sweeping them out is not worth a look.
const SWEEP_FLOOR: usize = 64;

#[derive(Default)]
pub(crate) struct Queue {
    /// What is next, the very next last. Only empty if there is nothing at all.
    soon: Vec<Entry>,
    /// Everything else. None of it is before anything in `soon`.
    later: QuaternaryHeap<Entry>,
    sequence: u32,
    /// Entries of cancelled timers. They are skipped when they come up, and swept out together once they are the
    /// majority, so a cancel is O(1) amortised and the queue stays proportional to what is alive.
    dead: usize,
}

impl Queue {
    #[inline]
    pub fn push(&mut self, at: u64, priority: u32, event: Event) {
        self.sequence = self.sequence.wrapping_add(1);
        let tie = u64::from(priority) << 32 | u64::from(self.sequence);
        let entry = Entry { key: u128::from(at) << 64 | u128::from(tie), event };
        let is_soon = match self.soon.first() {
            Some(last) if last.key > entry.key => true,
            _ => self.later.is_empty() && self.soon.len() < SOON,
        };
        if !is_soon {
            return self.later.push(entry);
        }
        let place = self.soon.partition_point(|other| other.key > entry.key);
        self.soon.insert(place, entry);
        if self.soon.len() > SOON {
            self.later.extend(self.soon.drain(..SOON / 2));
        }
    }

    #[inline]
    pub fn next_at(&self) -> Option<u64> {
        self.soon.last().map(Entry::at)
    }

    #[inline]
    pub fn pop(&mut self) -> Option<Event> {
        let next = self.soon.pop()?;
        if self.soon.is_empty() {
            self.refill();
        }
        Some(next.event)
    }

    fn refill(&mut self) {
        self.soon.extend(std::iter::from_fn(|| self.later.pop()).take(SOON / 2));
        self.soon.reverse();
    }

    /// A timer in the queue was cancelled. `alive` says of a timer whether it still stands.
    pub fn cancelled(&mut self, alive: impl Fn(TimerId) -> bool) {
        self.dead += 1;
        if self.dead > SWEEP_FLOOR && self.dead * 2 > self.soon.len() + self.later.len() {
            let stands = |entry: &Entry| match entry.event {
                Event::Timer(timer) => alive(timer),
                _ => true,
            };
            self.soon.retain(stands);
            self.later.retain(stands);
            if self.soon.is_empty() {
                self.refill();
            }
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
        while let Some(Entry { event: Event::Timer(timer), .. }) = self.soon.last()
            && !alive(*timer)
        {
            self.pop();
            self.dead -= 1;
        }
    }

    /// How many entries will still do something.
    pub fn live(&self) -> usize {
        self.soon.len() + self.later.len() - self.dead
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::task::Waker;

    use proptest::prelude::*;

    use super::*;
    use crate::base::slab::Slab;

    proptest! {
        /// Against an ordered map, with more entries than the list holds and with fewer, pushed before and after what is there.
        #[test]
        fn events_come_up_by_time_then_priority_then_order(
            steps in proptest::collection::vec((0u64..40, 0u32..3, 0u8..8), 0..400),
            pops in 1u8..7,
        ) {
            let (mut queue, mut model) = (Queue::default(), BTreeMap::new());
            for (n, &(at, priority, what)) in (0u32..).zip(&steps) {
                if what < pops {
                    queue.push(at, priority, Event::Deliver(MessageId::new(n, 0)));
                    model.insert((at, priority, n), n);
                } else {
                    let next = model.pop_first();
                    prop_assert_eq!(queue.next_at(), next.map(|((at, ..), _)| at));
                    prop_assert_eq!(queue.pop(), next.map(|(_, n)| Event::Deliver(MessageId::new(n, 0))));
                }
                prop_assert_eq!(queue.live(), model.len());
            }
            while let Some((_, n)) = model.pop_first() {
                prop_assert_eq!(queue.pop(), Some(Event::Deliver(MessageId::new(n, 0))));
            }
            prop_assert_eq!(queue.pop(), None);
        }

        /// Also those that were cancelled, at the front and behind it: they come up as dead, or are swept out.
        #[test]
        fn cancelled_timers_are_as_if_they_had_never_been(
            steps in proptest::collection::vec((0u64..60, 0u8..8, any::<prop::sample::Index>()), 0..600),
            pushes in 2u8..5,
        ) {
            let (mut queue, mut timers, mut model) = (Queue::default(), Slab::default(), BTreeMap::new());
            for (n, (at, what, which)) in (0u32..).zip(&steps) {
                if *what < pushes {
                    let timer = timers.insert(Waker::noop().clone());
                    queue.push(*at, 0, Event::Timer(timer));
                    model.insert((*at, n), timer);
                } else if *what == 7 {
                    let expected = model.pop_first().map(|(_, timer)| timer);
                    let mut next = None;
                    while next.is_none()
                        && let Some(Event::Timer(timer)) = queue.pop()
                    {
                        match timers.remove(timer) {
                            Some(_) => next = Some(timer),
                            None => queue.came_up_dead(),
                        }
                    }
                    prop_assert_eq!(next, expected);
                } else if !model.is_empty() {
                    let key = *model.keys().nth(which.index(model.len())).expect("it is there");
                    let timer = model.remove(&key).expect("it is there");
                    timers.remove(timer);
                    queue.cancelled(|timer| timers.contains(timer));
                    queue.skip_dead(|timer| timers.contains(timer));
                    prop_assert_eq!(queue.next_at(), model.first_key_value().map(|((at, _), _)| *at));
                }
                prop_assert_eq!(queue.live(), model.len());
            }
        }
    }
}
