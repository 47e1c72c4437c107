//! The models with their true objects: what makes histories for the brute force.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::super::models::*;
use super::super::{Keys, Model, Verdict, check};
use super::{CASES, Object, agree, planned, simulate};

impl Object for Counter {}
impl Object for KvMap {}
impl Object for List {}
impl Object for Lock {}
impl Object for Queue {}
impl Object for Register {}
impl Object for Set {}
impl Object for Store {}

impl Object for Keyed<Lock> {
    fn object(at: &At<LockOp>) -> String {
        at.key.clone()
    }
}

impl Object for Kv {
    fn object(op: &KvOp) -> String {
        op.key().to_owned()
    }
}

#[test]
fn register_verdicts_are_those_of_brute_force() {
    let value = 0..2i64;
    let what = prop_oneof![
        3 => proptest::option::of(value.clone())
            .prop_map(|v| (RegisterOp::Read, RegisterRet::Value(v))),
        3 => value.clone().prop_map(|value| (RegisterOp::Write { value }, RegisterRet::Done)),
        2 => (value.clone(), value, any::<bool>()).prop_map(|(expected, new, swapped)| {
            (RegisterOp::Cas { expected, new }, RegisterRet::Swapped(swapped))
        }),
    ];
    agree::<Register, _>(what, || {
        let mut register = None;
        move |op| {
            Some(match *op {
                RegisterOp::Read => RegisterRet::Value(register),
                RegisterOp::Write { value } => {
                    register = Some(value);
                    RegisterRet::Done
                }
                RegisterOp::Cas { expected, new } => {
                    let swaps = register == Some(expected);
                    register = if swaps { Some(new) } else { register };
                    RegisterRet::Swapped(swaps)
                }
            })
        }
    });
}

#[test]
fn kv_verdicts_are_those_of_brute_force() {
    agree::<Kv, _>(kv(), real_kv);
}

#[test]
fn verdicts_on_a_whole_map_are_those_of_brute_force() {
    agree::<KvMap, _>(kv(), real_kv);
}

fn kv() -> impl Strategy<Value = (KvOp, KvRet)> + Clone {
    let key = || prop_oneof![2 => Just("x".to_string()), 1 => Just("y".to_string())];
    let value = || prop_oneof![Just("a".to_string()), Just("b".to_string())];
    let seen = prop_oneof![Just(""), Just("a"), Just("b"), Just("ab"), Just("ba"), Just("aa")];
    prop_oneof![
        (key(), seen).prop_map(|(key, v)| (KvOp::Get { key }, KvRet::Value(v.into()))),
        (key(), value()).prop_map(|(key, value)| (KvOp::Put { key, value }, KvRet::Done)),
        (key(), value()).prop_map(|(key, value)| (KvOp::Append { key, value }, KvRet::Done)),
    ]
}

fn real_kv() -> impl FnMut(&KvOp) -> Option<KvRet> {
    let mut map: BTreeMap<String, String> = BTreeMap::new();
    move |op| {
        let value = map.entry(op.key().to_owned()).or_default();
        match op {
            KvOp::Get { .. } => return Some(KvRet::Value(value.clone())),
            KvOp::Put { value: new, .. } => value.clone_from(new),
            KvOp::Append { value: more, .. } => value.push_str(more),
        }
        Some(KvRet::Done)
    }
}

#[test]
fn store_verdicts_are_those_of_brute_force() {
    agree::<Store, _>(store(), real_store);
}

fn store() -> impl Strategy<Value = (StoreOp, StoreRet)> + Clone {
    let key = || prop_oneof![3 => Just("a"), 2 => Just("b"), 1 => Just("c")].prop_map(str::to_owned);
    let value = || prop_oneof![Just("1".to_owned()), Just("2".to_owned())];
    let seen = || proptest::option::of(prop_oneof![2 => value(), 1 => Just("12".to_owned())]);
    let pairs = proptest::collection::btree_map(key(), value(), 0..3);
    prop_oneof![
        3 => (key(), seen()).prop_map(|(key, value)| (StoreOp::Get { key }, StoreRet::Value(value))),
        4 => (key(), value()).prop_map(|(key, value)| (StoreOp::Put { key, value }, StoreRet::Done)),
        2 => (key(), value()).prop_map(|(key, value)| (StoreOp::Append { key, value }, StoreRet::Done)),
        2 => (key(), seen(), value(), any::<bool>()).prop_map(|(key, expected, new, swapped)| {
            (StoreOp::Cas { key, expected, new }, StoreRet::Swapped(swapped))
        }),
        2 => (key(), any::<bool>()).prop_map(|(key, was_there)| (StoreOp::Delete { key }, StoreRet::Deleted(was_there))),
        3 => (key(), prop_oneof![Just("b"), Just("c"), Just("d")], 0..3usize, pairs).prop_map(|(from, to, limit, pairs)| {
            let op = StoreOp::Scan { from, to: to.to_owned(), limit };
            (op, StoreRet::Pairs(pairs.into_iter().take(limit).collect()))
        }),
    ]
}

