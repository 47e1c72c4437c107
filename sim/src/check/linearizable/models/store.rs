//! An ordered key/value store: keys come and go, and a scan sees many of them at one moment.

use serde::{Deserialize, Serialize};

use super::super::{Keys, Model};
use super::growth::Growth;
use super::values::Values;
use super::wrong_type;
use crate::history::Op;

/// An ordered map from strings to strings, initially empty.
///
/// Keys are independent of each other, except for those in the range of one [scan](StoreOp::Scan): these are checked
/// together. So a scan of few keys costs little, and without scans each key is checked alone. A scan that its limit ended is
/// about the keys up to the last one that it returned, and says nothing of later ones.
///
/// Unknown outcomes: a put, append, compare-and-set or delete may have taken effect, or may yet, or never; of a
/// compare-and-set this means that it swaps if it finds then what it expects. A get or scan without a result says nothing.
pub struct Store;

/// An operation on a [`Store`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StoreOp {
    /// Returns the value: [`StoreRet::Value`].
    Get {
        /// Whose value.
        key: String,
    },
    /// Replaces the value, or puts the key there: [`StoreRet::Done`].
    Put {
        /// Whose value.
        key: String,
        /// The new value.
        value: String,
    },
    /// Extends the value at its end, or puts the key there: [`StoreRet::Done`].
    Append {
        /// Whose value.
        key: String,
        /// What is added.
        value: String,
    },
    /// Replaces the value if it is the expected one: [`StoreRet::Swapped`].
    Cas {
        /// Whose value.
        key: String,
        /// The value it must have; `None` if the key must not be there.
        expected: Option<String>,
        /// The value it then gets.
        new: String,
    },
    /// Takes the key away: [`StoreRet::Deleted`].
    Delete {
        /// Which key.
        key: String,
    },
    /// Returns the first keys of a range with their values, in order: [`StoreRet::Pairs`].
    Scan {
        /// The first key of the range.
        from: String,
        /// The first key behind the range.
        to: String,
        /// How many keys it returns at most.
        limit: usize,
    },
}

/// What a [`StoreOp`] returned.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StoreRet {
    /// A get: the value, `None` if the key is not there.
    Value(Option<String>),
    /// A put or an append.
    Done,
    /// A compare-and-set: whether it found the expected value.
    Swapped(bool),
    /// A delete: whether the key was there.
    Deleted(bool),
    /// A scan: keys and values.
    Pairs(Vec<(String, String)>),
}

impl StoreOp {
    /// The one key that it is about; none for a scan.
    pub fn key(&self) -> Option<&str> {
        match self {
            StoreOp::Get { key }
            | StoreOp::Put { key, .. }
            | StoreOp::Append { key, .. }
            | StoreOp::Cas { key, .. }
            | StoreOp::Delete { key } => Some(key),
            StoreOp::Scan { .. } => None,
        }
    }
}

impl Model for Store {
    type Op = StoreOp;
    type Ret = StoreRet;
    type State = Values;
    type Key = String;
    const NAME: &'static str = "store";

    fn keys(op: &StoreOp, ret: Option<&StoreRet>) -> Keys<String> {
        match (op, ret) {
            (StoreOp::Scan { from, limit, .. }, Some(StoreRet::Pairs(pairs))) if is_cut(pairs, *limit) => {
                // The first string behind the last key.
                let to = pairs.last().map_or(from.clone(), |(key, _)| format!("{key}\0"));
                Keys::Range { from: from.clone(), to }
            }
            (StoreOp::Scan { from, to, .. }, _) => Keys::Range { from: from.clone(), to: to.clone() },
            _ => Keys::One(op.key().unwrap_or_default().to_owned()),
        }
    }

    fn init() -> Values {
        Values::default()
    }

