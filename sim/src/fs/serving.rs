//! An operation on its way through a device: queued, under way, held by a stall.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::device::Waiting;
use crate::base::NodeId;
use crate::kernel::{self, State, TimerId};

/// What a file system asks of its device, and of how many bytes that is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operation {
    Read(u64),
    Write,
    Sync(u64),
}

/// An operation that has begun.
pub(super) struct UnderWay {
    number: u64,
    /// When the device comes to it.
    start: u64,
    /// How long its bytes take to pass from then on.
    transfer: u64,
    /// How long it takes after that.
    latency: u64,
    timer: Option<(TimerId, u64)>,
    was_stalled: bool,
    /// Whether it is in the device's list.
    is_listed: bool,
}

impl UnderWay {
    pub fn new(number: u64, start: u64, transfer: u64, latency: u64) -> UnderWay {
        UnderWay { number, start, transfer, latency, timer: None, was_stalled: false, is_listed: false }
    }

    /// When its bytes have passed.
    fn passed(&self) -> u64 {
        self.start.saturating_add(self.transfer)
    }
}

/// Waits until the device is through with an operation, and gives its number.
pub(super) struct Serving {
    operation: Operation,
    /// On which node, once it has begun.
    under_way: Option<(NodeId, UnderWay)>,
}

impl Serving {
    pub fn new(operation: Operation) -> Serving {
        Serving { operation, under_way: None }
    }

    fn poll_in(&mut self, state: &mut State, waker: &Waker) -> Poll<u64> {
        // An operation of a crashed node never completes.
        if !state.current.alive {
            return Poll::Pending;
        }
        let (now, operation) = (state.now, self.operation);
        let (node, op) = match &mut self.under_way {
            Some((node, op)) => (*node, op),
            none => {
                let here = state.here();
                let op = state.devices.of(here).begin(now, operation);
                state.effects.disk_queued += u64::from(op.start > now);
                (here, &mut none.insert((here, op)).1)
            }
        };
        let device = state.devices.of(node);
        if op.is_listed
            && let Some(waiting) = device.waiting.get(&op.number)
        {
            (op.start, op.transfer) = (waiting.start, waiting.transfer);
        }
        let due = op.passed().saturating_add(op.latency);
        let stalled = device.stalls > 0;
        if !stalled && now >= due {
            let number = op.number;
            self.cancel(state);
            return Poll::Ready(number);
        }
        // Who waits for others or for its bytes may come sooner, and who waits for the end of a stall has no other clock.
        if stalled || op.passed() > now {
            op.is_listed = true;
            let waiting = Waiting { start: op.start, transfer: op.transfer, waker: waker.clone() };
            let old = device.waiting.insert(op.number, waiting);
            state.discard(old.map(|old| old.waker));
        }
        if stalled {
            state.effects.disk_stalled += u64::from(!op.was_stalled);
            op.was_stalled = true;
            return Poll::Pending;
        }
        match op.timer {
            Some((timer, at)) if at == due && state.is_timer_pending(timer) => state.rearm_timer(timer, waker),
            old => {
                if let Some((timer, at)) = old {
                    state.cancel_timer(timer, at);
                }
                op.timer = Some((state.add_true_timer(due, waker.clone()), due));
            }
        }
        Poll::Pending
    }

    /// The operation's future was dropped.
    fn cancel(&mut self, state: &mut State) {
        let Some((node, op)) = self.under_way.take() else { return };
        if let Some((timer, at)) = op.timer {
            state.cancel_timer(timer, at);
        }
        if op.is_listed {
            let waiting = state.devices.of(node).waiting.remove(&op.number);
            state.discard(waiting.map(|waiting| waiting.waker));
        }
    }
}

impl Future for Serving {
    type Output = u64;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u64> {
        kernel::with(|state| self.poll_in(state, cx.waker()))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if self.under_way.is_some() {
            kernel::with_running(|state| self.cancel(state));
        }
    }
}
