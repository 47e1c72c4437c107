//! Models of the objects that histories are most often recorded of.
//!
//! Each panics on a result that its operation cannot have by type, such as a read that returned
//! [`RegisterRet::Done`]: then the recorder is broken, and calling it a violation would blame the system.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::Model;
use crate::history::Op;

/// One register of integers with compare-and-set, initially empty.
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

    fn key(_: &RegisterOp) -> &'static str {
        "register"
    }

    fn init(_: &&'static str) -> Option<i64> {
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

    fn is_read(op: &RegisterOp) -> bool {
        matches!(op, RegisterOp::Read)
    }
}

/// A map from strings to strings; a key that was never written holds the empty string.
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

    fn key(op: &KvOp) -> String {
        op.key().to_owned()
    }

    fn init(_: &String) -> String {
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

    fn is_read(op: &KvOp) -> bool {
        matches!(op, KvOp::Get { .. })
    }

    /// Appends only extend a value, so a value that was read extends the present one, or one that was put since.
    fn may_return<'a>(state: &String, _: &KvOp, ret: &KvRet, mut others: impl Iterator<Item = &'a KvOp>) -> bool {
        let KvRet::Value(read) = ret else { return true };
        read.starts_with(state.as_str())
            || others.any(|other| matches!(other, KvOp::Put { value, .. } if read.starts_with(value.as_str())))
    }
}

/// The map of a [`Kv`] as one object. Slower than that, and needed as soon as an operation is about more than one key.
pub struct KvMap;

/// What the keys of a [`KvMap`] hold. Copies share it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    /// Of the values together: it changes with each of them, so that no state is hashed as a whole.
    hash: u64,
    values: BTreeMap<Rc<str>, Rc<String>>,
}

impl Hash for Values {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(self.hash);
    }
}

impl Values {
    fn with(&self, key: &str, value: String) -> Values {
        let hash_of = |value: &String| xxh3_64_with_seed(value.as_bytes(), xxh3_64(key.as_bytes()));
        let mut values = self.values.clone();
        let mut hash = self.hash ^ hash_of(&value);
        match values.get_mut(key) {
            Some(before) => {
                hash ^= hash_of(before);
                *before = Rc::new(value);
            }
            None => drop(values.insert(key.into(), Rc::new(value))),
        }
        Values { hash, values }
    }
}

impl Model for KvMap {
    type Op = KvOp;
    type Ret = KvRet;
    type State = Values;
    type Key = &'static str;
    const NAME: &'static str = "kv-map";

    fn key(_: &KvOp) -> &'static str {
        "all keys"
    }

    fn init(_: &&'static str) -> Values {
        Values::default()
    }

    fn step(state: &Values, op: &KvOp, ret: Option<&KvRet>) -> Option<Values> {
        let nothing = String::new();
        let before = state.values.get(op.key()).map_or(&nothing, |value| &**value);
        let after = Kv::step(before, op, ret)?;
        Some(if Kv::is_read(op) { state.clone() } else { state.with(op.key(), after) })
    }

    fn describe(op: &KvOp, ret: Option<&KvRet>) -> String {
        Kv::describe(op, ret)
    }

    fn is_read(op: &KvOp) -> bool {
        Kv::is_read(op)
    }

    fn concerns(op: &KvOp, read: &KvOp) -> bool {
        op.key() == read.key()
    }

    fn may_return<'a>(state: &Values, read: &KvOp, ret: &KvRet, others: impl Iterator<Item = &'a KvOp>) -> bool {
        let nothing = String::new();
        let value = state.values.get(read.key()).map_or(&nothing, |value| &**value);
        Kv::may_return(value, read, ret, others.filter(|other| other.key() == read.key()))
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

fn wrong_type(op: &impl Debug, ret: &impl Debug) -> ! {
    panic!("{op:?} cannot return {ret:?}: the history pairs an operation with another one's result")
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

    #[test]
    #[should_panic(expected = "pairs an operation with another one's result")]
    fn a_result_of_the_wrong_type_panics() {
        Register::step(&None, &RegisterOp::Read, Some(&RegisterRet::Done));
    }
}