    fn step(state: &Values, op: &StoreOp, ret: Option<&StoreRet>) -> Option<Values> {
        match (op, ret) {
            (StoreOp::Get { .. } | StoreOp::Scan { .. }, None) => Some(state.clone()),
            (StoreOp::Get { key }, Some(StoreRet::Value(value))) => {
                (state.get(key) == value.as_deref()).then(|| state.clone())
            }
            (StoreOp::Put { key, value }, None | Some(StoreRet::Done)) => Some(state.with(key, Some(value))),
            (StoreOp::Append { key, value }, None | Some(StoreRet::Done)) => {
                Some(state.with(key, Some(&[state.get(key).unwrap_or_default(), value].concat())))
            }
            (StoreOp::Cas { key, expected, new }, None | Some(StoreRet::Swapped(_))) => {
                let swaps = state.get(key) == expected.as_deref();
                let fits = ret.is_none_or(|ret| *ret == StoreRet::Swapped(swaps));
                fits.then(|| if swaps { state.with(key, Some(new)) } else { state.clone() })
            }
            (StoreOp::Delete { key }, None | Some(StoreRet::Deleted(_))) => {
                let was_there = state.get(key).is_some();
                let fits = ret.is_none_or(|ret| *ret == StoreRet::Deleted(was_there));
                fits.then(|| if was_there { state.with(key, None) } else { state.clone() })
            }
            (StoreOp::Scan { from, to, limit }, Some(StoreRet::Pairs(pairs))) => {
                let seen = pairs.iter().map(|(key, value)| (&**key, &**value));
                state.range(from, to).take(*limit).eq(seen).then(|| state.clone())
            }
            (_, Some(ret)) => wrong_type(op, ret),
        }
    }

