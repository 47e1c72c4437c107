//! For each model a history that it must accept and one that it must reject, and what is said of that.

use std::fmt::Write;

use super::super::{Model, Operation, Outcome, Verdict, check};
use super::*;

/// An operation with its result: invoked, completed (0 if that is unknown).
type Line<M> = (<M as Model>::Op, <M as Model>::Ret, u64, u64);

fn verdict<M: Model>(lines: &[Line<M>]) -> Verdict {
    let operation = |(process, (op, ret, invoked, at)): (u32, &Line<M>)| Operation {
        process,
        op: op.clone(),
        invoked: *invoked,
        outcome: if *at == 0 { Outcome::Unknown } else { Outcome::Ok { at: *at, ret: ret.clone() } },
    };
    check::<M>(&(1..).zip(lines).map(operation).collect::<Vec<_>>(), 10_000)
}

/// The first history must be accepted, the second rejected: what is said of that.
fn judged<M: Model>(right: &[Line<M>], wrong: &[Line<M>]) -> String {
    assert!(matches!(verdict::<M>(right), Verdict::Linearizable { .. }), "{:#?}", verdict::<M>(right));
    let Verdict::Violation(violation) = verdict::<M>(wrong) else { panic!("{}: accepted", M::NAME) };
    violation.explanation
}

