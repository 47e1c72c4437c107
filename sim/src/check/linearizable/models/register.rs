//! A register of integers.

use serde::{Deserialize, Serialize};

use super::super::{Keys, Model};
use super::wrong_type;
use crate::history::Op;

/// One register of integers with compare-and-set, initially empty.
///
/// Unknown outcomes: a write or compare-and-set may have taken effect, or may yet, or never; a compare-and-set swaps if it
/// finds then what it expects. A read without a result says nothing.
pub struct Register;

/// An operation on a [`Register`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RegisterOp {
    /// Returns the value.
    Read,
    /// Replaces the value.
    Write {
        /// The new value.
        value: i64,
    },
    /// Replaces the value if it is the expected one.
    Cas {
        /// The value it must have.
        expected: i64,
        /// The value it then gets.
        new: i64,
    },
}

/// What a [`RegisterOp`] returned.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RegisterRet {
    /// A read: the value, `None` while there is none.
    Value(Option<i64>),
    /// A write.
    Done,
    /// A compare-and-set: whether it found the expected value.
    Swapped(bool),
}

impl Model for Register {
    type Op = RegisterOp;
    type Ret = RegisterRet;
    type State = Option<i64>;
    type Key = &'static str;
    const NAME: &'static str = "register";

    fn keys(_: &RegisterOp, _: Option<&RegisterRet>) -> Keys<&'static str> {
        Keys::One("register")
    }

    fn part(_: &[&'static str]) -> String {
        "the register".to_owned()
    }

    fn init() -> Option<i64> {
        None
    }

    fn step(state: &Option<i64>, op: &RegisterOp, ret: Option<&RegisterRet>) -> Option<Self::State> {
        match (op, ret) {
            (RegisterOp::Read, None) => Some(*state),
            (RegisterOp::Read, Some(RegisterRet::Value(value))) => (value == state).then_some(*state),
            (RegisterOp::Write { value }, None | Some(RegisterRet::Done)) => Some(Some(*value)),
            (RegisterOp::Cas { expected, new }, None | Some(RegisterRet::Swapped(_))) => {
                let swaps = *state == Some(*expected);
                let fits = ret.is_none_or(|ret| *ret == RegisterRet::Swapped(swaps));
                fits.then_some(if swaps { Some(*new) } else { *state })
            }
            (_, Some(ret)) => wrong_type(op, ret),
        }
    }

    fn describe(op: &RegisterOp, ret: Option<&RegisterRet>) -> String {
        let call = match op {
            RegisterOp::Read => "read()".to_string(),
            RegisterOp::Write { value } => format!("write({value})"),
            RegisterOp::Cas { expected, new } => format!("cas({expected}, {new})"),
        };
        match ret {
            None | Some(RegisterRet::Done) => call,
            Some(RegisterRet::Value(Some(value))) => format!("{call} -> {value}"),
            Some(RegisterRet::Value(None)) => format!("{call} -> nil"),
            Some(RegisterRet::Swapped(swapped)) => format!("{call} -> {swapped}"),
        }
    }

    fn needs(op: &RegisterOp, ret: &RegisterRet) -> Option<String> {
        match (op, ret) {
            (_, RegisterRet::Value(Some(value))) => Some(format!("the register must be {value}")),
            (_, RegisterRet::Value(None)) => Some("the register must be nil".to_owned()),
            (RegisterOp::Cas { expected, .. }, RegisterRet::Swapped(true)) => {
                Some(format!("the register must be {expected}"))
            }
            (RegisterOp::Cas { expected, .. }, RegisterRet::Swapped(false)) => {
                Some(format!("the register must not be {expected}"))
            }
            _ => None,
        }
    }

    fn describe_state(state: &Option<i64>) -> String {
        state.map_or("nil".to_owned(), |value| value.to_string())
    }

    fn is_read(op: &RegisterOp) -> bool {
        matches!(op, RegisterOp::Read)
    }

    fn keeps(op: &RegisterOp, ret: Option<&RegisterRet>) -> bool {
        Self::is_read(op) || ret == Some(&RegisterRet::Swapped(false))
    }

    fn may_return<'a>(
        state: &Option<i64>,
        _: &RegisterOp,
        (_, ret): (&RegisterOp, &RegisterRet),
        mut others: impl Iterator<Item = &'a RegisterOp>,
    ) -> bool {
        let RegisterRet::Value(value) = ret else { return true };
        let sets = |other: &RegisterOp| match other {
            RegisterOp::Read => false,
            RegisterOp::Write { value: new } | RegisterOp::Cas { new, .. } => Some(*new) == *value,
        };
        state == value || others.any(sets)
    }

    /// While the register is as `placed` left it, a read of that value or a swap from it could not do without it, and neither
    /// could a swap that failed on what was there before. All others could, until the value is lost.
    fn matters<'a>(
        before: &Option<i64>,
        _: &RegisterOp,
        after: &Option<i64>,
        mut others: impl Iterator<Item = (&'a RegisterOp, Option<&'a RegisterRet>)> + Clone,
    ) -> bool {
        others.any(|(op, ret)| match (op, ret) {
            (RegisterOp::Read, Some(RegisterRet::Value(value))) => value == after,
            (RegisterOp::Cas { expected, .. }, Some(RegisterRet::Swapped(false))) => Some(*expected) == *before,
            (RegisterOp::Cas { expected, .. }, _) => Some(*expected) == *after,
            _ => false,
        })
    }
}

impl Op for RegisterOp {
    type Ret = RegisterRet;
    const KINDS: &'static [&'static str] = &["read", "write", "cas"];

    fn kind(&self) -> &'static str {
        match self {
            RegisterOp::Read => "read",
            RegisterOp::Write { .. } => "write",
            RegisterOp::Cas { .. } => "cas",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn register_steps() {
        let step = |state, op, ret: Option<RegisterRet>| Register::step(&state, &op, ret.as_ref());
        let (read, cas) = (RegisterOp::Read, RegisterOp::Cas { expected: 1, new: 2 });
        let value = |v| Some(RegisterRet::Value(v));
        let swapped = |b| Some(RegisterRet::Swapped(b));
        assert_eq!(step(None, read.clone(), value(None)), Some(None));
        assert_eq!(step(Some(1), read.clone(), value(None)), None);
        assert_eq!(step(Some(1), read, None), Some(Some(1)));
        assert_eq!(step(Some(1), RegisterOp::Write { value: 5 }, None), Some(Some(5)));
        assert_eq!(step(Some(1), cas.clone(), swapped(true)), Some(Some(2)));
        assert_eq!(step(Some(1), cas.clone(), swapped(false)), None);
        assert_eq!(step(Some(3), cas.clone(), swapped(true)), None);
        assert_eq!(step(Some(3), cas.clone(), swapped(false)), Some(Some(3)));
        assert_eq!(step(Some(1), cas.clone(), None), Some(Some(2)));
        assert_eq!(step(Some(3), cas, None), Some(Some(3)));
    }

    #[test]
    #[should_panic(expected = "pairs an operation with another one's result")]
    fn a_result_of_the_wrong_type_panics() {
        Register::step(&None, &RegisterOp::Read, Some(&RegisterRet::Done));
    }
}