fn real_store() -> impl FnMut(&StoreOp) -> Option<StoreRet> {
    let mut map: BTreeMap<String, String> = BTreeMap::new();
    move |op| {
        Some(match op.clone() {
            StoreOp::Get { key } => StoreRet::Value(map.get(&key).cloned()),
            StoreOp::Put { key, value } => {
                map.insert(key, value);
                StoreRet::Done
            }
            StoreOp::Append { key, value } => {
                map.entry(key).or_default().push_str(&value);
                StoreRet::Done
            }
            StoreOp::Cas { key, expected, new } => {
                let swaps = map.get(&key) == expected.as_ref();
                if swaps {
                    map.insert(key, new);
                }
                StoreRet::Swapped(swaps)
            }
            StoreOp::Delete { key } => StoreRet::Deleted(map.remove(&key).is_some()),
            StoreOp::Scan { from, to, limit } => {
                let is_in_range = |(key, _): &(&String, &String)| from <= **key && **key < to;
                let pairs = map.iter().filter(is_in_range).take(limit);
                StoreRet::Pairs(pairs.map(|(key, value)| (key.clone(), value.clone())).collect())
            }
        })
    }
}

/// A store of which nobody knows that its keys are independent. Its histories are checked without partition and without
/// backjumping.
struct Whole;

impl Model for Whole {
    type Op = StoreOp;
    type Ret = StoreRet;
    type State = <Store as Model>::State;
    type Key = String;
    const NAME: &'static str = "whole store";

    fn keys(_: &StoreOp, _: Option<&StoreRet>) -> Keys<String> {
        Keys::One(String::new())
    }
    fn init() -> Self::State {
        Store::init()
    }
    fn step(state: &Self::State, op: &StoreOp, ret: Option<&StoreRet>) -> Option<Self::State> {
        Store::step(state, op, ret)
    }
    fn describe(op: &StoreOp, ret: Option<&StoreRet>) -> String {
        Store::describe(op, ret)
    }
    fn is_read(op: &StoreOp) -> bool {
        Store::is_read(op)
    }
}

