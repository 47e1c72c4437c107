//! A lock.

use serde::{Deserialize, Serialize};

use super::super::{Keys, Model};
use super::wrong_type;
use crate::history::Op;

/// A lock that one owner holds at a time, initially free. Who holds it cannot acquire it once more.
///
/// Unknown outcomes: an acquire may have taken effect, or may yet, or never: but only while the lock is free. A release may
/// have freed the lock, if its owner held it.
pub struct Lock;

/// An operation on a [`Lock`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LockOp {
    /// Takes the lock, as soon as it is free: [`LockRet::Done`].
    Acquire {
        /// For whom.
        owner: u32,
    },
    /// Takes the lock if it is free: [`LockRet::Was`].
    TryAcquire {
        /// For whom.
        owner: u32,
    },
    /// Frees the lock if its owner holds it: [`LockRet::Was`].
    Release {
        /// Whose it must be.
        owner: u32,
    },
}

/// What a [`LockOp`] returned.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LockRet {
    /// An acquire.
    Done,
    /// A try-acquire: whether it was free. A release: whether the owner held it.
    Was(bool),
}

impl Model for Lock {
    type Op = LockOp;
    type Ret = LockRet;
    type State = Option<u32>;
    type Key = &'static str;
    const NAME: &'static str = "lock";

    fn keys(_: &LockOp, _: Option<&LockRet>) -> Keys<&'static str> {
        Keys::One("lock")
    }

    fn part(_: &[&'static str]) -> String {
        "the lock".to_owned()
    }

    fn init() -> Option<u32> {
        None
    }

    fn step(state: &Option<u32>, op: &LockOp, ret: Option<&LockRet>) -> Option<Option<u32>> {
        let (does, after) = match op {
            LockOp::Acquire { owner } | LockOp::TryAcquire { owner } => (state.is_none(), Some(*owner)),
            LockOp::Release { owner } => (*state == Some(*owner), None),
        };
        match (op, ret) {
            (LockOp::Acquire { .. }, None | Some(LockRet::Done)) => does.then_some(after),
            (LockOp::TryAcquire { .. } | LockOp::Release { .. }, None) => Some(if does { after } else { *state }),
            (LockOp::TryAcquire { .. } | LockOp::Release { .. }, Some(LockRet::Was(was))) => {
                (*was == does).then_some(if does { after } else { *state })
            }
            (_, Some(ret)) => wrong_type(op, ret),
        }
    }

    fn describe(op: &LockOp, ret: Option<&LockRet>) -> String {
        let call = match op {
            LockOp::Acquire { owner } => format!("acquire({owner})"),
            LockOp::TryAcquire { owner } => format!("try_acquire({owner})"),
            LockOp::Release { owner } => format!("release({owner})"),
        };
        match ret {
            None | Some(LockRet::Done) => call,
            Some(LockRet::Was(was)) => format!("{call} -> {was}"),
        }
    }

    fn needs(op: &LockOp, ret: &LockRet) -> Option<String> {
        let (what, must) = match op {
            LockOp::Acquire { .. } | LockOp::TryAcquire { .. } => ("be free".to_owned(), *ret != LockRet::Was(false)),
            LockOp::Release { owner } => (format!("be held by {owner}"), *ret != LockRet::Was(false)),
        };
        Some(format!("the lock must {}{what}", if must { "" } else { "not " }))
    }

    fn describe_state(state: &Option<u32>) -> String {
        state.map_or("free".to_owned(), |owner| format!("held by {owner}"))
    }
}

impl Op for LockOp {
    type Ret = LockRet;
    const KINDS: &'static [&'static str] = &["acquire", "try_acquire", "release"];

    fn kind(&self) -> &'static str {
        match self {
            LockOp::Acquire { .. } => "acquire",
            LockOp::TryAcquire { .. } => "try_acquire",
            LockOp::Release { .. } => "release",
        }
    }
}
