//! The split of a history into parts that can be checked alone.
//!
//! Operations on different keys are independent: a history is linearizable exactly when each key's part is. An operation
//! on a range of keys connects all keys in it, and what it connects is one part: a linearization of each part can be put
//! together to one of the whole, since no operation belongs to two. Ranges are intervals of the keys in their order, so the
//! parts are too.

use std::collections::BTreeMap;

use super::{Keys, Model, Operation, Outcome};

/// Operations that must be checked together.
pub(super) struct Part<K> {
    /// The keys that they are about, in order.
    pub keys: Vec<K>,
    /// Their indexes into the history.
    pub members: Vec<usize>,
}

/// The operations that may have taken effect, by part; the smallest part first, and of such the one with the first key.
pub(super) fn partition<M: Model>(history: &[Operation<M::Op, M::Ret>]) -> Vec<Part<M::Key>> {
    let mut by_key: BTreeMap<M::Key, Vec<usize>> = BTreeMap::new();
    let (mut ranges, mut of_all) = (Vec::new(), Vec::new());
    for (index, operation) in history.iter().enumerate() {
        let Operation { op, invoked, outcome, .. } = operation;
        if let Outcome::Ok { at, .. } | Outcome::Failed { at } = outcome {
            assert!(
                invoked <= at,
                "operation {index} ({}) completed at {at} ns, before its invocation at {invoked} ns: \
                 the history was recorded wrongly",
                M::describe(op, None),
            );
        }
        let ret = match outcome {
            Outcome::Ok { ret, .. } => Some(ret),
            Outcome::Failed { .. } => continue,
            // It changes nothing, and nobody knows what it saw.
            Outcome::Unknown if M::is_read(op) => continue,
            Outcome::Unknown => None,
        };
        match M::keys(op, ret) {
            Keys::One(key) => by_key.entry(key).or_default().push(index),
            Keys::Range { from, to } => {
                // It needs a part even where nothing else is about any of its keys.
                by_key.entry(from.clone()).or_default().push(index);
                ranges.push((from, to));
            }
            Keys::All => of_all.push(index),
        }
    }

    let by_key: Vec<(M::Key, Vec<usize>)> = by_key.into_iter().collect();
    // Whether a key and the one before are in one part.
    let mut is_joined = vec![!of_all.is_empty(); by_key.len()];
    for (from, to) in &ranges {
        let place = |bound: &M::Key| by_key.partition_point(|(key, _)| key < bound);
        let (first, end) = (place(from), place(to));
        if first < end {
            is_joined[first + 1..end].fill(true);
        }
    }
    let mut parts: Vec<Part<M::Key>> = Vec::new();
    for ((key, members), is_joined) in by_key.into_iter().zip(is_joined) {
        match parts.last_mut().filter(|_| is_joined) {
            Some(part) => {
                part.keys.push(key);
                part.members.extend(members);
            }
            None => parts.push(Part { keys: vec![key], members }),
        }
    }
    match parts.first_mut() {
        Some(part) => part.members.extend(of_all),
        None if of_all.is_empty() => {}
        None => parts.push(Part { keys: Vec::new(), members: of_all }),
    }
    parts.sort_by_key(|part| part.members.len());
    parts
}
