//! A set.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::super::{Keys, Model};
use super::wrong_type;
use crate::history::Op;

/// A set of integers, initially empty.
///
/// Values are independent of each other, except that a [read](SetOp::Read) sees all of them at one moment.
///
/// Unknown outcomes: an addition or removal may have taken effect, or may yet, or never.
pub struct Set;

/// An operation on a [`Set`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SetOp {
    /// Puts a value in: [`SetRet::Was`], or [`SetRet::Done`] if that is not known.
    Add {
        /// The value.
        value: i64,
    },
    /// Takes a value out: [`SetRet::Was`], or [`SetRet::Done`] if that is not known.
    Remove {
        /// The value.
        value: i64,
    },
    /// Whether a value is in: [`SetRet::Was`].
    Contains {
        /// The value.
        value: i64,
    },
    /// Returns all values: [`SetRet::Values`].
    Read,
}

/// What a [`SetOp`] returned.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SetRet {
    /// Whether the value was in, before the operation.
    Was(bool),
    /// An addition or a removal that does not say.
    Done,
    /// A read: all values.
    Values(BTreeSet<i64>),
}

impl SetOp {
    fn value(&self) -> Option<i64> {
        match self {
            SetOp::Add { value } | SetOp::Remove { value } | SetOp::Contains { value } => Some(*value),
            SetOp::Read => None,
        }
    }
}

impl Model for Set {
    type Op = SetOp;
    type Ret = SetRet;
    type State = BTreeSet<i64>;
    type Key = i64;
    const NAME: &'static str = "set";

    fn keys(op: &SetOp, _: Option<&SetRet>) -> Keys<i64> {
        op.value().map_or(Keys::All, Keys::One)
    }

    fn part(values: &[i64]) -> String {
        let names: Vec<String> = values.iter().map(ToString::to_string).collect();
        format!("{} {}", if names.len() == 1 { "value" } else { "values" }, names.join(", "))
    }

    fn init() -> BTreeSet<i64> {
        BTreeSet::new()
    }

    fn step(state: &BTreeSet<i64>, op: &SetOp, ret: Option<&SetRet>) -> Option<BTreeSet<i64>> {
        let was = |value: &i64| state.contains(value);
        let fits = match (op, ret) {
            (_, None) | (SetOp::Add { .. } | SetOp::Remove { .. }, Some(SetRet::Done)) => true,
            (SetOp::Add { value } | SetOp::Remove { value } | SetOp::Contains { value }, Some(SetRet::Was(there))) => {
                was(value) == *there
            }
            (SetOp::Read, Some(SetRet::Values(values))) => values == state,
            (_, Some(ret)) => wrong_type(op, ret),
        };
        fits.then(|| {
            let mut after = state.clone();
            match op {
                SetOp::Add { value } => drop(after.insert(*value)),
                SetOp::Remove { value } => drop(after.remove(value)),
                SetOp::Contains { .. } | SetOp::Read => {}
            }
            after
        })
    }

    fn describe(op: &SetOp, ret: Option<&SetRet>) -> String {
        let call = match op {
            SetOp::Add { value } => format!("add({value})"),
            SetOp::Remove { value } => format!("remove({value})"),
            SetOp::Contains { value } => format!("contains({value})"),
            SetOp::Read => "read()".to_owned(),
        };
        match ret {
            None | Some(SetRet::Done) => call,
            // In the words of the field: whether it was added.
            Some(SetRet::Was(was)) if matches!(op, SetOp::Add { .. }) => format!("{call} -> {}", !was),
            Some(SetRet::Was(was)) => format!("{call} -> {was}"),
            Some(SetRet::Values(values)) => format!("{call} -> {values:?}"),
        }
    }

    fn needs(op: &SetOp, ret: &SetRet) -> Option<String> {
        match (op.value(), ret) {
            (Some(value), SetRet::Was(true)) => Some(format!("{value} must be in the set")),
            (Some(value), SetRet::Was(false)) => Some(format!("{value} must not be in the set")),
            (None, SetRet::Values(values)) => Some(format!("the set must be {values:?}")),
            _ => None,
        }
    }

    fn is_read(op: &SetOp) -> bool {
        matches!(op, SetOp::Contains { .. } | SetOp::Read)
    }

    fn concerns(op: &SetOp, read: &SetOp) -> bool {
        read.value().is_none_or(|value| op.value() == Some(value))
    }

    fn project(_: &SetOp, ret: &SetRet, value: &i64) -> Option<(SetOp, SetRet)> {
        let SetRet::Values(values) = ret else { return None };
        Some((SetOp::Contains { value: *value }, SetRet::Was(values.contains(value))))
    }

    fn refused_by(state: &BTreeSet<i64>, _: &SetOp, ret: &SetRet) -> Vec<i64> {
        let SetRet::Values(values) = ret else { return Vec::new() };
        values.symmetric_difference(state).copied().collect()
    }

    /// Only the value that has just changed is looked at.
    fn may_return<'a>(
        state: &BTreeSet<i64>,
        placed: &SetOp,
        (_, ret): (&SetOp, &SetRet),
        mut others: impl Iterator<Item = &'a SetOp>,
    ) -> bool {
        let Some(value) = placed.value() else { return true };
        let seen = match ret {
            SetRet::Was(was) => *was,
            SetRet::Values(values) => values.contains(&value),
            SetRet::Done => return true,
        };
        let may_become = |other: &SetOp| match other {
            SetOp::Add { value: other } => seen && *other == value,
            SetOp::Remove { value: other } => !seen && *other == value,
            _ => false,
        };
        state.contains(&value) == seen || others.any(may_become)
    }
}

impl Op for SetOp {
    type Ret = SetRet;
    const KINDS: &'static [&'static str] = &["add", "remove", "contains", "read"];

    fn kind(&self) -> &'static str {
        match self {
            SetOp::Add { .. } => "add",
            SetOp::Remove { .. } => "remove",
            SetOp::Contains { .. } => "contains",
            SetOp::Read => "read",
        }
    }
}
