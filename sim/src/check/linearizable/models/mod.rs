//! Models of common objects.
//!
//! | model | operations | independent parts |
//! |---|---|---|
//! | [`Register`] | read, write, compare-and-set | nothing |
//! | [`Kv`] | get, put, append | keys |
//! | [`KvMap`] | the same, as one object | nothing |
//! | [`Store`] | get, put, append, compare-and-set, delete, scan | keys that no scan connects |
//! | [`List`] | read, append, insert, pop | nothing |
//! | [`Set`] | add, remove, contains, read | values that no read connects |
//! | [`Queue`] | enqueue, dequeue | nothing |
//! | [`Counter`] | read, add, fetch-and-add | nothing |
//! | [`Lock`] | acquire, try-acquire, release | nothing |
//! | [`Keyed`] | those of another model, with a key | keys |
//!
//! A model panics on a result of the wrong kind, such as a read that returned [`RegisterRet::Done`]: such a history was
//! recorded incorrectly, so it is not a violation by the system.

mod counter;
mod growth;
mod keyed;
mod kv;
mod list;
mod lock;
mod queue;
mod register;
mod set;
mod store;
mod values;

pub use counter::{Counter, CounterOp, CounterRet};
pub use keyed::{At, Keyed};
pub use kv::{Kv, KvMap, KvOp, KvRet};
pub use list::{List, ListOp, ListRet};
pub use lock::{Lock, LockOp, LockRet};
pub use queue::{Queue, QueueOp, QueueRet};
pub use register::{Register, RegisterOp, RegisterRet};
pub use set::{Set, SetOp, SetRet};
pub use store::{Store, StoreOp, StoreRet};
pub use values::Values;

use std::fmt::Debug;

fn wrong_type(op: &impl Debug, ret: &impl Debug) -> ! {
    panic!("{op:?} cannot return {ret:?}: the history pairs an operation with another one's result")
}

#[cfg(test)]
mod tests;