/// Of more operations than brute force can take: what is skipped by backjumping has no way on either.
#[test]
fn backjumping_changes_no_verdict() {
    let mut verdicts = [0; 2];
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let counted = std::cell::RefCell::new(&mut verdicts);
    TestRunner::new_with_rng(config, rng)
        .run(&planned(store(), 8..=20), |plan| {
            let (history, _) = simulate(&plan, real_store());
            let is_legal = |verdict| matches!(verdict, Verdict::Linearizable { .. });
            let (together, apart) = (check::<Whole>(&history, 5_000_000), check::<Store>(&history, 5_000_000));
            prop_assert!(!matches!(together, Verdict::Exhausted { .. }), "exhausted");
            let is_legal = (is_legal(together), is_legal(apart));
            prop_assert_eq!(is_legal.0, is_legal.1);
            counted.borrow_mut()[usize::from(is_legal.0)] += 1;
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    assert!(verdicts.iter().all(|count| *count > CASES / 20), "{verdicts:?}");
}

#[test]
fn list_verdicts_are_those_of_brute_force() {
    let value = || 1..3i64;
    let what = prop_oneof![
        4 => prop::collection::vec(value(), 0..3).prop_map(|values| (ListOp::Read, ListRet::Values(values))),
        3 => value().prop_map(|value| (ListOp::Append { value }, ListRet::Done)),
        1 => (0..3usize, value()).prop_map(|(at, value)| (ListOp::Insert { at, value }, ListRet::Done)),
        2 => proptest::option::of(value()).prop_map(|value| (ListOp::Pop, ListRet::Popped(value))),
    ];
    agree::<List, _>(what, || {
        let mut list = Vec::new();
        move |op| {
            match *op {
                ListOp::Read => return Some(ListRet::Values(list.clone())),
                ListOp::Append { value } => list.push(value),
                ListOp::Insert { at, value } => list.insert(at.min(list.len()), value),
                ListOp::Pop => return Some(ListRet::Popped(list.pop())),
            }
            Some(ListRet::Done)
        }
    });
}

#[test]
fn set_verdicts_are_those_of_brute_force() {
    let value = || 1..4i64;
    let what = prop_oneof![
        3 => (value(), any::<bool>()).prop_map(|(value, was)| (SetOp::Add { value }, SetRet::Was(was))),
        2 => (value(), any::<bool>()).prop_map(|(value, was)| (SetOp::Remove { value }, SetRet::Was(was))),
        2 => (value(), any::<bool>()).prop_map(|(value, was)| (SetOp::Contains { value }, SetRet::Was(was))),
        2 => prop::collection::btree_set(value(), 0..3).prop_map(|values| (SetOp::Read, SetRet::Values(values))),
    ];
    agree::<Set, _>(what, || {
        let mut set = BTreeSet::new();
        move |op| {
            Some(match op {
                SetOp::Add { value } => SetRet::Was(!set.insert(*value)),
                SetOp::Remove { value } => SetRet::Was(set.remove(value)),
                SetOp::Contains { value } => SetRet::Was(set.contains(value)),
                SetOp::Read => SetRet::Values(set.clone()),
            })
        }
    });
}

#[test]
fn queue_verdicts_are_those_of_brute_force() {
    let value = || 1..4i64;
    let what = prop_oneof![
        value().prop_map(|value| (QueueOp::Enqueue { value }, QueueRet::Done)),
        proptest::option::of(value()).prop_map(|value| (QueueOp::Dequeue, QueueRet::Value(value))),
    ];
    agree::<Queue, _>(what, || {
        let mut queue = VecDeque::new();
        move |op| {
            Some(match op {
                QueueOp::Enqueue { value } => {
                    queue.push_back(*value);
                    QueueRet::Done
                }
                QueueOp::Dequeue => QueueRet::Value(queue.pop_front()),
            })
        }
    });
}

#[test]
fn counter_verdicts_are_those_of_brute_force() {
    let (by, value) = (|| -1..3i64, || -1..4i64);
    let what = prop_oneof![
        2 => value().prop_map(|value| (CounterOp::Read, CounterRet::Value(value))),
        2 => by().prop_map(|by| (CounterOp::Add { by }, CounterRet::Done)),
        1 => (by(), value()).prop_map(|(by, value)| (CounterOp::FetchAdd { by }, CounterRet::Value(value))),
    ];
    agree::<Counter, _>(what, || {
        let mut count = 0;
        move |op| {
            let before = count;
            Some(match op {
                CounterOp::Read => CounterRet::Value(count),
                CounterOp::Add { by } => {
                    count += by;
                    CounterRet::Done
                }
                CounterOp::FetchAdd { by } => {
                    count += by;
                    CounterRet::Value(before)
                }
            })
        }
    });
}

#[test]
fn lock_verdicts_are_those_of_brute_force() {
    agree::<Lock, _>(lock(), real_lock);
}

#[test]
fn verdicts_on_many_locks_are_those_of_brute_force() {
    let key = prop_oneof![2 => Just("x"), 1 => Just("y")].prop_map(str::to_owned);
    agree::<Keyed<Lock>, _>((key, lock()).prop_map(|(key, (op, ret))| (At { key, op }, ret)), || {
        let (mut x, mut y) = (real_lock(), real_lock());
        move |at| if at.key == "x" { x(&at.op) } else { y(&at.op) }
    });
}

fn lock() -> impl Strategy<Value = (LockOp, LockRet)> + Clone {
    let owner = || 1..3u32;
    prop_oneof![
        2 => owner().prop_map(|owner| (LockOp::Acquire { owner }, LockRet::Done)),
        2 => (owner(), any::<bool>()).prop_map(|(owner, was)| (LockOp::TryAcquire { owner }, LockRet::Was(was))),
        3 => (owner(), any::<bool>()).prop_map(|(owner, was)| (LockOp::Release { owner }, LockRet::Was(was))),
    ]
}

fn real_lock() -> impl FnMut(&LockOp) -> Option<LockRet> {
    let mut holder = None;
    move |op| match *op {
        LockOp::Acquire { owner } => holder.is_none().then(|| {
            holder = Some(owner);
            LockRet::Done
        }),
        LockOp::TryAcquire { owner } => Some(LockRet::Was(match holder {
            None => {
                holder = Some(owner);
                true
            }
            Some(_) => false,
        })),
        LockOp::Release { owner } => Some(LockRet::Was(holder.take_if(|holder| *holder == owner).is_some())),
    }
}
