//! Oracles: what must hold.
//!
//! An [`Invariant`] is a fold over observed events and fails the run at the very event that breaks it. A [`Check`] looks
//! at the finished run: its history. A verdict of `unknown` is never a pass.

pub mod linearizable;
pub mod ordered;

use std::fmt::Display;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use crate::base::Violation;
use crate::event::On;
use crate::history::{History, Op};
use crate::kernel::{self, panics};
use crate::system::NodeSpec;

/// What a check says of a finished run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Pass,
    /// It does not.
    Fail(Violation),
    /// The check gave up, and why. Counts as a failure of its own kind.
    Unknown(String),
}

impl From<Result<(), Violation>> for Verdict {
    fn from(found: Result<(), Violation>) -> Verdict {
        found.map_or_else(Verdict::Fail, |()| Verdict::Pass)
    }
}

/// A run that is over.
#[derive(Clone, Debug)]
pub struct Finished {
    /// What clients did and saw.
    pub history: History,
    /// When it ended, in virtual nanoseconds.
    pub end_ns: u64,
    /// When everything was healed; absent if the run did not get so far.
    pub healed_ns: Option<u64>,
    /// All nodes, in order: the first is [`NodeId::new(0)`](crate::NodeId::new).
    pub nodes: Vec<NodeSpec>,
    /// How many steps a check may take before it gives up.
    pub budget: u64,
}

/// An oracle on finished runs.
pub trait Check: 'static {
    /// Its name in signatures and `breaks`.
    const NAME: &'static str;

    /// Judges the run. An error means that the check itself could not do its work, and is reported as a failure.
    fn check(run: &Finished) -> Result<Verdict, String>;
}

/// An oracle on events: a fold that may object.
pub trait Invariant: Default + 'static {
    /// Its name in signatures and `breaks`.
    const NAME: &'static str;

    /// Says which events it folds over.
    fn subscribe(on: &mut On<Self>);
}

/// Calls the code of an invariant or a selector, which runs inside polls and outside of any. If it panics, that is a
/// failure of the run, and there is no answer.
pub(crate) fn guarded<R>(whose: &dyn Display, code: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(code))
        .map_err(|payload| {
            kernel::with(|state| {
                let failure = panics::failure("panic", state.now, &whose.to_string(), payload.as_ref());
                state.fail(failure);
            });
        })
        .ok()
}

/// Linearizability of the operations that model `M` knows.
pub struct Linearizable<M>(PhantomData<M>);

impl<M> Check for Linearizable<M>
where
    M: linearizable::Model,
    M::Op: Op<Ret = M::Ret>,
{
    const NAME: &'static str = "linearizable";

    fn check(run: &Finished) -> Result<Verdict, String> {
        let operations = run.history.of::<M::Op>();
        Ok(match linearizable::check::<M>(&operations, run.budget) {
            linearizable::Verdict::Linearizable { .. } => Verdict::Pass,
            linearizable::Verdict::Violation(found) => {
                let (at_ns, details) = (Some(found.at), Some(Box::new(found.data)));
                Verdict::Fail(Violation { about: String::new(), at_ns, explanation: found.explanation, details })
            }
            linearizable::Verdict::Exhausted { part, steps } => {
                Verdict::Unknown(format!("{} steps on {part} were not enough to decide", steps))
            }
        })
    }
}
