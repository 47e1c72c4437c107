//! The checker against a brute-force one: the definition, word for word, over every permutation.
//!
//! The reference knows no parts, no prefixes, no memory and no order of trial, so it shares none of the
//! checker's shortcuts. The histories are short and their values few: then about half of them are legal.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use super::models::{Kv, KvMap, KvOp, KvRet, Register, RegisterOp, RegisterRet, Store, StoreOp, StoreRet};
use super::partition::Part;
use super::*;

/// A model, and which of several objects with a state of their own an operation is on.
trait Object: Model {
    fn object(_: &Self::Op) -> String {
        String::new()
    }
}

impl Object for Register {}
impl Object for KvMap {}
impl Object for Store {}

impl Object for Kv {
    fn object(op: &KvOp) -> String {
        op.key().to_owned()
    }
}

type History<M> = Vec<Operation<<M as Model>::Op, <M as Model>::Ret>>;

/// Whether `history`, as observed until `until`, has a linearization.
fn is_linearizable<M: Object>(history: &History<M>, until: u64) -> bool {
    let visible: Vec<_> = history
        .iter()
        .filter(|o| o.invoked <= until && !matches!(o.outcome, Outcome::Failed { .. }))
        .map(|o| match &o.outcome {
            Outcome::Ok { at, ret } if *at <= until => (o.invoked, &o.op, Some((*at, ret))),
            _ => (o.invoked, &o.op, None),
        })
        .collect();
    extend::<M>(&visible, &mut Vec::new())
}

