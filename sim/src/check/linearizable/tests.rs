//! Hand-written histories, each of which the checker must accept or reject, and what it must say.

use super::models::{Kv, KvMap, KvOp, KvRet, Register, RegisterOp, RegisterRet, Store, StoreOp, StoreRet};
use super::*;

const BUDGET: u64 = 10_000;

type KvOperation = Operation<KvOp, KvRet>;

fn get(process: u32, key: &str, invoked: u64, at: u64, value: &str) -> KvOperation {
    let ret = KvRet::Value(value.into());
    Operation { process, op: KvOp::Get { key: key.into() }, invoked, outcome: Outcome::Ok { at, ret } }
}

fn put(process: u32, key: &str, value: &str, invoked: u64, outcome: Outcome<KvRet>) -> KvOperation {
    let (key, value) = (key.into(), value.into());
    Operation { process, op: KvOp::Put { key, value }, invoked, outcome }
}

fn append(key: &str, value: &str, invoked: u64, outcome: Outcome<KvRet>) -> KvOperation {
    let (key, value) = (key.into(), value.into());
    Operation { process: 1, op: KvOp::Append { key, value }, invoked, outcome }
}

fn done(at: u64) -> Outcome<KvRet> {
    let ret = KvRet::Done;
    Outcome::Ok { at, ret }
}

fn accept(history: &[KvOperation]) {
    let verdict = check::<Kv>(history, BUDGET);
    assert!(matches!(verdict, Verdict::Linearizable { .. }), "{verdict:#?}");
}

/// The violation that `history` must have at `at`.
fn reject(history: &[KvOperation], at: u64) -> Violation {
    let Verdict::Violation(violation) = check::<Kv>(history, BUDGET) else {
        panic!("accepted: {history:#?}");
    };
    assert_eq!((violation.at, violation.at_is_exact), (at, true));
    violation
}

#[test]
fn nothing_and_sequential_histories_are_accepted() {
    assert_eq!(check::<Kv>(&[], 0), Verdict::Linearizable { steps: 0 });
    let history =
        [get(0, "x", 0, 1, ""), put(0, "x", "a", 2, done(3)), append("x", "b", 4, done(5)), get(0, "x", 6, 7, "ab")];
    assert_eq!(check::<Kv>(&history, BUDGET), Verdict::Linearizable { steps: 4 });
}

