//! A list.

use serde::{Deserialize, Serialize};

use super::super::{Keys, Model};
use super::wrong_type;
use crate::history::Op;

/// A list of integers, initially empty.
///
/// Unknown outcomes: a change may have taken effect, or may yet, or never.
pub struct List;

/// An operation on a [`List`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ListOp {
    /// Returns all values in order: [`ListRet::Values`].
    Read,
    /// Adds a value at the end: [`ListRet::Done`].
    Append {
        /// The value.
        value: i64,
    },
    /// Adds a value before another one: [`ListRet::Done`].
    Insert {
        /// How many values come before it; at the end if there are not so many.
        at: usize,
        /// The value.
        value: i64,
    },
    /// Takes the last value away: [`ListRet::Popped`].
    Pop,
}

/// What a [`ListOp`] returned.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ListRet {
    /// A read: all values.
    Values(Vec<i64>),
    /// A pop: the value, `None` if the list was empty.
    Popped(Option<i64>),
    /// An append or an insert.
    Done,
}

impl Model for List {
    type Op = ListOp;
    type Ret = ListRet;
    type State = Vec<i64>;
    type Key = &'static str;
    const NAME: &'static str = "list";

    fn keys(_: &ListOp, _: Option<&ListRet>) -> Keys<&'static str> {
        Keys::One("list")
    }

    fn part(_: &[&'static str]) -> String {
        "the list".to_owned()
    }

    fn init() -> Vec<i64> {
        Vec::new()
    }

    fn step(state: &Vec<i64>, op: &ListOp, ret: Option<&ListRet>) -> Option<Vec<i64>> {
        match (op, ret) {
            (ListOp::Read, None) => Some(state.clone()),
            (ListOp::Read, Some(ListRet::Values(values))) => (values == state).then(|| state.clone()),
            (ListOp::Append { value }, None | Some(ListRet::Done)) => {
                Some(state.iter().chain([value]).copied().collect())
            }
            (ListOp::Insert { at, value }, None | Some(ListRet::Done)) => {
                let (before, behind) = state.split_at((*at).min(state.len()));
                Some(before.iter().chain([value]).chain(behind).copied().collect())
            }
            (ListOp::Pop, None | Some(ListRet::Popped(_))) => {
                let fits = ret.is_none_or(|ret| *ret == ListRet::Popped(state.last().copied()));
                fits.then(|| state[..state.len().saturating_sub(1)].to_vec())
            }
            (_, Some(ret)) => wrong_type(op, ret),
        }
    }

    fn describe(op: &ListOp, ret: Option<&ListRet>) -> String {
        let call = match op {
            ListOp::Read => "read()".to_owned(),
            ListOp::Append { value } => format!("append({value})"),
            ListOp::Insert { at, value } => format!("insert({at}, {value})"),
            ListOp::Pop => "pop()".to_owned(),
        };
        match ret {
            None | Some(ListRet::Done) => call,
            Some(ListRet::Values(values)) => format!("{call} -> {values:?}"),
            Some(ListRet::Popped(Some(value))) => format!("{call} -> {value}"),
            Some(ListRet::Popped(None)) => format!("{call} -> empty"),
        }
    }

    fn needs(_: &ListOp, ret: &ListRet) -> Option<String> {
        match ret {
            ListRet::Values(values) => Some(format!("the list must be {values:?}")),
            ListRet::Popped(Some(value)) => Some(format!("{value} must be last in the list")),
            ListRet::Popped(None) => Some("the list must be empty".to_owned()),
            ListRet::Done => None,
        }
    }

    fn is_read(op: &ListOp) -> bool {
        matches!(op, ListOp::Read)
    }

    /// A list that is only appended to begins with what it is now.
    fn may_return<'a>(
        state: &Vec<i64>,
        _: &ListOp,
        (_, ret): (&ListOp, &ListRet),
        mut others: impl Iterator<Item = &'a ListOp>,
    ) -> bool {
        let ListRet::Values(values) = ret else { return true };
        values.starts_with(state) || others.any(|other| matches!(other, ListOp::Insert { .. } | ListOp::Pop))
    }
}

impl Op for ListOp {
    type Ret = ListRet;
    const KINDS: &'static [&'static str] = &["read", "append", "insert", "pop"];

    fn kind(&self) -> &'static str {
        match self {
            ListOp::Read => "read",
            ListOp::Append { .. } => "append",
            ListOp::Insert { .. } => "insert",
            ListOp::Pop => "pop",
        }
    }
}
