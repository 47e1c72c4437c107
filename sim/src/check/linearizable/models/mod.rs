//! Models of the objects that histories are most often recorded of.
//!
//! | model | its operations | what is independent |
//! |---|---|---|
//! | [`Register`] | read, write, compare-and-set | nothing |
//! | [`Kv`] | get, put, append | keys |
//! | [`KvMap`] | the same, as one object | nothing |
//! | [`Store`] | get, put, append, compare-and-set, delete, scan | keys that no scan connects |
//!
//! Each panics on a result that its operation cannot have by type, such as a read that returned
//! [`RegisterRet::Done`]: then the recorder is broken, and calling it a violation would blame the system.

mod growth;
mod kv;
mod register;
mod store;
mod values;

pub use kv::{Kv, KvMap, KvOp, KvRet};
pub use register::{Register, RegisterOp, RegisterRet};
pub use store::{Store, StoreOp, StoreRet};
pub use values::Values;

use std::fmt::Debug;

fn wrong_type(op: &impl Debug, ret: &impl Debug) -> ! {
    panic!("{op:?} cannot return {ret:?}: the history pairs an operation with another one's result")
}
