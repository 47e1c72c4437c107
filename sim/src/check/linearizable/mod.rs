//! Linearizability of recorded histories.
//!
//! A [history](Operation) is linearizable if each operation can be assigned an instant between its invocation and its
//! completion such that a sequential [`Model`], executing the operations in the order of these instants, returns every
//! recorded result (Herlihy & Wing, "Linearizability", TOPLAS 1990).
//!
//! [`check`] has three steps:
//!
//! 1. Failed operations are removed and the rest is split by [`Model::keys`] (`partition`): a history is linearizable
//!    exactly when each part is (locality, Herlihy & Wing §3.3; Horn & Kroening, "Faster
//!    linearizability checking via P-compositionality", FORTE 2015).
//!    If reads of several keys connect the keys of a part, each key is first checked alone (`projected`).
//!    A read whose result no order of the operations could give is found before any order is tried (`impossible`).
//! 2. Each part is searched for a linearization (`search`; Wing & Gong, "Testing and verifying concurrent
//!    objects", JPDC 1993), never visiting a configuration twice (Lowe, "Testing for linearizability", 2017).
//! 3. A part without a linearization is cut to its earliest illegal prefix (`cut`), and the prefix is explained (`explain`).
//!
//! The search is limited by a step budget instead of a timeout. The problem is NP-complete, so a limit is needed, and a wall
//! clock would give the same history different verdicts on different machines. Verdict, step count and explanation depend
//! only on the history and the budget.

mod cut;
mod explain;
mod impossible;
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

use partition::{KeySet, Part};
use search::{Conclusion, DeadEnd, Foresight, search};

/// A sequential specification: the effect and the result of each operation without concurrency.
pub trait Model: 'static {
    /// An operation with its arguments. Equal operations have equal effects.
    type Op: Clone + PartialEq + Debug + 'static;
    /// The result of an operation.
    type Ret: Clone + Debug + 'static;
    /// The state of the object, or of the part with some of its keys.
    type State: Clone + Eq + Hash + Debug;
    /// The key of an operation. Operations on different keys are independent (locality, Herlihy & Wing 1990 §3.3).
    type Key: Ord + Clone + Display;
    /// The name of the model in explanations.
    const NAME: &'static str;
    /// Whether operations on different keys are checked separately. `false` serves to measure the benefit.
    const APART: bool = true;

    /// The keys of `op` with the result `ret`. Neither the effect nor the result depends on other keys.
    fn keys(op: &Self::Op, ret: Option<&Self::Ret>) -> Keys<Self::Key>;

    /// The name of the part with these keys in explanations.
    fn part(keys: &[Self::Key]) -> String {
        let names: Vec<String> = keys.iter().map(ToString::to_string).collect();
        format!("{} {}", if names.len() == 1 { "key" } else { "keys" }, names.join(", "))
    }

    /// The state before the first operation.
    fn init() -> Self::State;

    /// The state after `op` is executed in `state` and returns `ret`, or `None` if `op` cannot return `ret` in `state`.
    /// A `ret` of `None` means that the result is unknown, so that any result is allowed.
    fn step(state: &Self::State, op: &Self::Op, ret: Option<&Self::Ret>) -> Option<Self::State>;

    /// One operation in words: `append(x, 3) -> 2`.
    fn describe(op: &Self::Op, ret: Option<&Self::Ret>) -> String;

    /// The condition under which `op` returns `ret`, in words: `x must be 2`. `None` if `op` can return `ret` in any state.
    fn needs(op: &Self::Op, ret: &Self::Ret) -> Option<String> {
        let _ = (op, ret);
        None
    }

    /// A state in words.
    fn describe_state(state: &Self::State) -> String {
        format!("{state:?}")
    }

    /// Whether `op` never changes the state.
    ///
    /// This is a hint. The search places a read at the first state that fits, and does not try later places. `false` is always
    /// safe.
    fn is_read(op: &Self::Op) -> bool {
        let _ = op;
        false
    }

    /// Whether `op` with the result `ret` does not change the state: a read, or a compare-and-set that failed.
    ///
    /// This is a hint, used as [`Model::is_read`], which is the default.
    fn keeps(op: &Self::Op, ret: Option<&Self::Ret>) -> bool {
        let _ = ret;
        Self::is_read(op)
    }

    /// Whether `op` can affect the result of the read `read`.
    ///
    /// This is a hint, used to find the read for [`Model::may_return`]. `true` is always safe.
    fn concerns(op: &Self::Op, read: &Self::Op) -> bool {
        let _ = (op, read);
        true
    }

    /// The projection of a read of several keys to one key: a read of that key alone, and its result. A read must fit a state
    /// exactly if all its projections do. `None` if there is no such projection.
    fn project(op: &Self::Op, ret: &Self::Ret, key: &Self::Key) -> Option<(Self::Op, Self::Ret)> {
        let _ = (op, ret, key);
        None
    }

    /// The keys whose values rule out that `op` returns `ret` in `state`, each of them alone and for any values of the other
    /// keys.
    ///
    /// This is a hint for reads of several keys that do not fit. It tells the search which earlier choices are irrelevant. An
    /// empty list means that the keys are unknown, and is always safe.
    fn refused_by(state: &Self::State, op: &Self::Op, ret: &Self::Ret) -> Vec<Self::Key> {
        let _ = (state, op, ret);
        Vec::new()
    }

    /// Whether some of `others`, executed in some order from `state`, could lead to a state in which `read` returns its result.
    /// `placed` is the operation that led to `state`; each of `others` shares a key with it.
    ///
    /// This is a hint for reads that `placed` concerns. If the answer is `false`, the search backtracks at once instead of
    /// trying all orders of the operations in between. `true` is always safe. `false` must be right for any values of the keys
    /// that `placed` does not have.
    fn may_return<'a>(
        state: &Self::State,
        placed: &Self::Op,
        read: (&Self::Op, &Self::Ret),
        others: impl Iterator<Item = &'a Self::Op>,
    ) -> bool {
        let _ = (state, placed, read, others);
        true
    }

    /// Whether the step from `before` to `after` by `placed`, an operation with an unknown outcome, can affect any of `others`:
    /// the operations up to the next read that `placed` concerns, including that read. Return `true` unless no operation can be
    /// affected and the read covers everything that `placed` changed.
    ///
    /// This is a hint. If the answer is `false`, the search does not place the operation here, because the rest of the
    /// linearization is possible without it. `true` is always safe; `false` must be certain.
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

