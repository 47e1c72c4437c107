//! Wakers without allocation: a waker *is* its task's name.
//!
//! The data pointer holds slot, generation and run, packed into 64 bits; nothing is pointed to. Cloning is a copy and
//! dropping does nothing. A waker that outlives its task, its run, or its thread finds no task of that name and is
//! ignored: on another thread there is no such world to wake, and a simulation has no threads to be woken from.

use std::task::{RawWaker, RawWakerVTable, Waker};

use super::tasks::TaskId;
use super::with_running;

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, drop);

const SLOT_BITS: u32 = 24;
const GENERATION_BITS: u32 = 24;

fn pack(task: TaskId, run: u16) -> u64 {
    debug_assert!(task.slot() < 1 << SLOT_BITS);
    u64::from(task.slot())
        | u64::from(task.generation() & ((1 << GENERATION_BITS) - 1)) << SLOT_BITS
        | u64::from(run) << (SLOT_BITS + GENERATION_BITS)
}

/// A waker for `task` of run number `run`.
#[inline]
pub(super) fn of(task: TaskId, run: u16) -> Waker {
    let data = std::ptr::without_provenance(pack(task, run) as usize);
    // SAFETY: the vtable's functions never dereference the data; they only read its address, which is plain bits.
    // They are thread-safe because they act on the calling thread's own world and on nothing else.
    #[allow(unsafe_code)]
    unsafe {
        Waker::new(data, &VTABLE)
    }
}

/// The task that `waker` names, if it is one of ours and of this run. Lets the kernel wake it without leaving the
/// kernel; any other waker is user code and must be called with nothing borrowed.
#[inline]
pub(super) fn task_of(waker: &Waker, run: u16) -> Option<TaskId> {
    if !std::ptr::eq(waker.vtable(), &VTABLE) {
        return None;
    }
    let bits = waker.data().addr() as u64;
    (bits >> (SLOT_BITS + GENERATION_BITS) == u64::from(run)).then_some(TaskId::new(
        (bits & ((1 << SLOT_BITS) - 1)) as u32,
        (bits >> SLOT_BITS & ((1 << GENERATION_BITS) - 1)) as u32,
    ))
}

fn clone(data: *const ()) -> RawWaker {
    RawWaker::new(data, &VTABLE)
}

fn wake(data: *const ()) {
    let bits = data.addr() as u64;
    with_running(|state| {
        if bits >> (SLOT_BITS + GENERATION_BITS) == u64::from(state.run) {
            state.wake(TaskId::new(
                (bits & ((1 << SLOT_BITS) - 1)) as u32,
                (bits >> SLOT_BITS & ((1 << GENERATION_BITS) - 1)) as u32,
            ));
        }
    });
}

fn drop(_: *const ()) {}
