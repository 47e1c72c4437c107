//! What is replicated: the map, and how much there may be of it.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::{Deserialize, Serialize};
use sim::models::{StoreOp, StoreRet};
use sim::{OpError, reachable, sometimes};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::rsm::{At, StateMachine};
use crate::storage::StorageError;
use crate::storage::snapshot::{Snapshot, Writer};

/// How much a store may hold. All replicas must be given the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The most bytes of one value.
    pub value: usize,
    /// The most bytes of all keys and values, each pair 16 bytes more: what a snapshot takes.
    pub total: usize,
}

/// What a pair takes beside its bytes: two lengths.
pub const PAIR: usize = 16;

/// What changes the map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Gives a key a value.
    Put(String, String),
    /// Extends a value at its end; a key without one gets this one.
    Append(String, String),
    /// Gives a key another value if it has the expected one; none is that the key is not there.
    Cas(String, Option<String>, String),
    /// Takes a key and its value away.
    Delete(String),
}

impl Command {
    /// The command of an operation; none if the operation only reads.
    pub fn of(op: &StoreOp) -> Option<Command> {
        Some(match op.clone() {
            StoreOp::Put { key, value } => Command::Put(key, value),
            StoreOp::Append { key, value } => Command::Append(key, value),
            StoreOp::Cas { key, expected, new } => Command::Cas(key, expected, new),
            StoreOp::Delete { key } => Command::Delete(key),
            StoreOp::Get { .. } | StoreOp::Scan { .. } => return None,
        })
    }

    /// Whether it may have that reply.
    pub fn is_answered_by(&self, reply: Reply) -> bool {
        match self {
            Command::Put(..) | Command::Append(..) => matches!(reply, Reply::Done | Reply::Refused),
            Command::Cas(..) => matches!(reply, Reply::Swapped(_) | Reply::Refused),
            Command::Delete(_) => matches!(reply, Reply::Deleted(_)),
        }
    }

    /// The key that it is about.
    pub fn key(&self) -> &str {
        match self {
            Command::Put(key, _) | Command::Append(key, _) | Command::Cas(key, ..) | Command::Delete(key) => key,
        }
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// It is done.
    Done,
    /// A compare-and-swap: whether the key had the expected value.
    Swapped(bool),
    /// A delete: whether the key was there.
    Deleted(bool),
    /// Nothing is done: the store would hold more than it may.
    Refused,
}

impl Reply {
    /// What a client's operation came to.
    ///
    /// # Errors
    ///
    /// [`OpError::Failed`] if the command was refused, and did nothing.
    pub fn result(self) -> Result<StoreRet, OpError> {
        match self {
            Reply::Done => Ok(StoreRet::Done),
            Reply::Swapped(swapped) => Ok(StoreRet::Swapped(swapped)),
            Reply::Deleted(deleted) => Ok(StoreRet::Deleted(deleted)),
            Reply::Refused => Err(OpError::Failed),
        }
    }
}

/// What asks about the map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// A key's value.
    Get(String),
    /// The first so many keys from one on and before another, with their values.
    Scan(String, String, usize),
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The value, none if the key is not there.
    Value(Option<String>),
    /// Keys in ascending order, with their values.
    Pairs(Vec<(String, String)>),
}

/// The map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    limits: Limits,
    map: BTreeMap<String, String>,
    /// Of all pairs.
    bytes: usize,
    /// All pairs as a hash that does not depend on their order.
    hash: u64,
}

impl Store {
    /// An empty one.
    pub fn new(limits: Limits) -> Store {
        Store { limits, map: BTreeMap::new(), bytes: 0, hash: 0 }
    }

    /// The bytes of all pairs, as [`Limits::total`] counts them.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The pairs with a key behind that one, in ascending order: all of them if it is none.
    pub fn pairs_after(&self, key: Option<&str>) -> impl Iterator<Item = (&str, &str)> {
        let after = key.map_or(Bound::Unbounded, Bound::Excluded);
        self.map.range::<str, _>((after, Bound::Unbounded)).map(|(key, value)| (&**key, &**value))
    }

    /// Gives `key` the value `value`, if there is room for it.
    pub fn set(&mut self, key: String, value: String, done: Reply) -> Reply {
        let before = self.map.get(&key).map_or(0, |value| PAIR + key.len() + value.len());
        let after = self.bytes - before + PAIR + key.len() + value.len();
        if value.len() > self.limits.value || after > self.limits.total {
            return Reply::Refused;
        }
        self.bytes = after;
        self.hash ^= hash(&key, &value);
        if let Some(old) = self.map.get_mut(&key) {
            self.hash ^= hash(&key, old);
            *old = value;
        } else {
            self.map.insert(key, value);
        }
        done
    }
}

fn hash(key: &str, value: &str) -> u64 {
    xxh3_64_with_seed(value.as_bytes(), xxh3_64(key.as_bytes()))
}

impl StateMachine for Store {
    type Command = Command;
    type Reply = Reply;
    type Query = Query;
    type Answer = Answer;

    fn apply(&mut self, _: &At, command: Command) -> Reply {
        match command {
            Command::Put(key, value) => self.set(key, value, Reply::Done),
            Command::Append(key, value) => {
                let before = self.map.get(&key).map_or("", |before| before);
                if before.len() + value.len() > self.limits.value {
                    return Reply::Refused;
                }
                let whole = format!("{before}{value}");
                self.set(key, whole, Reply::Done)
            }
            Command::Cas(key, expected, new) => match self.map.get(&key) == expected.as_ref() {
                true => self.set(key, new, Reply::Swapped(true)),
                false => {
                    reachable!("kv: a compare-and-swap finds another value");
                    Reply::Swapped(false)
                }
            },
            Command::Delete(key) => {
                let removed = self.map.remove(&key);
                if let Some(value) = &removed {
                    self.bytes -= PAIR + key.len() + value.len();
                    self.hash ^= hash(&key, value);
                }
                Reply::Deleted(removed.is_some())
            }
        }
    }