/// The keys of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys<K> {
    /// One key.
    One(K),
    /// All keys in a half-open range.
    Range {
        /// The first key of the range.
        from: K,
        /// The first key after the range.
        to: K,
    },
    /// All keys.
    All,
}

/// One operation of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<O, R> {
    /// The process that invoked the operation; used only in explanations.
    pub process: u32,
    /// The operation with its arguments.
    pub op: O,
    /// The time of the invocation, in nanoseconds.
    pub invoked: u64,
    /// The outcome.
    pub outcome: Outcome<R>,
}

/// The outcome of an operation.
///
/// `A` precedes `B` only if `A` completed strictly before `B` was invoked. If the two times are equal, the operations are
/// concurrent, independently of their order in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<R> {
    /// The operation took effect once, between its invocation and `at`, and returned `ret`.
    Ok {
        /// The time of the completion, in nanoseconds.
        at: u64,
        /// The result.
        ret: R,
    },
    /// The operation surely had no effect.
    Failed {
        /// The time of the completion, in nanoseconds.
        at: u64,
    },
    /// The operation may take effect at any time after its invocation, or never.
    Unknown,
}

/// The result of [`check`]. A violation of one part takes precedence over an exhausted budget of another part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every part has a linearization.
    Linearizable {
        /// Steps taken over all parts.
        steps: u64,
    },
    /// At least one part has no linearization. This is the earliest violation.
    Violation(Box<Violation>),
    /// The search of some part exhausted its budget.
    Exhausted {
        /// The first such part: `key x`.
        part: String,
        /// Steps taken over all parts.
        steps: u64,
    },
}

/// Checks `history` against the model `M`.
///
/// A step is one attempt to place one operation in one state. The search of each part may take `budget` steps, and the search
/// for the earliest illegal prefix may take `budget` steps more, so a hard part does not prevent the check of other parts.
/// What the search remembers counts, too: the words that it stores and compares, so that the budget bounds time and memory. The
/// memory of a history without concurrency grows with its length alone.
///
/// Only the times of the operations matter, not their order in `history`.
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
            // The projection is a short cut to a violation. The whole part may decide what the projection cannot.
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

/// The results so far.
struct Found {
    steps: u64,
    exhausted: Option<String>,
    earliest: Option<explain::Illegal>,
}

impl Found {
    /// Judges one part of `history`. `original` maps indexes of `history` to indexes of the history given to [`check`].
    fn judge<M: Model>(
        &mut self,
        history: &[Operation<M::Op, M::Ret>],
        part: &Part<M::Key>,
        budget: u64,
        original: impl Fn(usize) -> usize,
    ) {
        // Only a violation earlier than the one found matters, so later operations are left out.
        let until = self.earliest.as_ref().map_or(Some(u64::MAX), |illegal| illegal.at.checked_sub(1));
        let Some(until) = until else { return };
        let mut until = until;
        let mut whole = cut::cut::<M>(history, part, until);
        let (taken, conclusion) = match impossible::earliest::<M>(part, &whole) {
            None => search::<M>(&part.keys, &whole, budget, Foresight::On),
            // No order of what is there explains that read, so there is no need to try them.
            Some(at) => {
                until = at;
                whole = cut::cut::<M>(history, part, until);
                (0, Conclusion::Illegal(DeadEnd { stuck_at: 0, longest: Vec::new(), conflict: KeySet::ALL }))
            }
        };
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
mod open;
#[cfg(test)]
mod tests;
