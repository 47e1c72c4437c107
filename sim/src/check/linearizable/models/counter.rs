//! A counter.

use serde::{Deserialize, Serialize};

use super::super::{Keys, Model};
use super::wrong_type;
use crate::history::Op;

/// A counter, initially 0.
///
/// Unknown outcomes: an addition may have counted, or may yet, or never.
pub struct Counter;

/// An operation on a [`Counter`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CounterOp {
    /// Returns the count: [`CounterRet::Value`].
    Read,
    /// Adds to it: [`CounterRet::Done`].
    Add {
        /// How much; less than zero to subtract.
        by: i64,
    },
    /// Adds to it, and returns what it was before: [`CounterRet::Value`].
    FetchAdd {
        /// How much; less than zero to subtract.
        by: i64,
    },
}

/// What a [`CounterOp`] returned.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CounterRet {
    /// A read or a fetch-and-add: the count.
    Value(i64),
    /// An addition.
    Done,
}

impl Model for Counter {
    type Op = CounterOp;
    type Ret = CounterRet;
    type State = i64;
    type Key = &'static str;
    const NAME: &'static str = "counter";

    fn keys(_: &CounterOp, _: Option<&CounterRet>) -> Keys<&'static str> {
        Keys::One("counter")
    }

    fn part(_: &[&'static str]) -> String {
        "the counter".to_owned()
    }

    fn init() -> i64 {
        0
    }

    fn step(state: &i64, op: &CounterOp, ret: Option<&CounterRet>) -> Option<i64> {
        match (op, ret) {
            (CounterOp::Read, None) => Some(*state),
            (CounterOp::Read, Some(CounterRet::Value(value))) => (value == state).then_some(*state),
            (CounterOp::Add { by }, None | Some(CounterRet::Done)) | (CounterOp::FetchAdd { by }, None) => {
                Some(state.wrapping_add(*by))
            }
            (CounterOp::FetchAdd { by }, Some(CounterRet::Value(value))) => {
                (value == state).then(|| state.wrapping_add(*by))
            }
            (_, Some(ret)) => wrong_type(op, ret),
        }
    }

    fn describe(op: &CounterOp, ret: Option<&CounterRet>) -> String {
        let call = match op {
            CounterOp::Read => "read()".to_owned(),
            CounterOp::Add { by } => format!("add({by})"),
            CounterOp::FetchAdd { by } => format!("fetch_add({by})"),
        };
        match ret {
            None | Some(CounterRet::Done) => call,
            Some(CounterRet::Value(value)) => format!("{call} -> {value}"),
        }
    }

    fn needs(_: &CounterOp, ret: &CounterRet) -> Option<String> {
        match ret {
            CounterRet::Value(value) => Some(format!("the counter must be {value}")),
            CounterRet::Done => None,
        }
    }

    fn is_read(op: &CounterOp) -> bool {
        matches!(op, CounterOp::Read)
    }

    /// All that is added at most, and all that is subtracted, are the bounds of what it may come to.
    fn may_return<'a>(
        state: &i64,
        _: &CounterOp,
        (_, ret): (&CounterOp, &CounterRet),
        others: impl Iterator<Item = &'a CounterOp>,
    ) -> bool {
        let CounterRet::Value(value) = ret else { return true };
        let (mut least, mut most) = (i128::from(*state), i128::from(*state));
        for other in others {
            if let CounterOp::Add { by } | CounterOp::FetchAdd { by } = other {
                *if *by < 0 { &mut least } else { &mut most } += i128::from(*by);
            }
        }
        // Where it may wrap around, it may come to anything.
        i64::try_from(least).is_err() || i64::try_from(most).is_err() || (least..=most).contains(&i128::from(*value))
    }
}

impl Op for CounterOp {
    type Ret = CounterRet;
    const KINDS: &'static [&'static str] = &["read", "add", "fetch_add"];

    fn kind(&self) -> &'static str {
        match self {
            CounterOp::Read => "read",
            CounterOp::Add { .. } => "add",
            CounterOp::FetchAdd { .. } => "fetch_add",
        }
    }
}
