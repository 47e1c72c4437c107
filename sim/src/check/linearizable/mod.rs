//! Linearizability of recorded histories.
//!
//! What: a [history](Operation) is linearizable when every operation can be given one instant between
//! its invocation and its completion such that, in the order of these instants, a sequential
//! [`Model`] explains every result (Herlihy & Wing, "Linearizability", TOPLAS 1990).
//!
//! In which order [`check`] works:
//!
//! 1. Failed operations are removed and the rest is split by [`Model::keys`] (`partition`): a history is linearizable
//!    exactly when each part is (locality, Herlihy & Wing §3.3; Horn & Kroening, "Faster
//!    linearizability checking via P-compositionality", FORTE 2015).
//!    Where reads of several keys connect the keys of a part, each key is looked at alone first (`projected`).
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
mod partition;
mod projected;
#[cfg(test)]
mod reference;
mod search;

pub use crate::base::{Explanation, Step};
pub use explain::{Reason, Unplaced, Violation};

use std::fmt::{Debug, Display};
use std::hash::Hash;

use partition::Part;
use search::{Conclusion, Foresight, search};

/// A sequential specification: what each operation does and returns when nothing runs beside it.
pub trait Model: 'static {
    /// An operation with its arguments.
    type Op: Clone + Debug + 'static;
    /// What an operation returned.
    type Ret: Clone + Debug + 'static;
    /// The state of the object, or of those of its parts that are checked together.
    type State: Clone + Eq + Hash + Debug;
    /// What operations are about. Operations on different keys are independent (locality, Herlihy & Wing 1990 §3.3).
    type Key: Ord + Clone + Display;
    /// What explanations call the model.
    const NAME: &'static str;
    /// Whether operations on different keys are checked apart. `false` only shows what that is worth.
    const APART: bool = true;

    /// The keys that `op`, which returned `ret`, is about: neither its effect nor its result has to do with others.
    fn keys(op: &Self::Op, ret: Option<&Self::Ret>) -> Keys<Self::Key>;

    /// What explanations call the object that these keys stand for.
    fn part(keys: &[Self::Key]) -> String {
        let names: Vec<String> = keys.iter().map(ToString::to_string).collect();
        format!("{} {}", if names.len() == 1 { "key" } else { "keys" }, names.join(", "))
    }

    /// The state before the first operation.
    fn init() -> Self::State;

    /// The state after `op` returned `ret` in `state`, or `None` where it could not have.
    /// A `ret` of `None` means that the outcome is unknown: any result will do.
    fn step(state: &Self::State, op: &Self::Op, ret: Option<&Self::Ret>) -> Option<Self::State>;

    /// One operation in words: `append(x, 3) -> 2`.
    fn describe(op: &Self::Op, ret: Option<&Self::Ret>) -> String;

    /// What must hold for `op` to return `ret`, in words: `x must be 2`. `None` if it can always return that.
    fn needs(op: &Self::Op, ret: &Self::Ret) -> Option<String> {
        let _ = (op, ret);
        None
    }

    /// A state in words.
    fn describe_state(state: &Self::State) -> String {
        format!("{state:?}")
    }

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

    /// What a read of several keys says about one of them: a read of that alone, and what it returned. It fits a state exactly
    /// if this does for each of its keys. `None` if that cannot be said.
    fn project(op: &Self::Op, ret: &Self::Ret, key: &Self::Key) -> Option<(Self::Op, Self::Ret)> {
        let _ = (op, ret, key);
        None
    }

    /// The keys for whose sake `op` cannot have returned `ret` in `state`: each of them alone is reason enough, whatever the
    /// other keys hold.
    ///
    /// Only a hint, and only asked about reads of several keys that do not fit: it tells the search which earlier choices
    /// had nothing to do with that. None at all means that it is not known, which is always safe.
    fn refused_by(state: &Self::State, op: &Self::Op, ret: &Self::Ret) -> Vec<Self::Key> {
        let _ = (state, op, ret);
        Vec::new()
    }

    /// Whether, from `state`, some of `others` in some order could lead to a state in which the `read` returns what it did.
    /// `placed` is what led to `state`, and `others` are about some of its keys too.
    ///
    /// Only a hint, and only asked about reads that `placed` concerns: where the answer is `false` the search turns back at
    /// once instead of trying all orders of what lies between. `true` is always safe; `false` must be certain, whatever the
    /// keys hold that `placed` is not about.
    fn may_return<'a>(
        state: &Self::State,
        placed: &Self::Op,
        read: (&Self::Op, &Self::Ret),
        others: impl Iterator<Item = &'a Self::Op>,
    ) -> bool {
        let _ = (state, placed, read, others);
        true
    }

    /// Whether it can make a difference to any of `others` that `placed`, whose outcome nobody knows, led from `before` to
    /// `after`. They are what may come until the next read that `placed` concerns is over, that read included. Answer `true`
    /// unless it is ruled out for each of them, and unless what `placed` changed is all seen by that read.
    ///
    /// Only a hint: where the answer is `false`, whatever follows can do without `placed`, since the read says what the state is
    /// then in any case; so the search does not place it here. `true` is always safe; `false` must be certain.
    fn matters<'a>(
        before: &Self::State,
        placed: &Self::Op,
        after: &Self::State,
        others: impl Iterator<Item = (&'a Self::Op, Option<&'a Self::Ret>)> + Clone,
    ) -> bool {
        let _ = (before, placed, after, others);
        true
    }
}

