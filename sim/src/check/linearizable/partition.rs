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
    /// The operations.
    pub members: Vec<Member>,
}

/// An operation of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Its index into the history.
    pub index: usize,
    /// The keys that it is about.
    pub keys: KeySet,
}

/// A set of the keys of a part, a bit each. Keys share bits where there are more than 64 of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct KeySet(u64);

impl KeySet {
    /// All keys.
    pub const ALL: KeySet = KeySet(u64::MAX);

    /// The keys with these places in the part.
    pub fn of(places: impl IntoIterator<Item = usize>) -> KeySet {
        KeySet(places.into_iter().fold(0, |bits, place| bits | 1 << (place % 64)))
    }

    /// The keys of both.
    pub fn with(self, other: KeySet) -> KeySet {
        KeySet(self.0 | other.0)
    }

    /// Those that are in both.
    pub fn and(self, other: KeySet) -> KeySet {
        KeySet(self.0 & other.0)
    }

    /// Whether the two have a key in common.
    pub fn meets(self, other: KeySet) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether it has more than one key.
    pub fn is_wide(self) -> bool {
        self.0 & self.0.wrapping_sub(1) != 0
    }

    /// Its first key, alone.
    pub fn first(self) -> KeySet {
        KeySet(self.0 & self.0.wrapping_neg())
    }

    /// Whether the key at this place is one of them.
    pub fn has(self, place: usize) -> bool {
        self.0 >> (place % 64) & 1 == 1
    }
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
            // A read with an unknown result changes nothing and rules out nothing.
            Outcome::Unknown if M::is_read(op) => continue,
            Outcome::Unknown => None,
        };
        match M::keys(op, ret) {
            Keys::One(key) => by_key.entry(key).or_default().push(index),
            Keys::Range { from, to } => {
                // It needs a part even where nothing else is about any of its keys.
                by_key.entry(from.clone()).or_default();
                ranges.push((from, to, index));
            }
            Keys::All => of_all.push(index),
        }
    }

    let by_key: Vec<(M::Key, Vec<usize>)> = by_key.into_iter().collect();
    let place = |bound: &M::Key| by_key.partition_point(|(key, _)| key < bound);
    let ranges: Vec<_> =
        ranges.iter().map(|(from, to, index)| (place(from)..place(to).max(place(from) + 1), *index)).collect();
    // Whether a key and the one before are in one part.
    let mut is_joined = vec![!M::APART || !of_all.is_empty(); by_key.len()];
    for (range, _) in &ranges {
        is_joined[range.start + 1..range.end].fill(true);
    }
    let mut parts: Vec<Part<M::Key>> = Vec::new();
    // For each key its part, and its place in that.
    let mut places = Vec::with_capacity(by_key.len());
    for ((key, indexes), is_joined) in by_key.into_iter().zip(is_joined) {
        if !is_joined || parts.is_empty() {
            parts.push(Part { keys: Vec::new(), members: Vec::new() });
        }
        let number = parts.len() - 1;
        let part = &mut parts[number];
        let keys = KeySet::of([part.keys.len()]);
        places.push((number, part.keys.len()));
        part.keys.push(key);
        part.members.extend(indexes.into_iter().map(|index| Member { index, keys }));
    }
    for (range, index) in ranges {
        let keys = KeySet::of(places[range.clone()].iter().map(|(_, place)| *place));
        parts[places[range.start].0].members.push(Member { index, keys });
    }
    if !of_all.is_empty() {
        if parts.is_empty() {
            parts.push(Part { keys: Vec::new(), members: Vec::new() });
        }
        parts[0].members.extend(of_all.into_iter().map(|index| Member { index, keys: KeySet::ALL }));
    }
    parts.sort_by_key(|part| part.members.len());
    parts
}
