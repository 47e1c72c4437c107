//! The timer table. A timer exists from the first poll of its `Sleep` until it fires or the `Sleep` is dropped.

use std::task::Waker;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerId {
    slot: u32,
    generation: u32,
}

enum Slot {
    Free,
    Pending(Waker),
}

/// All pending timers of a run. A freed slot gets a new generation, so an id of a timer that fired or was cancelled
/// names nothing.
#[derive(Default)]
pub(crate) struct Timers {
    slots: Vec<(u32, Slot)>,
    free: Vec<u32>,
}

impl Timers {
    pub fn insert(&mut self, waker: Waker) -> TimerId {
        match self.free.pop() {
            Some(slot) => {
                let entry = &mut self.slots[slot as usize];
                entry.1 = Slot::Pending(waker);
                TimerId { slot, generation: entry.0 }
            }
            None => {
                let slot = self.slots.len() as u32;
                self.slots.push((0, Slot::Pending(waker)));
                TimerId { slot, generation: 0 }
            }
        }
    }

    pub fn is_pending(&self, id: TimerId) -> bool {
        matches!(self.slots.get(id.slot as usize), Some((generation, Slot::Pending(_))) if *generation == id.generation)
    }

    /// Ends the timer and returns its waker: to wake it if it fired, to drop it (outside the kernel) if cancelled.
    #[inline]
    pub fn take(&mut self, id: TimerId) -> Option<Waker> {
        let (generation, slot) = self.slots.get_mut(id.slot as usize)?;
        if *generation != id.generation {
            return None;
        }
        match std::mem::replace(slot, Slot::Free) {
            Slot::Free => None,
            Slot::Pending(waker) => {
                *generation = generation.wrapping_add(1);
                self.free.push(id.slot);
                Some(waker)
            }
        }
    }

    /// Puts `waker` in the place of the timer's own, which is returned.
    #[inline]
    pub fn replace(&mut self, id: TimerId, waker: &Waker) -> Option<Waker> {
        match self.slots.get_mut(id.slot as usize) {
            Some((generation, Slot::Pending(old))) if *generation == id.generation => {
                if old.will_wake(waker) {
                    None
                } else {
                    Some(std::mem::replace(old, waker.clone()))
                }
            }
            _ => None,
        }
    }
}
