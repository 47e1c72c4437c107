//! The call table of a node: where replies find their callers.

use std::task::Waker;

use super::wire::{self, CallId, Frame};
use crate::base::NodeId;
use crate::kernel;

enum Slot {
    Free,
    Waiting(Option<Waker>),
    Answered(Vec<u8>),
}

/// Slots that are reused, with a generation that is not. The incarnation is part of each id, so that a reply to a
/// call of an earlier incarnation finds nothing.
#[derive(Default)]
pub(crate) struct Calls {
    slots: Vec<(u32, Slot)>,
    free: Vec<u32>,
    incarnation: u32,
}

impl Calls {
    fn open(&mut self, incarnation: u32) -> CallId {
        self.incarnation = incarnation;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push((0, Slot::Free));
            (self.slots.len() - 1) as u32
        });
        let entry = &mut self.slots[slot as usize];
        entry.1 = Slot::Waiting(None);
        CallId { incarnation, slot, generation: entry.0 }
    }

    fn slot(&mut self, id: CallId) -> Option<&mut (u32, Slot)> {
        if id.incarnation != self.incarnation {
            return None;
        }
        self.slots.get_mut(id.slot as usize).filter(|entry| entry.0 == id.generation)
    }

    fn finish(&mut self, id: CallId) -> Option<Waker> {
        let entry = self.slot(id)?;
        entry.0 = entry.0.wrapping_add(1);
        let old = std::mem::replace(&mut entry.1, Slot::Free);
        self.free.push(id.slot);
        match old {
            Slot::Waiting(waker) => waker,
            _ => None,
        }
    }

    /// A reply has arrived. Only the first for a slot counts.
    pub fn receive(&mut self, payload: Vec<u8>) -> Option<Waker> {
        let (frame, _) = wire::split(&payload)?;
        let id = match frame {
            Frame::Reply { call }
            | Frame::Bound { call, .. }
            | Frame::Malformed { call }
            | Frame::Restarted { call } => call,
            Frame::OneWay | Frame::Request { .. } | Frame::Once { .. } | Frame::Bind { .. } => return None,
        };
        let entry = self.slot(id)?;
        match std::mem::replace(&mut entry.1, Slot::Free) {
            Slot::Waiting(waker) => {
                entry.1 = Slot::Answered(payload);
                waker
            }
            other => {
                entry.1 = other;
                None
            }
        }
    }

    /// Ends all calls of an incarnation.
    pub fn close(&mut self) -> Vec<Waker> {
        self.free.clear();
        self.slots
            .drain(..)
            .filter_map(|(_, slot)| if let Slot::Waiting(waker) = slot { waker } else { None })
            .collect()
    }
}

/// An open call of the running node. Dropping it frees the slot.
pub(super) struct Call {
    pub id: CallId,
    node: NodeId,
}

impl Call {
    pub fn open() -> Call {
        kernel::with(|state| {
            let here = state.here();
            let incarnation = state.current.incarnation;
            if !state.current.alive {
                // A crashed caller gets an id that matches no slot.
                return Call { id: CallId { incarnation: 0, slot: u32::MAX, generation: 0 }, node: here };
            }
            Call { id: state.node(here).sockets.calls.open(incarnation), node: here }
        })
    }

    /// The reply frame, when it has come.
    pub async fn reply(&self) -> Vec<u8> {
        std::future::poll_fn(|cx| {
            kernel::with(|state| {
                let calls = &mut state.node(self.node).sockets.calls;
                let Some(entry) = calls.slot(self.id) else { return std::task::Poll::Pending };
                match &mut entry.1 {
                    Slot::Answered(payload) => std::task::Poll::Ready(std::mem::take(payload)),
                    Slot::Waiting(waker) => {
                        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                            let old = waker.replace(cx.waker().clone());
                            state.discard(old);
                        }
                        std::task::Poll::Pending
                    }
                    Slot::Free => std::task::Poll::Pending,
                }
            })
        })
        .await
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        kernel::with_running(|state| {
            let waker = state.node(self.node).sockets.calls.finish(self.id);
            state.discard(waker);
        });
    }
}