#[test]
fn a_stale_read_is_rejected() {
    let history = [
        put(0, "x", "a", 0, done(10)),
        put(0, "x", "b", 20, done(30)),
        get(1, "x", 40, 50, "a"),
        get(1, "x", 60, 70, "b"),
    ];
    let violation = reject(&history, 50);
    assert_eq!(violation.prefix, [0, 1]);
    assert_eq!(violation.state, r#""b""#);
    let reason = Reason::Refused;
    assert_eq!(violation.unplaced, [Unplaced { index: 2, reason }]);
}

#[test]
fn concurrent_operations_may_take_effect_in_either_order() {
    let writes = [put(0, "x", "a", 0, done(30)), put(1, "x", "b", 10, done(20))];
    for value in ["a", "b"] {
        let [a, b] = writes.clone();
        accept(&[a, b, get(2, "x", 40, 50, value)]);
    }
    // But two readers must agree on it.
    let [a, b] = writes;
    let (one, other) = (get(2, "x", 40, 50, "a"), get(3, "x", 60, 70, "b"));
    reject(&[a, b, one, other], 70);
}

#[test]
fn a_read_during_a_write_may_see_it_or_not_but_not_go_back() {
    let write = put(0, "x", "a", 0, done(100));
    let (old, new) = (get(1, "x", 10, 20, ""), get(1, "x", 30, 40, "a"));
    accept(&[write.clone(), old, new]);
    let (new, old) = (get(1, "x", 10, 20, "a"), get(1, "x", 30, 40, ""));
    reject(&[write, new, old], 40);
}

#[test]
fn a_lost_update_is_rejected() {
    let swap = |process, at| Operation {
        process,
        op: RegisterOp::Cas { expected: 1, new: 2 },
        invoked: 10,
        outcome: Outcome::Ok { at, ret: RegisterRet::Swapped(true) },
    };
    let write = Operation {
        process: 0,
        op: RegisterOp::Write { value: 1 },
        invoked: 0,
        outcome: Outcome::Ok { at: 5, ret: RegisterRet::Done },
    };
    let verdict = check::<Register>(&[write.clone(), swap(1, 20), swap(2, 30)], BUDGET);
    assert!(matches!(&verdict, Verdict::Violation(v) if v.at == 30), "{verdict:#?}");
    let verdict = check::<Register>(&[write, swap(1, 20)], BUDGET);
    assert!(matches!(verdict, Verdict::Linearizable { .. }));
}

#[test]
fn a_lost_append_is_rejected() {
    let both = [append("x", "a", 0, done(10)), append("x", "b", 5, done(12))];
    let [a, b] = both.clone();
    accept(&[a, b, get(0, "x", 20, 30, "ba")]);
    let [a, b] = both;
    reject(&[a, b, get(0, "x", 20, 30, "b")], 30);
}

#[test]
fn a_duplicate_append_is_rejected() {
    let history = |outcome| [append("x", "a", 0, outcome), get(0, "x", 20, 30, "a"), get(0, "x", 40, 50, "aa")];
    reject(&history(done(10)), 50);
    // An unknown outcome means at most once, not at least once.
    reject(&history(Outcome::Unknown), 50);
}

#[test]
fn an_unknown_operation_may_take_effect_late() {
    let lost = put(0, "x", "a", 0, Outcome::Unknown);
    accept(&[lost.clone(), put(1, "x", "b", 10, done(20)), get(1, "x", 30, 40, "b"), get(1, "x", 50, 60, "a")]);
    // But once only, and not before it was invoked.
    reject(&[lost, get(1, "x", 10, 20, "a"), put(1, "x", "b", 30, done(40)), get(1, "x", 50, 60, "a")], 60);
    let later = put(0, "x", "a", 50, Outcome::Unknown);
    reject(&[get(1, "x", 10, 20, "a"), later], 20);
}

#[test]
fn an_unknown_operation_may_never_take_effect() {
    accept(&[put(0, "x", "a", 0, Outcome::Unknown), get(1, "x", 1_000, 1_001, ""), get(1, "x", 2_000, 2_001, "")]);
    accept(&[put(0, "x", "a", 0, Outcome::Unknown)]);
}

#[test]
fn a_failed_operation_has_no_effect() {
    let failed = put(0, "x", "a", 0, Outcome::Failed { at: 100 });
    accept(&[failed.clone(), get(1, "x", 10, 20, "")]);
    let violation = reject(&[failed, get(1, "x", 10, 20, "a")], 20);
    assert_eq!(violation.prefix, [] as [usize; 0]);
}

#[test]
fn equal_times_are_concurrent() {
    let write = put(0, "x", "a", 0, done(10));
    for read_at in [9, 10] {
        accept(&[write.clone(), get(1, "x", read_at, 20, "")]);
        accept(&[get(1, "x", read_at, 20, ""), write.clone()]);
    }
    reject(&[write, get(1, "x", 11, 20, "")], 20);
    // Operations that take no time at all, at the same instant, come in any order.
    accept(&[get(1, "x", 5, 5, "a"), put(0, "x", "a", 5, done(5))]);
    // So do open ones.
    accept(&[get(1, "x", 5, 5, "a"), put(0, "x", "a", 5, Outcome::Unknown)]);
}

#[test]
fn at_is_when_the_history_became_illegal() {
    // The reads conflict by 40. That the writes also completed, and when, is not to blame.
    let history = [
        put(0, "x", "a", 0, done(100)),
        put(1, "x", "b", 0, done(90)),
        get(2, "x", 10, 20, "a"),
        get(2, "x", 21, 30, "b"),
        get(2, "x", 31, 40, "a"),
        get(2, "x", 110, 120, "nonsense"),
    ];
    reject(&history, 40);
}

#[test]
fn of_several_violating_keys_the_earliest_is_reported() {
    let history = [get(0, "a", 10, 50, "?"), get(0, "b", 10, 30, "?"), get(0, "c", 10, 40, "?")];
    assert_eq!(reject(&history, 30).part, "key b");
}

#[test]
fn the_budget_ends_the_search() {
    let history: Vec<_> = (0..9)
        .map(|i| append("hard", &i.to_string(), 0, done(100)))
        .chain([get(0, "hard", 200, 300, "876543210?")])
        .collect();
    let exhausted = Verdict::Exhausted { part: "key hard".into(), steps: 20 };
    assert_eq!(check::<Kv>(&history, 20), exhausted);
    assert!(matches!(check::<Kv>(&history, 10_000_000), Verdict::Violation(_)));
    assert!(matches!(check::<Kv>(&history[..1], 0), Verdict::Exhausted { steps: 0, .. }));

    // A violation elsewhere outweighs it.
    let with = |at| match check::<Kv>(&[&history[..], &[get(0, "z", 0, at, "?")]].concat(), 20) {
        Verdict::Violation(violation) => violation,
        other => panic!("the violation of z was missed: {other:?}"),
    };
    let violation = with(400);
    assert_eq!((violation.part.as_str(), violation.at), ("key z", 400));
    assert!(violation.steps > 20);

    // The smallest part comes first, and of the others only what came before its violation is looked at.
    let violation = with(7);
    assert_eq!((violation.part.as_str(), violation.at, violation.steps), ("key z", 7, 1));
}

/// How many steps it takes to reject the history.
fn steps_to_reject<M: Model<Op = KvOp, Ret = KvRet>>(history: &[KvOperation]) -> u64 {
    match check::<M>(history, 10_000_000) {
        Verdict::Violation(violation) => violation.steps,
        other => panic!("{other:?}"),
    }
}

/// An impossible read after all of that.
fn and_nonsense(before: impl IntoIterator<Item = KvOperation>) -> Vec<KvOperation> {
    before.into_iter().chain([get(0, "x", 200, 300, "nonsense")]).collect()
}

#[test]
fn reads_that_fit_are_placed_for_good() {
    // Otherwise each set of them would be tried: 2^20.
    let history = and_nonsense((0..20).map(|process| get(process, "x", 0, 100, "")));
    assert!(steps_to_reject::<Kv>(&history) < 200);
}

#[test]
fn open_operations_are_tried_last_and_not_where_they_change_nothing() {
    let open = |value: &str| (0..20).map(|process| put(process, "x", value, 0, Outcome::Unknown)).collect::<Vec<_>>();
    let done = [append("x", "a", 10, done(20)), get(1, "x", 30, 40, "a")];
    assert_eq!(check::<Kv>(&[&open("b")[..], &done].concat(), BUDGET), Verdict::Linearizable { steps: 2 });
    // Each set of them would be tried.
    assert!(steps_to_reject::<Kv>(&and_nonsense(open(""))) < 200);
}

#[test]
fn what_is_wrong_with_one_key_takes_nothing_back_of_others() {
    // Otherwise each order of the puts of each key would be tried: 2^12 of them.
    let twice = |key: &str| [put(1, key, "a", 0, done(100)), put(2, key, "b", 0, done(100))];
    let history = and_nonsense((0..12).flat_map(|key| twice(&format!("k{key}"))));
    assert!(steps_to_reject::<KvMap>(&history) < 1_000);
}

#[test]
fn keys_that_scans_connect_cost_little_more_than_apart() {
    let text = |text: &str| text.to_owned();
    let ok = |process, op, at, ret| Operation { process, op, invoked: at, outcome: Outcome::Ok { at: at + 95, ret } };
    let mut history = Vec::new();
    for round in 0..40u64 {
        let at = 100 * round;
        for process in 0..8u32 {
            let (key, value) = (format!("k{}", process / 2), format!("{round}.{process}"));
            history.push(ok(process, StoreOp::Put { key, value }, at, StoreRet::Done));
        }
        let pairs = (0..4).map(|key| (format!("k{key}"), format!("{}.{}", round, 2 * key))).collect();
        let scan = StoreOp::Scan { from: text("k"), to: text("l"), limit: 10 };
        let outcome = Outcome::Ok { at: at + 99, ret: StoreRet::Pairs(pairs) };
        history.push(Operation { process: 8, op: scan, invoked: at + 96, outcome });
    }
    let steps = |history: &[Operation<StoreOp, StoreRet>]| match check::<Store>(history, 1_000_000) {
        Verdict::Linearizable { steps } => steps,
        Verdict::Violation(violation) => violation.steps,
        Verdict::Exhausted { steps, .. } => panic!("exhausted after {steps}"),
    };
    assert!(steps(&history) < 10 * history.len() as u64, "{}", steps(&history));
    let Outcome::Ok { ret: StoreRet::Pairs(pairs), .. } = &mut history.last_mut().unwrap().outcome else { panic!() };
    pairs[2].1 = text("stale");
    assert!(steps(&history) < 10 * history.len() as u64, "{}", steps(&history));
}

#[test]
fn a_search_far_longer_than_any_call_stack_ends() {
    let history: Vec<_> = (0..20_000).map(|i| put(0, "x", "a", 2 * i, done(2 * i + 1))).collect();
    let steps = 20_000;
    assert_eq!(check::<Kv>(&history, BUDGET * 2), Verdict::Linearizable { steps });
}

#[test]
fn the_explanation_is_readable() {
    let mut history: Vec<_> = (0..8).map(|i| append("x", &i.to_string(), 1_000 * i, done(1_000 * i + 500))).collect();
    history.push(put(4, "x", "lost", 8_100, Outcome::Unknown));
    history.push(get(2, "x", 8_200, 9_000, "lost"));
    history.push(get(3, "x", 9_500, 10_000, "01234567"));
    history.push(get(3, "x", 8_500, 10_000, "01234567?"));
    let violation = reject(&history, 10_000);
    assert_eq!(
        violation.explanation,
        r#"kv: the operations on key x are not linearizable from 10µs
longest linearizable prefix: 9 of the 11 operations completed by then
  ... 4 before
  p1 append(x, "4")  [4µs .. 4.5µs]
  p1 append(x, "5")  [5µs .. 5.5µs]
  p1 append(x, "6")  [6µs .. 6.5µs]
  p1 append(x, "7")  [7µs .. 7.5µs]
  p4 put(x, "lost")  [8.1µs .. open, assumed to have taken effect]
  p2 get(x) -> "lost"  [8.2µs .. 9µs]
it leaves the state "lost"
and no place for
  p3 get(x) -> "01234567?"  [8.5µs .. 10µs]: not possible in this state; x must be "01234567?"
  p3 get(x) -> "01234567"  [9.5µs .. 10µs]: not possible in this state; x must be "01234567""#
    );
}

#[test]
#[should_panic(expected = "before its invocation")]
fn time_running_backwards_panics() {
    check::<Kv>(&[get(0, "x", 10, 9, "")], BUDGET);
}