    fn describe(op: &StoreOp, ret: Option<&StoreRet>) -> String {
        let call = match op {
            StoreOp::Get { key } => format!("get({key})"),
            StoreOp::Put { key, value } => format!("put({key}, {value:?})"),
            StoreOp::Append { key, value } => format!("append({key}, {value:?})"),
            StoreOp::Cas { key, expected, new } => format!("cas({key}, {}, {new:?})", shown(expected.as_deref())),
            StoreOp::Delete { key } => format!("delete({key})"),
            StoreOp::Scan { from, to, limit: usize::MAX } => format!("scan({from}..{to})"),
            StoreOp::Scan { from, to, limit } => format!("scan({from}..{to}, limit {limit})"),
        };
        match ret {
            None | Some(StoreRet::Done) => call,
            Some(StoreRet::Value(value)) => format!("{call} -> {}", shown(value.as_deref())),
            Some(StoreRet::Swapped(yes) | StoreRet::Deleted(yes)) => format!("{call} -> {yes}"),
            Some(StoreRet::Pairs(pairs)) => {
                let pairs: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}: {value:?}")).collect();
                format!("{call} -> {{{}}}", pairs.join(", "))
            }
        }
    }

    fn needs(op: &StoreOp, ret: &StoreRet) -> Option<String> {
        Some(match (op, ret) {
            (StoreOp::Get { key }, StoreRet::Value(Some(value))) => format!("{key} must be {value:?}"),
            (StoreOp::Get { key }, StoreRet::Value(None)) => format!("{key} must not be there"),
            (StoreOp::Cas { key, expected: Some(value), .. }, StoreRet::Swapped(true)) => {
                format!("{key} must be {value:?}")
            }
            (StoreOp::Cas { key, expected: Some(value), .. }, StoreRet::Swapped(false)) => {
                format!("{key} must not be {value:?}")
            }
            (StoreOp::Cas { key, expected: None, .. }, StoreRet::Swapped(true))
            | (StoreOp::Delete { key }, StoreRet::Deleted(false)) => format!("{key} must not be there"),
            (StoreOp::Cas { key, expected: None, .. }, StoreRet::Swapped(false))
            | (StoreOp::Delete { key }, StoreRet::Deleted(true)) => format!("{key} must be there"),
            (StoreOp::Scan { from, to, limit }, StoreRet::Pairs(pairs)) => {
                let pairs_shown: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}: {value:?}")).collect();
                match (pairs.last(), is_cut(pairs, *limit)) {
                    (Some((last, _)), true) => {
                        format!("from {from} up to {last} there must be {{{}}}", pairs_shown.join(", "))
                    }
                    (None, true) => return None,
                    (_, false) => format!("from {from} to before {to} there must be {{{}}}", pairs_shown.join(", ")),
                }
            }
            _ => return None,
        })
    }

    fn is_read(op: &StoreOp) -> bool {
        matches!(op, StoreOp::Get { .. } | StoreOp::Scan { .. })
    }

    fn concerns(op: &StoreOp, read: &StoreOp) -> bool {
        let Some(key) = op.key() else { return true };
        match read {
            StoreOp::Scan { from, to, .. } => (from.as_str()..to.as_str()).contains(&key),
            _ => read.key() == Some(key),
        }
    }

    fn project(op: &StoreOp, ret: &StoreRet, key: &String) -> Option<(StoreOp, StoreRet)> {
        let (StoreOp::Scan { from, to, limit }, StoreRet::Pairs(pairs)) = (op, ret) else { return None };
        let is_in_range = |(key, _): &(String, String)| (from..to).contains(&key);
        // Otherwise it is wrong whatever the keys hold.
        if pairs.len() > *limit || !pairs.iter().all(is_in_range) || !pairs.is_sorted_by(|a, b| a.0 < b.0) {
            return None;
        }
        let value = pairs.iter().find(|(other, _)| other == key).map(|(_, value)| value.clone());
        Some((StoreOp::Get { key: key.clone() }, StoreRet::Value(value)))
    }

    fn refused_by(state: &Values, op: &StoreOp, ret: &StoreRet) -> Vec<String> {
        let (StoreOp::Scan { from, to, limit }, StoreRet::Pairs(pairs)) = (op, ret) else { return Vec::new() };
        let last = pairs.last().filter(|_| is_cut(pairs, *limit)).map(|(key, _)| key.as_str());
        let is_seen = |key: &str| last.is_none_or(|last| key <= last);
        let seen = |key: &str| pairs.iter().find(|(other, _)| other == key);
        let missing = pairs.iter().filter(|(key, value)| state.get(key) != Some(value)).map(|(key, _)| key.clone());
        let unseen = state.range(from, to).filter(|(key, _)| is_seen(key) && seen(key).is_none());
        missing.chain(unseen.map(|(key, _)| key.to_owned())).collect()
    }

    fn may_return<'a>(
        state: &Values,
        placed: &StoreOp,
        (read, ret): (&StoreOp, &StoreRet),
        others: impl Iterator<Item = &'a StoreOp>,
    ) -> bool {
        // Of what a scan saw, only the key that has just changed is looked at.
        let Some(key) = placed.key() else { return true };
        let seen = match (read, ret) {
            (_, StoreRet::Value(value)) => value.as_deref(),
            (StoreOp::Scan { limit, .. }, StoreRet::Pairs(pairs)) => {
                let is_behind = pairs.last().is_none_or(|(last, _)| last.as_str() < key);
                if is_cut(pairs, *limit) && is_behind {
                    return true;
                }
                pairs.iter().find(|(other, _)| other == key).map(|(_, value)| value.as_str())
            }
            _ => return true,
        };
        may_become(state.get(key), seen, others.filter(|other| other.key() == Some(key)))
    }

    fn matters<'a>(
        before: &Values,
        placed: &StoreOp,
        after: &Values,
        others: impl Iterator<Item = (&'a StoreOp, Option<&'a StoreRet>)> + Clone,
    ) -> bool {
        placed.key().is_none_or(|key| may_matter(key, before.get(key), after.get(key), others))
    }
}