    fn query(&self, query: &Query) -> Answer {
        match query {
            Query::Get(key) => Answer::Value(self.map.get(key).cloned()),
            Query::Scan(from, to, limit) => {
                let mut range = if from < to { self.map.range(from.clone()..to.clone()) } else { Default::default() };
                let pairs = range.by_ref().take(*limit).map(|(key, value)| (key.clone(), value.clone()));
                let pairs = pairs.collect();
                sometimes!(range.next().is_some(), "kv: a scan ends at its limit");
                Answer::Pairs(pairs)
            }
        }
    }

    fn digest(&self) -> u64 {
        self.hash
    }

    async fn save(&self, to: &mut Writer) -> Result<(), StorageError> {
        to.put(&(self.limits, self.bytes, self.hash, self.map.len())).await?;
        for pair in &self.map {
            to.put(&pair).await?;
        }
        Ok(())
    }

    async fn load(from: &mut Snapshot) -> Result<Store, StorageError> {
        let (limits, bytes, hash, pairs): (_, _, _, usize) = from.get().await?;
        let mut map = BTreeMap::new();
        for _ in 0..pairs {
            let (key, value) = from.get().await?;
            map.insert(key, value);
        }
        Ok(Store { limits, map, bytes, hash })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn store() -> Store {
        Store::new(Limits { value: 8, total: 2 * PAIR + 20 })
    }

    fn apply(store: &mut Store, command: Command) -> Reply {
        store.apply(&At { index: 1, now: Duration::ZERO }, command)
    }

    fn put(store: &mut Store, key: &str, value: &str) -> Reply {
        apply(store, Command::Put(key.into(), value.into()))
    }

    fn get(store: &Store, key: &str) -> Option<String> {
        match store.query(&Query::Get(key.into())) {
            Answer::Value(value) => value,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn values_are_put_extended_swapped_and_deleted() {
        let mut store = store();
        assert_eq!(put(&mut store, "a", "1"), Reply::Done);
        assert_eq!(apply(&mut store, Command::Append("a".into(), "2".into())), Reply::Done);
        assert_eq!(get(&store, "a").as_deref(), Some("12"));
        let cas = |expected: Option<&str>, new: &str| Command::Cas("a".into(), expected.map(str::to_owned), new.into());
        assert_eq!(apply(&mut store, cas(None, "x")), Reply::Swapped(false));
        assert_eq!(apply(&mut store, cas(Some("12"), "x")), Reply::Swapped(true));
        assert_eq!(apply(&mut store, Command::Delete("a".into())), Reply::Deleted(true));
        assert_eq!(apply(&mut store, Command::Delete("a".into())), Reply::Deleted(false));
        assert_eq!(apply(&mut store, cas(None, "y")), Reply::Swapped(true));
        assert_eq!(get(&store, "a").as_deref(), Some("y"));
    }

    #[test]
    fn a_scan_is_in_order_within_its_bounds() {
        let mut store = Store::new(Limits { value: 8, total: 100 });
        for key in ["c", "a", "d", "b"] {
            put(&mut store, key, "1");
        }
        let scan = |from: &str, to: &str, limit| match store.query(&Query::Scan(from.into(), to.into(), limit)) {
            Answer::Pairs(pairs) => pairs.into_iter().map(|(key, _)| key).collect::<String>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(scan("a", "d", 9), "abc");
        assert_eq!(scan("b", "z", 2), "bc");
        assert_eq!(scan("d", "a", 9), "");
        assert_eq!(scan("a", "a", 9), "");
    }

    #[test]
    fn what_does_not_fit_is_refused_and_changes_nothing() {
        let mut store = store();
        assert_eq!(put(&mut store, "a", "123456789"), Reply::Refused);
        assert_eq!(put(&mut store, "a", "12345678"), Reply::Done);
        assert_eq!(apply(&mut store, Command::Append("a".into(), "9".into())), Reply::Refused);
        assert_eq!(put(&mut store, "b", "12345678"), Reply::Done);
        assert_eq!(store.bytes(), 2 * PAIR + 18);
        let full = store.clone();
        assert_eq!(put(&mut store, "c", "12"), Reply::Refused);
        assert_eq!(store, full);
        // What takes another's place needs no room of its own.
        assert_eq!(put(&mut store, "b", "87654321"), Reply::Done);
        apply(&mut store, Command::Delete("a".into()));
        assert_eq!(put(&mut store, "c", "12"), Reply::Done);
        assert_eq!(store.bytes(), 2 * PAIR + 12);
    }

    #[test]
    fn the_digest_is_that_of_the_contents() {
        let (mut one, mut other) = (store(), store());
        put(&mut one, "a", "1");
        put(&mut one, "b", "2");
        put(&mut other, "b", "1");
        put(&mut other, "b", "2");
        assert_ne!(one.digest(), other.digest());
        put(&mut other, "a", "1");
        assert_eq!(one.digest(), other.digest());
        apply(&mut one, Command::Delete("a".into()));
        apply(&mut one, Command::Delete("b".into()));
        assert_eq!(one.digest(), store().digest());
    }
}