type Visible<'a, M> = (u64, &'a <M as Model>::Op, Option<(u64, &'a <M as Model>::Ret)>);

/// Whether some order of operations that starts with `order` is a linearization of `operations`.
fn extend<M: Object>(operations: &[Visible<M>], order: &mut Vec<usize>) -> bool {
    let complete = |i: &usize| order.contains(i) || operations[*i].2.is_none();
    if (0..operations.len()).all(|i| complete(&i)) && explains::<M>(operations, order) {
        return true;
    }
    (0..operations.len()).any(|i| {
        if order.contains(&i) {
            return false;
        }
        order.push(i);
        let found = extend::<M>(operations, order);
        order.pop();
        found
    })
}

/// Whether `order` respects real time and the model.
fn explains<M: Object>(operations: &[Visible<M>], order: &[usize]) -> bool {
    let precedes = |a: usize, b: usize| operations[a].2.is_some_and(|(at, _)| at < operations[b].0);
    let inverted = |place: usize| (place + 1..order.len()).any(|later| precedes(order[later], order[place]));
    if (0..order.len()).any(inverted) {
        return false;
    }
    let mut states: BTreeMap<String, M::State> = BTreeMap::new();
    order.iter().all(|&i| {
        let (_, op, completion) = operations[i];
        let state = states.entry(M::object(op)).or_insert_with(M::init);
        let next = M::step(state, op, completion.map(|(_, ret)| ret));
        next.map(|next| *state = next).is_some()
    })
}

/// Compares the two on `cases` random histories, both of whose verdicts must be frequent.
fn agree<M: Object>(cases: u32, histories: impl Strategy<Value = History<M>>) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let legal = std::cell::Cell::new(0);
    TestRunner::new_with_rng(config, rng)
        .run(&histories, |history| {
            let verdict = check::<M>(&history, 1_000_000);
            let expected = is_linearizable::<M>(&history, u64::MAX);
            match verdict {
                Verdict::Linearizable { .. } => {
                    prop_assert!(expected, "accepted");
                    legal.set(legal.get() + 1);
                }
                Verdict::Violation(violation) => {
                    prop_assert!(!expected, "rejected: {violation:#?}");
                    verify::<M>(&history, &violation)?;
                }
                Verdict::Exhausted { .. } => prop_assert!(false, "exhausted"),
            }
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    let percent = legal.get() * 100 / cases;
    assert!((15..=85).contains(&percent), "{percent} % of the histories are legal");
}

/// Every claim a violation makes, by brute force.
fn verify<M: Object>(history: &History<M>, violation: &Violation) -> Result<(), TestCaseError> {
    // `at`: legal just before, illegal from there on, and something completed there.
    prop_assert!(violation.at_is_exact);
    prop_assert!(!is_linearizable::<M>(history, violation.at));
    prop_assert!(violation.at == 0 || is_linearizable::<M>(history, violation.at - 1));

    // `prefix` is an order that the model accepts of the part's operations; `unplaced` is what it lacks.
    let parts = partition::partition::<M>(history);
    let first = violation.unplaced[0].index;
    let of = |part: &Part<M::Key>, index| part.members.iter().any(|member| member.index == index);
    let part = parts.iter().find(|part| of(part, first)).expect("it is in some part");
    let whole = verify_order::<M>(history, violation, |i| of(part, i));
    // If one key of several is to blame, it may be about what the operations say of that alone.
    let keys = projected::project::<M>(history, part).into_iter().flatten();
    let Some(key) = keys.into_iter().find(|key| M::part(&key.part.keys) == violation.part) else { return whole };
    let mut said = history.clone();
    for (operation, &i) in key.operations.iter().zip(&key.indexes) {
        said[i] = operation.clone();
    }
    whole.or_else(|_| verify_order::<M>(&said, violation, |i| key.indexes.contains(&i)))
}

/// What a violation claims about an order of the operations that are in its part.
fn verify_order<M: Object>(
    said: &History<M>,
    violation: &Violation,
    is_in: impl Fn(usize) -> bool,
) -> Result<(), TestCaseError> {
    let visible: Vec<Visible<M>> = said
        .iter()
        .map(|o| match &o.outcome {
            Outcome::Ok { at, ret } if *at <= violation.at => (o.invoked, &o.op, Some((*at, ret))),
            _ => (o.invoked, &o.op, None),
        })
        .collect();
    prop_assert!(explains::<M>(&visible, &violation.prefix));
    prop_assert!(violation.prefix.iter().all(|&i| is_in(i)));
    let mut lacking: Vec<usize> =
        (0..said.len()).filter(|&i| is_in(i) && visible[i].2.is_some() && !violation.prefix.contains(&i)).collect();
    let mut unplaced: Vec<usize> = violation.unplaced.iter().map(|u| u.index).collect();
    lacking.sort_unstable();
    unplaced.sort_unstable();
    prop_assert!(!lacking.is_empty());
    prop_assert_eq!(&lacking, &unplaced);

    // No operation can be put behind `prefix`, for the reason given.
    for unplaced in &violation.unplaced {
        let longer: Vec<usize> = [&violation.prefix[..], &[unplaced.index]].concat();
        let blocked = lacking.iter().any(|&i| {
            let at = visible[i].2.expect("completed").0;
            at < said[unplaced.index].invoked
        });
        match unplaced.reason {
            Reason::Refused => prop_assert!(!blocked && !explains::<M>(&visible, &longer)),
            Reason::After(_) => prop_assert!(blocked),
        }
    }
    Ok(())
}

/// An operation with its outcome if it gets one: times of invocation and duration, and how it ends.
fn operation<O: Debug + Clone, R: Debug + Clone>(
    what: impl Strategy<Value = (O, R)>,
) -> impl Strategy<Value = Operation<O, R>> {
    (0..4u32, what, 0..14u64, 0..6u64, 0..10u32).prop_map(|(process, (op, ret), invoked, duration, ending)| {
        let at = invoked + duration;
        let outcome = match ending {
            0 => Outcome::Failed { at },
            1 | 2 => Outcome::Unknown,
            _ => Outcome::Ok { at, ret },
        };
        Operation { process, op, invoked, outcome }
    })
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
    agree::<Register>(3_000, prop::collection::vec(operation(what), 1..=6));
}

#[test]
fn kv_verdicts_are_those_of_brute_force() {
    agree::<Kv>(3_000, kv_history());
}

#[test]
fn verdicts_on_a_whole_map_are_those_of_brute_force() {
    agree::<KvMap>(3_000, kv_history());
}

fn kv_history() -> impl Strategy<Value = History<Kv>> {
    let key = || prop_oneof![2 => Just("x".to_string()), 1 => Just("y".to_string())];
    let value = || prop_oneof![Just("a".to_string()), Just("b".to_string())];
    let seen = prop_oneof![Just(""), Just("a"), Just("b"), Just("ab"), Just("ba"), Just("aa")];
    let what = prop_oneof![
        (key(), seen).prop_map(|(key, v)| (KvOp::Get { key }, KvRet::Value(v.into()))),
        (key(), value()).prop_map(|(key, value)| (KvOp::Put { key, value }, KvRet::Done)),
        (key(), value()).prop_map(|(key, value)| (KvOp::Append { key, value }, KvRet::Done)),
    ];
    prop::collection::vec(operation(what), 1..=6)
}

#[test]
fn store_verdicts_are_those_of_brute_force() {
    let key = || prop_oneof![3 => Just("a"), 2 => Just("b"), 1 => Just("c")].prop_map(str::to_owned);
    let value = || prop_oneof![Just("1".to_owned()), Just("2".to_owned())];
    let seen = || proptest::option::of(prop_oneof![2 => value(), 1 => Just("12".to_owned())]);
    let pairs = proptest::collection::btree_map(key(), value(), 0..3);
    let what = prop_oneof![
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
    ];
    agree::<Store>(6_000, prop::collection::vec(operation(what), 1..=6));
}