/// Whether a scan returned as many keys as it may, so that there may have been more.
fn is_cut(pairs: &[(String, String)], limit: usize) -> bool {
    pairs.len() >= limit
}

/// Whether some of `others` can lead from one value to another.
///
/// The wanted value begins with the present one, with one that is put or swapped in, or, after a delete, with nothing, and
/// goes on with appends.
fn may_become<'a>(now: Option<&str>, wanted: Option<&str>, mut others: impl Iterator<Item = &'a StoreOp>) -> bool {
    if now == wanted {
        return true;
    }
    let Some(wanted) = wanted else { return others.any(|other| matches!(other, StoreOp::Delete { .. })) };
    let mut growth = Growth::default();
    growth.begin(now.unwrap_or_default(), wanted);
    for other in others {
        match other {
            StoreOp::Delete { .. } => growth.begin("", wanted),
            StoreOp::Put { value, .. } | StoreOp::Cas { new: value, .. } if value == wanted => return true,
            StoreOp::Put { value, .. } | StoreOp::Cas { new: value, .. } => growth.begin(value, wanted),
            StoreOp::Append { value, .. } => growth.append(value, wanted),
            _ => {}
        }
    }
    growth.may_reach(wanted)
}

/// Whether it can matter to any of `others` that the key went from one value to another: whether one of them needs what only
/// follows from the new value, or cannot have what could follow from the old one. What puts, swaps in or deletes a value ends
/// what follows from the one before.
fn may_matter<'a>(
    key: &str,
    before: Option<&str>,
    after: Option<&str>,
    others: impl Iterator<Item = (&'a StoreOp, Option<&'a StoreRet>)> + Clone,
) -> bool {
    let mut of_key = others.filter(|(op, _)| op.key().is_none_or(|other| other == key));
    let all = of_key.clone();
    let may_grow = |from: Option<&str>, wanted: Option<&str>| {
        let Some(wanted) = wanted else { return from.is_none() };
        if from == Some(wanted) {
            return true;
        }
        let mut growth = Growth::default();
        growth.begin(from.unwrap_or_default(), wanted);
        if !growth.has_begun() {
            return false;
        }
        for (op, _) in all.clone() {
            if let StoreOp::Append { value, .. } = op {
                growth.append(value, wanted);
            }
        }
        growth.may_reach(wanted)
    };
    of_key.any(|(op, ret)| match (op, ret) {
        (StoreOp::Get { .. }, Some(StoreRet::Value(value))) => may_grow(after, value.as_deref()),
        (StoreOp::Get { .. } | StoreOp::Put { .. } | StoreOp::Append { .. }, _) => false,
        (StoreOp::Cas { expected, .. }, Some(StoreRet::Swapped(false))) => may_grow(before, expected.as_deref()),
        (StoreOp::Cas { expected, .. }, _) => may_grow(after, expected.as_deref()),
        (StoreOp::Delete { .. }, Some(StoreRet::Deleted(true))) => before.is_none(),
        (StoreOp::Delete { .. }, Some(_)) => after.is_none(),
        (StoreOp::Delete { .. }, None) => false,
        (StoreOp::Scan { from, to, limit }, Some(StoreRet::Pairs(pairs))) => {
            let is_in_range = (from.as_str()..to.as_str()).contains(&key);
            let is_behind = pairs.last().is_none_or(|(last, _)| last.as_str() < key);
            let seen = pairs.iter().find(|(other, _)| other == key).map(|(_, value)| value.as_str());
            is_in_range && (is_cut(pairs, *limit) && is_behind || may_grow(after, seen))
        }
        (StoreOp::Scan { .. }, _) => false,
    })
}

fn shown(value: Option<&str>) -> String {
    value.map_or("nothing".to_owned(), |value| format!("{value:?}"))
}

