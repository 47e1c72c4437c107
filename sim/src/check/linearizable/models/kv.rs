//! Strings that grow: the key/value map of the classic labs.

use serde::{Deserialize, Serialize};

use super::super::{Keys, Model};
use super::growth::Growth;
use super::values::Values;
use super::wrong_type;
use crate::history::Op;

/// A map from strings to strings; a key that was never written holds the empty string.
///
/// Unknown outcomes: a put or append may have taken effect, or may yet, or never.
pub struct Kv;

/// An operation on a [`Kv`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum KvOp {
    /// Returns the value.
    Get {
        /// Whose value.
        key: String,
    },
    /// Replaces the value.
    Put {
        /// Whose value.
        key: String,
        /// The new value.
        value: String,
    },
    /// Extends the value at its end.
    Append {
        /// Whose value.
        key: String,
        /// What is added.
        value: String,
    },
}

impl KvOp {
    /// The key that it is about.
    pub fn key(&self) -> &str {
        let (KvOp::Get { key } | KvOp::Put { key, .. } | KvOp::Append { key, .. }) = self;
        key
    }
}

/// What a [`KvOp`] returned.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum KvRet {
    /// A get: the value, empty where there is none.
    Value(String),
    /// A put or an append.
    Done,
}

impl Model for Kv {
    type Op = KvOp;
    type Ret = KvRet;
    type State = String;
    type Key = String;
    const NAME: &'static str = "kv";

    fn keys(op: &KvOp, _: Option<&KvRet>) -> Keys<String> {
        Keys::One(op.key().to_owned())
    }

    fn init() -> String {
        String::new()
    }

    fn step(state: &String, op: &KvOp, ret: Option<&KvRet>) -> Option<String> {
        match (op, ret) {
            (KvOp::Get { .. }, None) => Some(state.clone()),
            (KvOp::Get { .. }, Some(KvRet::Value(value))) => (value == state).then(|| state.clone()),
            (KvOp::Put { value, .. }, None | Some(KvRet::Done)) => Some(value.clone()),
            (KvOp::Append { value, .. }, None | Some(KvRet::Done)) => Some(format!("{state}{value}")),
            (_, Some(ret)) => wrong_type(op, ret),
        }
    }

    fn describe(op: &KvOp, ret: Option<&KvRet>) -> String {
        let call = match op {
            KvOp::Get { key } => format!("get({key})"),
            KvOp::Put { key, value } => format!("put({key}, {value:?})"),
            KvOp::Append { key, value } => format!("append({key}, {value:?})"),
        };
        match ret {
            None | Some(KvRet::Done) => call,
            Some(KvRet::Value(value)) => format!("{call} -> {value:?}"),
        }
    }

    fn needs(op: &KvOp, ret: &KvRet) -> Option<String> {
        match ret {
            KvRet::Value(value) => Some(format!("{} must be {value:?}", op.key())),
            KvRet::Done => None,
        }
    }

    fn is_read(op: &KvOp) -> bool {
        matches!(op, KvOp::Get { .. })
    }

    fn may_return<'a>(
        state: &String,
        _: &KvOp,
        (_, ret): (&KvOp, &KvRet),
        others: impl Iterator<Item = &'a KvOp>,
    ) -> bool {
        may_hold(state, ret, others)
    }

    fn matters<'a>(
        _: &String,
        _: &KvOp,
        after: &String,
        others: impl Iterator<Item = (&'a KvOp, Option<&'a KvRet>)> + Clone,
    ) -> bool {
        may_be_seen(after, others)
    }
}

/// Whether one of the reads may see a value, or what appends make of it.
fn may_be_seen<'a>(value: &str, mut others: impl Iterator<Item = (&'a KvOp, Option<&'a KvRet>)> + Clone) -> bool {
    let all = others.clone();
    others.any(|(_, ret)| {
        let Some(KvRet::Value(read)) = ret else { return false };
        let mut growth = Growth::default();
        growth.begin(value, read);
        for (op, _) in all.clone() {
            if let KvOp::Append { value, .. } = op {
                growth.append(value, read);
            }
        }
        read == value || growth.may_reach(read)
    })
}

