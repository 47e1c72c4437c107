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
///
/// ```
/// use sim::check::{Check, Finished, Verdict, Violation};
/// use sim::history::History;
///
/// /// Every operation has ended by the end of the run.
/// struct AllEnd;
///
/// impl Check for AllEnd {
///     const NAME: &'static str = "all-end";
///
///     fn check(run: &Finished) -> Result<Verdict, String> {
///         let open = run.history.entries().iter().filter(|entry| entry.ended.is_none()).count();
///         Ok(match open {
///             0 => Verdict::Pass,
///             _ => Verdict::Fail(Violation::new(format!("{open} operations have not ended"))),
///         })
///     }
/// }
///
/// let idle = Finished { history: History::default(), end_ns: 0, healed_ns: None, nodes: Vec::new(), budget: 1_000 };
/// assert_eq!(AllEnd::check(&idle), Ok(Verdict::Pass));
/// ```
pub trait Check: 'static {
    /// Its name in signatures and `breaks`.
    const NAME: &'static str;

    /// Judges the run. An error means that the check itself could not do its work, and is reported as a failure.
    fn check(run: &Finished) -> Result<Verdict, String>;
}

/// An oracle on events: a fold that may object.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::time::Duration;
/// use sim::check::{Invariant, Violation};
/// use sim::event::On;
/// use sim::{NodeId, observe, simulate};
///
/// sim::event! {
///     /// A node has won an election.
///     "example.became_leader" => pub struct BecameLeader {
///         /// Its term.
///         pub term: u64,
///     }
/// }
///
/// /// At most one leader is elected in a term (Raft, Figure 3).
/// #[derive(Default)]
/// struct ElectionSafety(BTreeMap<u64, NodeId>);
///
/// impl Invariant for ElectionSafety {
///     const NAME: &'static str = "election-safety";
///
///     fn subscribe(on: &mut On<Self>) {
///         on.event::<BecameLeader>(|this, moment, event| {
///             let leader = *this.0.entry(event.term).or_insert(moment.node);
///             match leader == moment.node {
///                 true => Ok(()),
///                 false => Err(Violation::new(format!("{leader:?} is a leader of term {}, too", event.term))),
///             }
///         });
///     }
/// }
///
/// let run = simulate(1, |sim| {
///     sim.watch::<ElectionSafety>();
///     sim.node("a", || async { observe!(BecameLeader { term: 1 }) });
///     sim.node("b", || async { observe!(BecameLeader { term: 1 }) });
///     sim.run_for(Duration::from_secs(1));
/// });
/// assert_eq!(run.unwrap().failures[0].signature, "election-safety");
/// ```
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
