//! Linearizability of recorded histories.
//!
//! What: a [history](Operation) is linearizable when every operation can be given one instant between
//! its invocation and its completion such that, in the order of these instants, a sequential
//! [`Model`] explains every result (Herlihy & Wing, "Linearizability", TOPLAS 1990).
//!
//! In which order [`check`] works:
//!
//! 1. Failed operations are removed and the rest is split by [`Model::key`]: a history is linearizable
//!    exactly when each key's part is (locality, Herlihy & Wing §3.3; Horn & Kroening, "Faster
//!    linearizability checking via P-compositionality", FORTE 2015).
//! 2. Each part is searched for a linearization (`search`; Wing & Gong, "Testing and verifying concurrent
//!    objects", JPDC 1993), never visiting a configuration twice (Lowe, "Testing for linearizability", 2017).
//! 3. A part without one is cut to its earliest illegal prefix (`cut`), which is then put into words
//!    (`explain`).
//!
//! Why a step budget and not a timeout: the problem is NP-complete, so some limit is needed, and a wall
//! clock would give the same history different verdicts on different machines. Verdict, step count and
//! explanation are functions of the history and the budget alone.

mod cut;
mod explain;
mod memo;
pub mod models;
#[cfg(test)]
mod reference;
mod search;

pub use explain::{Reason, Unplaced, Violation};

use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::hash::Hash;

use search::{Conclusion, Foresight, search};

/// A sequential specification: what each operation does and returns when nothing runs beside it.
pub trait Model: 'static {
    /// An operation with its arguments.
    type Op: Clone + Debug + 'static;
    /// What an operation returned.
    type Ret: Clone + Debug + 'static;
    /// The state of the object under one key.
    type State: Clone + Eq + Hash + Debug;
    /// Operations with different keys are independent (locality, Herlihy & Wing 1990 §3.3).
    type Key: Ord + Clone + Display;
    /// What explanations call the model.
    const NAME: &'static str;

    /// The key `op` acts on.
    fn key(op: &Self::Op) -> Self::Key;

    /// The state under `key` before the first operation.
    fn init(key: &Self::Key) -> Self::State;

    /// The state after `op` returned `ret` in `state`, or `None` where it could not have.
    /// A `ret` of `None` means that the outcome is unknown: any result will do.
    fn step(state: &Self::State, op: &Self::Op, ret: Option<&Self::Ret>) -> Option<Self::State>;

    /// One operation in words: `append(x, 3) -> 2`.
    fn describe(op: &Self::Op, ret: Option<&Self::Ret>) -> String;

    /// Whether `op` leaves every state as it is, whatever it returns.
    ///
    /// Only a hint: a read that fits where it stands can be placed there for good, which spares the
    /// search all its later places. `false` is always safe.
    fn is_read(op: &Self::Op) -> bool {
        let _ = op;
        false
    }

    /// Whether `op` can make a difference to what the read `read` returns.
    ///
    /// Only a hint, and only asked to find the read to ask [`Model::may_return`] about: `true` is always safe.
    fn concerns(op: &Self::Op, read: &Self::Op) -> bool {
        let _ = (op, read);
        true
    }

    /// Whether, from `state`, some of `others` in some order could lead to a state in which the read `op` returns `ret`.
    ///
    /// Only a hint, and only asked about reads: where the answer is `false` the search turns back at once instead of
    /// trying all orders of what lies between. `true` is always safe; `false` must be certain.
    fn may_return<'a>(
        state: &Self::State,
        op: &Self::Op,
        ret: &Self::Ret,
        others: impl Iterator<Item = &'a Self::Op>,
    ) -> bool {
        let _ = (state, op, ret, others);
        true
    }
}

/// One operation of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<O, R> {
    /// The client that invoked it; used in explanations only.
    pub process: u32,
    /// What it was asked to do.
    pub op: O,
    /// When it was invoked, in nanoseconds.
    pub invoked: u64,
    /// How it ended.
    pub outcome: Outcome<R>,
}

/// How an operation ended.
///
/// `A` precedes `B` only if `A` completed strictly before `B` was invoked. Where the two times are
/// equal, the operations are concurrent, whatever their places in the history: the clock could not
/// tell them apart, and neither does the checker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<R> {
    /// It took effect once between its invocation and `at`, and returned `ret`.
    Ok {
        /// When it completed, in nanoseconds.
        at: u64,
        /// What it returned.
        ret: R,
    },
    /// It certainly did not take effect.
    Failed {
        /// When it completed, in nanoseconds.
        at: u64,
    },
    /// It may take effect at any time after its invocation, or never.
    Unknown,
}

/// What [`check`] found. A violation of one key outweighs an exhausted budget on another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every key's operations have a linearization.
    Linearizable {
        /// Steps taken over all keys.
        steps: u64,
    },
    /// Some key's operations have none; of several such keys, the one where it showed earliest.
    Violation(Violation),
    /// The budget ended before the search of some key did.
    Exhausted {
        /// The first such key.
        key: String,
        /// Steps taken over all keys.
        steps: u64,
    },
}

/// Checks `history` against the model `M`.
///
/// A step is one attempt to place one operation in one state. Each key's search may take `budget` of
/// them, and finding the earliest illegal prefix of a key that has none may take `budget` once more; so
/// one hard key cannot keep the others from being checked. Memory grows with the steps: a few words and
/// one bit per operation of the key for each.
///
/// The order of `history` carries no meaning: only the times do.
///
/// # Panics
///
/// If an operation completed before it was invoked.
pub fn check<M: Model>(history: &[Operation<M::Op, M::Ret>], budget: u64) -> Verdict {
    let mut steps = 0;
    let mut exhausted = None;
    let mut earliest: Option<Violation> = None;
    for (key, members) in &partition::<M>(history) {
        let whole = cut::cut::<M>(history, members, u64::MAX);
        let (taken, conclusion) = search::<M>(key, &whole, budget, Foresight::On);
        steps += taken;
        match conclusion {
            Conclusion::Linearizable => {}
            Conclusion::Exhausted(_) => {
                exhausted.get_or_insert_with(|| key.to_string());
            }
            Conclusion::Illegal(dead_end) => {
                let prefix = cut::earliest::<M>(history, members, key, &whole, dead_end, budget);
                steps += prefix.steps;
                if earliest.as_ref().is_none_or(|v| prefix.at < v.at) {
                    earliest = Some(explain::explain::<M>(history, key, &prefix));
                }
            }
        }
    }
    match (earliest, exhausted) {
        (Some(violation), _) => Verdict::Violation(Violation { steps, ..violation }),
        (None, Some(key)) => Verdict::Exhausted { key, steps },
        (None, None) => Verdict::Linearizable { steps },
    }
}

/// The indexes of the operations that may have taken effect, by key.
fn partition<M: Model>(history: &[Operation<M::Op, M::Ret>]) -> BTreeMap<M::Key, Vec<usize>> {
    let mut parts: BTreeMap<M::Key, Vec<usize>> = BTreeMap::new();
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
        if !matches!(outcome, Outcome::Failed { .. }) {
            parts.entry(M::key(op)).or_default().push(index);
        }
    }
    parts
}

#[cfg(test)]
mod tests;