/// Appends only extend a value, so a value that was read extends the present one, or one that was put since.
fn may_hold<'a>(value: &str, ret: &KvRet, mut others: impl Iterator<Item = &'a KvOp>) -> bool {
    let KvRet::Value(read) = ret else { return true };
    read.starts_with(value)
        || others.any(|other| matches!(other, KvOp::Put { value, .. } if read.starts_with(value.as_str())))
}

/// The map of a [`Kv`] as one object. Slower than that; it shows what partition by key is worth.
pub struct KvMap;

impl Model for KvMap {
    type Op = KvOp;
    type Ret = KvRet;
    type State = Values;
    type Key = String;
    const NAME: &'static str = "kv-map";
    const APART: bool = false;

    fn keys(op: &KvOp, ret: Option<&KvRet>) -> Keys<String> {
        Kv::keys(op, ret)
    }

    fn init() -> Values {
        Values::default()
    }

    fn step(state: &Values, op: &KvOp, ret: Option<&KvRet>) -> Option<Values> {
        let before = state.get(op.key()).unwrap_or_default();
        match (op, ret) {
            (KvOp::Get { .. }, None) => Some(state.clone()),
            (KvOp::Get { .. }, Some(KvRet::Value(value))) => (value == before).then(|| state.clone()),
            (KvOp::Put { key, value }, None | Some(KvRet::Done)) => Some(state.with(key, Some(value))),
            (KvOp::Append { key, value }, None | Some(KvRet::Done)) => {
                Some(state.with(key, Some(&[before, value].concat())))
            }
            (_, Some(ret)) => wrong_type(op, ret),
        }
    }

    fn describe(op: &KvOp, ret: Option<&KvRet>) -> String {
        Kv::describe(op, ret)
    }

    fn needs(op: &KvOp, ret: &KvRet) -> Option<String> {
        Kv::needs(op, ret)
    }

    fn is_read(op: &KvOp) -> bool {
        Kv::is_read(op)
    }

    fn concerns(op: &KvOp, read: &KvOp) -> bool {
        op.key() == read.key()
    }

    fn may_return<'a>(
        state: &Values,
        _: &KvOp,
        (op, ret): (&KvOp, &KvRet),
        others: impl Iterator<Item = &'a KvOp>,
    ) -> bool {
        let value = state.get(op.key()).unwrap_or_default();
        may_hold(value, ret, others.filter(|other| other.key() == op.key()))
    }

    fn matters<'a>(
        _: &Values,
        placed: &KvOp,
        after: &Values,
        others: impl Iterator<Item = (&'a KvOp, Option<&'a KvRet>)> + Clone,
    ) -> bool {
        let key = placed.key();
        may_be_seen(after.get(key).unwrap_or_default(), others.filter(|(op, _)| op.key() == key))
    }
}

impl Op for KvOp {
    type Ret = KvRet;
    const KINDS: &'static [&'static str] = &["get", "put", "append"];

    fn kind(&self) -> &'static str {
        match self {
            KvOp::Get { .. } => "get",
            KvOp::Put { .. } => "put",
            KvOp::Append { .. } => "append",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kv_steps_and_descriptions() {
        let append = KvOp::Append { key: "x".into(), value: "b".into() };
        let state = Kv::step(&"a".to_string(), &append, Some(&KvRet::Done)).unwrap();
        assert_eq!(state, "ab");
        assert_eq!(Kv::describe(&append, Some(&KvRet::Done)), r#"append(x, "b")"#);
        let get = KvOp::Get { key: "x".into() };
        let (right, wrong) = (KvRet::Value("ab".into()), KvRet::Value("a".into()));
        assert_eq!(Kv::step(&state, &get, Some(&right)), Some("ab".to_string()));
        assert_eq!(Kv::step(&state, &get, Some(&wrong)), None);
        assert_eq!(Kv::describe(&get, Some(&wrong)), r#"get(x) -> "a""#);
    }
}