/// The keys that an operation is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys<K> {
    /// One key.
    One(K),
    /// All keys from one to before another one.
    Range {
        /// The first key of the range.
        from: K,
        /// The first key behind it.
        to: K,
    },
    /// All keys.
    All,
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

/// What [`check`] found. A violation of one part outweighs an exhausted budget on another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every part's operations have a linearization.
    Linearizable {
        /// Steps taken over all parts.
        steps: u64,
    },
    /// Some part's operations have none; of several such parts, the one where it showed earliest.
    Violation(Box<Violation>),
    /// The budget ended before the search of some part did.
    Exhausted {
        /// The first such part: `key x`.
        part: String,
        /// Steps taken over all parts.
        steps: u64,
    },
}

/// Checks `history` against the model `M`.
///
/// A step is one attempt to place one operation in one state. Each part's search may take `budget` of
/// them, and finding the earliest illegal prefix of a part that has none may take `budget` once more; so
/// one hard part cannot keep the others from being checked. Memory grows with the steps: a few words and
/// one bit per operation of the part for each.
///
/// The order of `history` carries no meaning: only the times do.
///
/// # Panics
///
/// If an operation completed before it was invoked.
pub fn check<M: Model>(history: &[Operation<M::Op, M::Ret>], budget: u64) -> Verdict {
    let mut found = Found { steps: 0, exhausted: None, earliest: None };
    for part in partition::partition::<M>(history) {
        for key in projected::project::<M>(history, &part).into_iter().flatten() {
            let exhausted = found.exhausted.take();
            found.judge::<M>(&key.operations, &key.part, budget, |index| key.indexes[index]);
            // It is a short cut to a violation; what it cannot decide the whole part may.
            found.exhausted = exhausted;
        }
        found.judge::<M>(history, &part, budget, |index| index);
    }
    let Found { steps, exhausted, earliest } = found;
    match (earliest, exhausted) {
        (Some(earliest), _) => Verdict::Violation(Box::new(earliest.explain::<M>(history, steps))),
        (None, Some(part)) => Verdict::Exhausted { part, steps },
        (None, None) => Verdict::Linearizable { steps },
    }
}

/// What is known so far.
struct Found {
    steps: u64,
    exhausted: Option<String>,
    earliest: Option<explain::Illegal>,
}

impl Found {
    /// Judges one part of `history`. `original` knows which operation of the history that was given one of this is.
    fn judge<M: Model>(
        &mut self,
        history: &[Operation<M::Op, M::Ret>],
        part: &Part<M::Key>,
        budget: u64,
        original: impl Fn(usize) -> usize,
    ) {
        // Only an earlier violation than the one found would be told: what comes after that is left out.
        let until = self.earliest.as_ref().map_or(Some(u64::MAX), |illegal| illegal.at.checked_sub(1));
        let Some(until) = until else { return };
        let whole = cut::cut::<M>(history, part, until);
        let (taken, conclusion) = search::<M>(&part.keys, &whole, budget, Foresight::On);
        self.steps += taken;
        match conclusion {
            Conclusion::Linearizable => {}
            Conclusion::Exhausted(_) => {
                self.exhausted.get_or_insert_with(|| M::part(&part.keys));
            }
            Conclusion::Illegal(dead_end) => {
                let prefix = cut::earliest::<M>(history, part, until, &whole, dead_end, budget);
                self.steps += prefix.steps;
                self.earliest = Some(explain::examine::<M>(part, &prefix, original));
            }
        }
    }
}

#[cfg(test)]
mod tests;
