//! The checker against a brute-force one: the definition, word for word, over every permutation.
//!
//! The histories are of two kinds, both for every model: operations with arbitrary results, and those of a true object,
//! some of whose results are made wrong.
//!
//! The reference knows no parts, no prefixes, no memory and no order of trial, so it shares none of the
//! checker's shortcuts. The histories are short and their values few: then about half of them are legal.

mod objects;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use super::partition::Part;
use super::*;

/// How many histories of each kind.
const CASES: u32 = 3_000;

/// A model, and which of several objects with a state of their own an operation is on.
trait Object: Model {
    fn object(_: &Self::Op) -> String {
        String::new()
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
fn agree_on<M: Object>(cases: u32, histories: impl Strategy<Value = History<M>>) {
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

/// An operation of a history that is simulated: what, with some result; invocation, and how long until it takes effect and
/// then until it completes; how it ends; and whether it returns that result instead of the right one.
type Planned<O, R> = (u32, (O, R), u64, (u64, u64), u32, bool);

fn planned<O: Debug + Clone, R: Debug + Clone>(
    what: impl Strategy<Value = (O, R)> + Clone,
    operations: RangeInclusive<usize>,
) -> impl Strategy<Value = Vec<Planned<O, R>>> {
    // Of some histories half the outcomes are unknown: what may be left out has the most places to go then.
    prop_oneof![Just(16u32), Just(7)].prop_flat_map(move |endings| {
        let mutated = prop::bool::weighted(0.5);
        prop::collection::vec(
            (0..4u32, what.clone(), 0..14u64, (0..4u64, 0..3u64), 0..endings, mutated),
            operations.clone(),
        )
    })
}

/// Lets `real`, a true object, execute what is planned, each operation at its moment. `None` is what it cannot do.
fn simulate<O: Clone, R: Clone + PartialEq>(
    plan: &[Planned<O, R>],
    mut real: impl FnMut(&O) -> Option<R>,
) -> (Vec<Operation<O, R>>, bool) {
    let moment = |(_, _, invoked, (before, _), ending, _): &Planned<O, R>| match ending {
        1 => invoked + before + 9,
        _ => invoked + before,
    };
    let mut order: Vec<&Planned<O, R>> = plan.iter().collect();
    order.sort_by_key(|planned| moment(planned));
    let mut is_right = true;
    let operation = |planned: &Planned<O, R>| {
        let (process, (op, other), invoked, (_, after), ending, is_mutated) = planned.clone();
        let at = moment(planned) + after;
        let outcome = match ending {
            0 => Outcome::Failed { at },
            // It took effect, late or in time, and nobody heard of it.
            1 | 2 => {
                real(&op);
                Outcome::Unknown
            }
            3 => Outcome::Unknown,
            _ => match real(&op) {
                None => Outcome::Unknown,
                Some(ret) => {
                    is_right &= !is_mutated || ret == other;
                    Outcome::Ok { at, ret: if is_mutated { other } else { ret } }
                }
            },
        };
        Operation { process, op, invoked, outcome }
    };
    let history = order.into_iter().map(operation).collect();
    (history, is_right)
}

/// Both: histories whose results are arbitrary, and those of a true object, with and without wrong results. Brute force must
/// say the same of all, and what a true object did must be accepted.
fn agree<M: Object, F: FnMut(&M::Op) -> Option<M::Ret>>(
    what: impl Strategy<Value = (M::Op, M::Ret)> + Clone,
    real: impl Fn() -> F,
) where
    M::Ret: PartialEq,
{
    agree_on::<M>(CASES, prop::collection::vec(operation(what.clone()), 1..=6));
    agree_on::<M>(
        CASES,
        planned(what, 2..=6).prop_map(|plan| {
            let (history, is_right) = simulate(&plan, real());
            assert!(!is_right || is_linearizable::<M>(&history, u64::MAX), "the object is none of this model");
            history
        }),
    );
}