#[test]
fn each_model_accepts_what_is_right_and_says_what_is_wrong() {
    let text = |text: &str| text.to_owned();
    let mut said = String::new();
    let mut say = |explanation: String| writeln!(said, "{explanation}\n").expect("a string");

    let write = |value| RegisterOp::Write { value };
    let swap = RegisterOp::Cas { expected: 1, new: 2 };
    let read = |value, from, to| (RegisterOp::Read, RegisterRet::Value(value), from, to);
    say(judged::<Register>(
        &[(write(1), RegisterRet::Done, 10, 20), (swap.clone(), RegisterRet::Done, 15, 0), read(Some(2), 30, 40)],
        &[
            (write(1), RegisterRet::Done, 10, 20),
            (swap.clone(), RegisterRet::Swapped(true), 30, 40),
            read(Some(1), 50, 60),
        ],
    ));
    say(judged::<Register>(
        &[(swap.clone(), RegisterRet::Swapped(false), 10, 20), read(None, 30, 40)],
        &[(swap, RegisterRet::Swapped(true), 10, 20)],
    ));

    let put = |key: &str, value: &str, from, to| {
        (StoreOp::Put { key: text(key), value: text(value) }, StoreRet::Done, from, to)
    };
    let get = |key: &str, value: Option<&str>, from, to| {
        (StoreOp::Get { key: text(key) }, StoreRet::Value(value.map(text)), from, to)
    };
    let scan = |pairs: &[(&str, &str)], from, to| {
        let pairs = pairs.iter().map(|(key, value)| (text(key), text(value))).collect();
        (StoreOp::Scan { from: text("a"), to: text("z"), limit: 10 }, StoreRet::Pairs(pairs), from, to)
    };
    say(judged::<Store>(
        &[put("k", "1", 10, 40), get("k", None, 20, 30), get("k", Some("1"), 25, 50)],
        &[put("k", "1", 10, 20), put("other", "1", 10, 20), get("k", None, 30, 40)],
    ));
    let delete = StoreOp::Delete { key: text("k") };
    let swap = StoreOp::Cas { key: text("k"), expected: None, new: text("2") };
    say(judged::<Store>(
        &[put("k", "1", 10, 20), (delete.clone(), StoreRet::Deleted(true), 30, 40), get("k", None, 50, 60)],
        &[put("k", "1", 10, 20), (delete, StoreRet::Deleted(false), 30, 50), (swap, StoreRet::Swapped(true), 30, 50)],
    ));
    say(judged::<Store>(
        &[put("a", "1", 10, 50), put("b", "1", 10, 50), scan(&[("a", "1")], 20, 60)],
        &[put("a", "1", 10, 50), put("b", "1", 10, 50), scan(&[("a", "1")], 20, 60), scan(&[("b", "1")], 20, 70)],
    ));
    say(judged::<Store>(
        &[put("a", "1", 10, 20), put("b", "1", 10, 20), scan(&[("a", "1"), ("b", "1")], 30, 40)],
        &[put("a", "1", 10, 20), put("b", "1", 10, 20), scan(&[("b", "1")], 30, 40)],
    ));

    let append = |value, from, to| (ListOp::Append { value }, ListRet::Done, from, to);
    let read = |values: &[i64], from, to| (ListOp::Read, ListRet::Values(values.to_vec()), from, to);
    say(judged::<List>(
        &[append(1, 10, 20), append(2, 10, 20), read(&[2, 1], 30, 40), (ListOp::Pop, ListRet::Popped(Some(1)), 50, 60)],
        &[append(1, 10, 20), append(2, 10, 20), read(&[2, 1], 30, 40), read(&[1, 2], 50, 60)],
    ));

    let add = |value, was, from, to| (SetOp::Add { value }, SetRet::Was(was), from, to);
    let read = |values: &[i64], from, to| (SetOp::Read, SetRet::Values(values.iter().copied().collect()), from, to);
    say(judged::<Set>(
        &[add(1, false, 10, 30), add(1, true, 20, 40), add(2, false, 10, 0), read(&[1], 50, 60), read(&[1, 2], 70, 80)],
        &[add(1, false, 10, 30), add(1, false, 20, 40), read(&[1], 50, 60)],
    ));

    let enqueue = |value, from, to| (QueueOp::Enqueue { value }, QueueRet::Done, from, to);
    let dequeue = |value, from, to| (QueueOp::Dequeue, QueueRet::Value(value), from, to);
    say(judged::<Queue>(
        &[
            enqueue(1, 10, 30),
            enqueue(2, 20, 40),
            dequeue(Some(2), 50, 60),
            dequeue(Some(1), 70, 80),
            dequeue(None, 90, 95),
        ],
        &[enqueue(1, 10, 20), enqueue(2, 30, 40), dequeue(Some(2), 50, 60), dequeue(None, 70, 80)],
    ));

    let read = |value, from, to| (CounterOp::Read, CounterRet::Value(value), from, to);
    let add = |by, from, to| (CounterOp::Add { by }, CounterRet::Done, from, to);
    let fetch_add = |by, value, from, to| (CounterOp::FetchAdd { by }, CounterRet::Value(value), from, to);
    say(judged::<Counter>(
        &[add(2, 10, 20), add(3, 15, 0), read(2, 30, 40), fetch_add(1, 5, 50, 60), read(6, 70, 80)],
        &[add(2, 10, 20), fetch_add(1, 2, 30, 40), fetch_add(1, 2, 30, 50), read(4, 60, 70)],
    ));

    let acquire = |owner, from, to| (LockOp::Acquire { owner }, LockRet::Done, from, to);
    let attempt = |owner, was, from, to| (LockOp::TryAcquire { owner }, LockRet::Was(was), from, to);
    let release = |owner, was, from, to| (LockOp::Release { owner }, LockRet::Was(was), from, to);
    say(judged::<Lock>(
        &[
            acquire(1, 10, 20),
            acquire(2, 15, 50),
            attempt(3, false, 25, 30),
            release(1, true, 35, 45),
            release(2, true, 60, 70),
        ],
        &[acquire(1, 10, 20), acquire(2, 15, 50)],
    ));
    let at = |key: &str, (op, ret, from, to)| (At { key: text(key), op }, ret, from, to);
    say(judged::<Keyed<Lock>>(
        &[at("x", acquire(1, 10, 20)), at("y", acquire(1, 30, 40))],
        &[at("x", acquire(1, 10, 20)), at("y", attempt(2, true, 10, 20)), at("y", attempt(3, true, 30, 40))],
    ));
    insta::assert_snapshot!("said", said);
}
