//! Histories with many operations whose outcomes are unknown, as fault injection makes them: what must be decided, and within
//! how many steps.

use super::models::{Counter, CounterOp, CounterRet, Register, RegisterOp, RegisterRet};
use super::*;

fn operation<O, R>(op: O, invoked: u64, outcome: Outcome<R>) -> Operation<O, R> {
    Operation { process: 0, op, invoked, outcome }
}

fn ok<R>(at: u64, ret: R) -> Outcome<R> {
    Outcome::Ok { at, ret }
}

#[track_caller]
fn is_violation<M: Model>(history: &[Operation<M::Op, M::Ret>], budget: u64) {
    let verdict = check::<M>(history, budget);
    assert!(matches!(verdict, Verdict::Violation(_)), "{verdict:?}");
}

#[test]
fn a_counter_that_goes_back_is_wrong_however_many_increments_are_unknown() {
    for unknown in [20, 200] {
        let add = |n| operation(CounterOp::Add { by: 1 }, n, Outcome::Unknown);
        let read = |value, from| operation(CounterOp::Read, from, ok(from + 5, CounterRet::Value(value)));
        let history: Vec<_> = (0..unknown).map(add).chain([read(5, 1_000), read(3, 1_010)]).collect();
        is_violation::<Counter>(&history, 1_000);
        let forth: Vec<_> = (0..unknown).map(add).chain([read(3, 1_000), read(5, 1_010)]).collect();
        assert!(matches!(check::<Counter>(&forth, 1_000), Verdict::Linearizable { .. }));
    }
}

#[test]
fn a_value_that_nobody_wrote_is_wrong_however_much_is_concurrent() {
    for outcome in [ok(1_000, RegisterRet::Done), Outcome::Unknown] {
        let write = |value| operation(RegisterOp::Write { value }, value as u64, outcome.clone());
        let read = |value| operation(RegisterOp::Read, 5, ok(900, RegisterRet::Value(Some(value))));
        let history: Vec<_> = (0..30).map(write).chain([read(7), read(99)]).collect();
        is_violation::<Register>(&history, 1_000);
    }
}

/// Compare-and-sets whose outcomes are unknown, and then reads of all values, one after the other.
fn open_swaps(count: i64) -> Vec<Operation<RegisterOp, RegisterRet>> {
    let swap =
        |n: i64| operation(RegisterOp::Cas { expected: n % 5, new: (n * 7 + 1) % 6 }, n as u64, Outcome::Unknown);
    let read = |n: i64| {
        let from = 1_000 + 10 * n as u64;
        operation(RegisterOp::Read, from, ok(from + 5, RegisterRet::Value(Some(n % 6))))
    };
    let write = operation(RegisterOp::Write { value: 0 }, 0, ok(1, RegisterRet::Done));
    [write].into_iter().chain((1..=count).map(swap)).chain((0..12).map(read)).collect()
}

#[test]
fn compare_and_sets_of_unknown_outcome_are_decided() {
    is_violation::<Register>(&open_swaps(28), 300_000);
}

#[test]
fn comparing_with_what_is_remembered_counts_against_the_budget() {
    let Verdict::Exhausted { steps, .. } = check::<Register>(&open_swaps(300), 2_000_000) else { panic!("decided") };
    assert!(steps < 1_900_000, "{steps}");
}

/// A small generator of random numbers: the histories must always be the same.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// Clients of one true register. Of so many in a hundred operations the answer is lost, and half of these have no effect, or a late
/// one.
fn lossy(seed: u64, clients: u64, loss: u64) -> Vec<Operation<RegisterOp, RegisterRet>> {
    let mut random = Random(seed);
    let mut planned = Vec::new();
    for client in 0..clients {
        let mut now = random.below(50);
        for _ in 0..10 {
            let (until, lost) = (now + 1 + random.below(100), random.below(100) < loss);
            let effect = match lost {
                true if random.below(2) == 0 => None,
                true => Some(now + random.below(400)),
                false => Some(now + random.below(until - now)),
            };
            let op = match random.below(3) {
                0 => RegisterOp::Read,
                1 => RegisterOp::Write { value: random.below(5) as i64 },
                _ => RegisterOp::Cas { expected: random.below(5) as i64, new: random.below(5) as i64 },
            };
            planned.push((effect, client as u32, op, now, until, lost));
            now = until + random.below(20);
        }
    }
    planned.sort_by_key(|(effect, ..)| effect.unwrap_or(u64::MAX));
    let mut value = None;
    let done = planned.into_iter().map(|(effect, process, op, invoked, at, lost)| {
        let ret = match op {
            _ if effect.is_none() => RegisterRet::Done,
            RegisterOp::Read => RegisterRet::Value(value),
            RegisterOp::Write { value: new } => {
                value = Some(new);
                RegisterRet::Done
            }
            RegisterOp::Cas { expected, new } => {
                let swaps = value == Some(expected);
                if swaps {
                    value = Some(new);
                }
                RegisterRet::Swapped(swaps)
            }
        };
        Operation { process, op, invoked, outcome: if lost { Outcome::Unknown } else { ok(at, ret) } }
    });
    done.collect()
}

#[test]
fn histories_with_loss_are_decided() {
    for (clients, loss, least) in [(5, 40, 20), (10, 40, 20), (20, 0, 20), (20, 20, 20), (20, 40, 20)] {
        let mut decided = 0;
        let mut most = 0;
        for seed in 0..20 {
            match check::<Register>(&lossy(seed, clients, loss), 1_000_000) {
                Verdict::Linearizable { steps } => {
                    decided += 1;
                    most = most.max(steps);
                }
                Verdict::Exhausted { .. } => {}
                Verdict::Violation(violation) => panic!("a true register: {}", violation.explanation),
            }
        }
        println!("{clients} clients, {loss} % lost: {decided} of 20 decided, in at most {most} steps");
        assert!(decided >= least, "{clients} clients, {loss} % lost: {decided} of 20 decided");
    }
}
