//! What a part says of each of its keys alone.
//!
//! Where a read of several keys connects them, the part is linearizable only if each key is, with of such a read what it saw
//! of that key. That costs no more than the keys without the read would, and most of what can be wrong with a part shows
//! there, with one key to blame. What is wrong with no key alone, such as a read that saw two keys at two moments, is for
//! the search of the part as a whole.

use super::partition::{KeySet, Member, Part};
use super::{Keys, Model, Operation, Outcome};

/// The operations on one key.
pub(super) struct Projected<M: Model> {
    /// The key, and all of `operations`.
    pub part: Part<M::Key>,
    /// What they say of the key.
    pub operations: Vec<Operation<M::Op, M::Ret>>,
    /// The index that each has in the history.
    pub indexes: Vec<usize>,
}

/// Each key of a part alone. Nothing if the part has one key, or an operation on several that is no read.
pub(super) fn project<M: Model>(
    history: &[Operation<M::Op, M::Ret>],
    part: &Part<M::Key>,
) -> Option<Vec<Projected<M>>> {
    if part.keys.len() < 2 || !M::APART {
        return None;
    }
    let of_key = |key: &M::Key| Projected {
        part: Part { keys: vec![key.clone()], members: Vec::new() },
        operations: Vec::new(),
        indexes: Vec::new(),
    };
    let mut all: Vec<Projected<M>> = part.keys.iter().map(of_key).collect();
    for &Member { index, .. } in &part.members {
        let operation = &history[index];
        let ret = match &operation.outcome {
            Outcome::Ok { ret, .. } => Some(ret),
            _ => None,
        };
        let place = |key: &M::Key| part.keys.partition_point(|other| other < key);
        let places = match M::keys(&operation.op, ret) {
            Keys::One(key) => {
                all[place(&key)].add(index, operation.clone());
                continue;
            }
            Keys::Range { from, to } => place(&from)..place(&to),
            Keys::All => 0..part.keys.len(),
        };
        let Outcome::Ok { at, ret } = &operation.outcome else { return None };
        for key in places {
            let (op, ret) = M::project(&operation.op, ret, &part.keys[key])?;
            all[key].add(index, Operation { op, outcome: Outcome::Ok { at: *at, ret }, ..operation.clone() });
        }
    }
    Some(all)
}

impl<M: Model> Projected<M> {
    fn add(&mut self, index: usize, operation: Operation<M::Op, M::Ret>) {
        self.part.members.push(Member { index: self.operations.len(), keys: KeySet::ALL });
        self.operations.push(operation);
        self.indexes.push(index);
    }
}
