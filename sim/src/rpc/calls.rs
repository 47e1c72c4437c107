//! The call table of a node: where replies find their callers.

use std::task::Waker;

use super::wire::{self, CallId, Frame};
use crate::base::NodeId;
use crate::base::slab::{Id, Slab};
use crate::kernel;
use crate::net::Port;

enum Reply {
    Awaited(Option<Waker>),
    Here(Vec<u8>),
}

/// The open calls of one incarnation. It is part of each id, so that a reply to a call of an earlier incarnation finds nothing.
#[derive(Default)]
pub(crate) struct Calls {
    open: Slab<Reply>,
    incarnation: u32,
}

impl Calls {
    fn open(&mut self, incarnation: u32) -> CallId {
        self.incarnation = incarnation;
        let id = self.open.insert(Reply::Awaited(None));
        CallId { incarnation, slot: id.slot(), generation: id.generation() }
    }

    fn reply(&mut self, call: CallId) -> Option<&mut Reply> {
        if call.incarnation == self.incarnation { self.open.get_mut(call.in_slab()) } else { None }
    }

    fn finish(&mut self, call: CallId) -> Option<Waker> {
        if call.incarnation != self.incarnation {
            return None;
        }
        match self.open.remove(call.in_slab())? {
            Reply::Awaited(waker) => waker,
            Reply::Here(_) => None,
        }
    }
}

impl CallId {
    fn in_slab(self) -> Id<Reply> {
        Id::new(self.slot, self.generation)
    }
}

impl Port for Calls {
    /// A reply has arrived. Only the first for a call counts.
    fn receive(&mut self, payload: Vec<u8>) -> Option<Waker> {
        let (frame, _) = wire::split(&payload)?;
        let id = match frame {
            Frame::Reply { call }
            | Frame::Bound { call, .. }
            | Frame::Malformed { call }
            | Frame::Restarted { call } => call,
            Frame::OneWay | Frame::Request { .. } | Frame::Once { .. } | Frame::Bind { .. } => return None,
        };
        let reply = self.reply(id)?;
        match reply {
            Reply::Awaited(waker) => {
                let waker = waker.take();
                *reply = Reply::Here(payload);
                waker
            }
            Reply::Here(_) => None,
        }
    }

    fn close(&mut self) -> Vec<Waker> {
        self.open.drain().filter_map(|reply| if let Reply::Awaited(waker) = reply { waker } else { None }).collect()
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
            Call { id: state.node(here).sockets.replies::<Calls>().open(incarnation), node: here }
        })
    }

    /// The reply frame, when it has come.
    pub async fn reply(&self) -> Vec<u8> {
        std::future::poll_fn(|cx| {
            kernel::with(|state| {
                let calls = state.node(self.node).sockets.replies::<Calls>();
                let Some(reply) = calls.reply(self.id) else { return std::task::Poll::Pending };
                match reply {
                    Reply::Here(payload) => std::task::Poll::Ready(std::mem::take(payload)),
                    Reply::Awaited(waker) => {
                        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                            let old = waker.replace(cx.waker().clone());
                            state.discard(old);
                        }
                        std::task::Poll::Pending
                    }
                }
            })
        })
        .await
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        kernel::with_running(|state| {
            let waker = state.node(self.node).sockets.replies::<Calls>().finish(self.id);
            state.discard(waker);
        });
    }
}