impl Op for StoreOp {
    type Ret = StoreRet;
    const KINDS: &'static [&'static str] = &["get", "put", "append", "cas", "delete", "scan"];

    fn kind(&self) -> &'static str {
        match self {
            StoreOp::Get { .. } => "get",
            StoreOp::Put { .. } => "put",
            StoreOp::Append { .. } => "append",
            StoreOp::Cas { .. } => "cas",
            StoreOp::Delete { .. } => "delete",
            StoreOp::Scan { .. } => "scan",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::partition::partition;
    use super::super::super::{Operation, Outcome, Verdict, check};
    use super::*;

    fn text(text: &str) -> String {
        text.to_owned()
    }

    fn put(key: &str, value: &str) -> StoreOp {
        StoreOp::Put { key: text(key), value: text(value) }
    }

    fn get(key: &str) -> StoreOp {
        StoreOp::Get { key: text(key) }
    }

    fn cas(key: &str, expected: Option<&str>, new: &str) -> StoreOp {
        StoreOp::Cas { key: text(key), expected: expected.map(text), new: text(new) }
    }

    fn scan(from: &str, to: &str, limit: usize) -> StoreOp {
        StoreOp::Scan { from: text(from), to: text(to), limit }
    }

    fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> StoreRet {
        StoreRet::Pairs(pairs.map(|(key, value)| (text(key), text(value))).to_vec())
    }

    fn value(value: &str) -> StoreRet {
        StoreRet::Value(Some(text(value)))
    }

    fn ok(op: StoreOp, invoked: u64, at: u64, ret: StoreRet) -> Operation<StoreOp, StoreRet> {
        Operation { process: 0, op, invoked, outcome: Outcome::Ok { at, ret } }
    }

    fn unknown(op: StoreOp, invoked: u64) -> Operation<StoreOp, StoreRet> {
        Operation { process: 1, op, invoked, outcome: Outcome::Unknown }
    }

    /// The part of which the history is illegal, if it is.
    fn illegal(history: &[Operation<StoreOp, StoreRet>]) -> Option<String> {
        match check::<Store>(history, 10_000) {
            Verdict::Linearizable { .. } => None,
            Verdict::Violation(violation) => Some(violation.part),
            Verdict::Exhausted { .. } => panic!("exhausted"),
        }
    }

    #[test]
    fn each_operation_in_turn() {
        use StoreRet::{Deleted, Done, Swapped, Value};
        let delete = || StoreOp::Delete { key: text("a") };
        let append = || StoreOp::Append { key: text("a"), value: text("!") };
        let turns = [
            (get("a"), Value(None)),
            (delete(), Deleted(false)),
            (cas("a", Some("1"), "2"), Swapped(false)),
            (cas("a", None, "1"), Swapped(true)),
            (cas("a", None, "3"), Swapped(false)),
            (append(), Done),
            (get("a"), value("1!")),
            (put("b", "2"), Done),
            (scan("a", "c", 9), pairs([("a", "1!"), ("b", "2")])),
            (scan("a", "c", 1), pairs([("a", "1!")])),
            (scan("a", "b", 9), pairs([("a", "1!")])),
            (delete(), Deleted(true)),
            (append(), Done),
            (get("a"), value("!")),
        ];
        let history: Vec<_> = (0u64..).zip(turns).map(|(i, (op, ret))| ok(op, 10 * i, 10 * i + 5, ret)).collect();
        assert_eq!(illegal(&history), None);
        // No result but its own is right.
        let others = |ret: &StoreRet| match ret {
            Value(_) => vec![value("2"), Value(None)],
            Done => vec![],
            Swapped(yes) => vec![Swapped(!yes)],
            Deleted(yes) => vec![Deleted(!yes)],
            StoreRet::Pairs(_) => vec![pairs([]), pairs([("a", "1!"), ("c", "2")]), pairs([("b", "2")])],
        };
        for i in 0..history.len() {
            let Outcome::Ok { at, ret } = &history[i].outcome else { unreachable!() };
            for other in others(ret).into_iter().filter(|other| other != ret) {
                let mut history = history.clone();
                history[i].outcome = Outcome::Ok { at: *at, ret: other.clone() };
                assert!(illegal(&history).is_some(), "{other:?}: {history:#?}");
            }
        }
    }

    #[test]
    fn a_scan_sees_all_its_keys_at_one_moment() {
        let history = |first, second| {
            [
                ok(put("a", "1"), 0, 100, StoreRet::Done),
                ok(put("b", "1"), 0, 100, StoreRet::Done),
                ok(scan("a", "c", 9), 10, 40, first),
                ok(scan("a", "c", 9), 20, 50, second),
            ]
        };
        assert_eq!(illegal(&history(pairs([("a", "1")]), pairs([("a", "1"), ("b", "1")]))), None);
        // Of two that see one put each, neither can be first, although each key alone has an order.
        let torn = history(pairs([("a", "1")]), pairs([("b", "1")]));
        assert_eq!(illegal(&torn).as_deref(), Some("keys a, b"));
        // If only one key is wrong it is to blame alone.
        let stale = [&torn[..2], &[ok(scan("a", "c", 9), 110, 120, pairs([("b", "1")]))]].concat();
        assert_eq!(illegal(&stale).as_deref(), Some("key a"));
    }

    #[test]
    fn only_scans_connect_keys_and_only_as_far_as_they_saw() {
        let parts = |scan: StoreOp, ret| {
            let keys = ["a", "b", "c"].map(|key| ok(put(key, "1"), 0, 10, StoreRet::Done));
            let parts = partition::<Store>(&[&keys[..], &[ok(scan, 20, 30, ret)]].concat());
            parts.iter().map(|part| (part.keys.join(" "), part.members.len())).collect::<Vec<_>>()
        };
        let is = |parts: Vec<(String, usize)>, expected: &[(&str, usize)]| {
            assert_eq!(parts.iter().map(|(keys, members)| (&**keys, *members)).collect::<Vec<_>>(), expected);
        };
        is(parts(scan("a", "c", 9), pairs([("a", "1"), ("b", "1")])), &[("c", 1), ("a b", 3)]);
        is(parts(scan("a", "z", 1), pairs([("a", "1")])), &[("b", 1), ("c", 1), ("a", 2)]);
        is(parts(scan("b", "z", 9), pairs([("b", "1"), ("c", "1")])), &[("a", 1), ("b c", 3)]);
        is(parts(scan("a", "a", 9), pairs([])), &[("b", 1), ("c", 1), ("a", 2)]);
    }

    #[test]
    fn a_scan_of_what_nobody_wrote_is_checked() {
        let scan = |ret| illegal(&[ok(put("a", "1"), 0, 10, StoreRet::Done), ok(scan("m", "z", 9), 20, 30, ret)]);
        assert_eq!(scan(pairs([])), None);
        assert_eq!(scan(pairs([("n", "1")])).as_deref(), Some("key m"));
    }

    #[test]
    fn unknown_outcomes_may_count_and_need_not() {
        let swapped = [
            ok(put("a", "1"), 0, 10, StoreRet::Done),
            unknown(cas("a", Some("1"), "2"), 20),
            ok(get("a"), 30, 40, value("1")),
            ok(get("a"), 50, 60, value("2")),
        ];
        assert_eq!(illegal(&swapped), None);
        assert!(illegal(&[&swapped[..], &[ok(get("a"), 70, 80, value("1"))]].concat()).is_some());
        let deleted = [
            ok(put("a", "1"), 0, 10, StoreRet::Done),
            unknown(StoreOp::Delete { key: text("a") }, 20),
            ok(get("a"), 30, 40, StoreRet::Value(None)),
        ];
        assert_eq!(illegal(&deleted), None);
        assert!(illegal(&[deleted[0].clone(), deleted[2].clone()]).is_some());
    }
}
