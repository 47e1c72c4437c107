//! Consistency latency: how long it takes until what an operation did is durable and visible everywhere it must be.
//!
//! Only the system knows where that is. It declares a fold over what it observes ([`Consistency`]), which begins a span for
//! each operation that changes something and ends it when the change is everywhere. [`OnEach`](super::OnEach) is ready made.
//!
//! A span begins when the operation was invoked that the node has under way, so a client may well open a session or look for
//! a leader before it says which operation this is. An operation that failed for certain changed nothing, and does not count;
//! one that never became visible is counted as that.

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Histogram, Visibility};
use crate::base::GroupId;
use crate::base::NodeId;
use crate::check::guarded;
use crate::event::{self, Event, Folds, Moment, Scope};
use crate::history::{self, Ended, History};
use crate::kernel;
use crate::world::world;

/// Knows when an operation is visible everywhere it must be. A fold over events and notes.
///
/// It must leave no trace in the run: no `sim::rand`, no `HashMap` (std gives each map made on a thread other keys).
pub trait Consistency: Default + 'static {
    /// Says what it folds over.
    fn subscribe(on: &mut Watch<Self>);
}

/// A fold, and the operations that it follows.
#[derive(Default)]
struct Measured<T> {
    state: T,
    spans: Spans,
}

/// Subscribes a [`Consistency`]. Its state is `T`.
pub struct Watch<T> {
    folds: Folds<Measured<T>>,
}

impl<T: Consistency> Watch<T> {
    /// Calls `step` at each event of type `E`.
    pub fn event<E: Event>(&mut self, step: fn(&mut T, &mut Spans, &Moment, &E)) -> &mut Self {
        let folds = self.folds.clone();
        event::subscribe(E::kind(), OWNER, folds.scope, move |moment, event| {
            if let Some(event) = event.as_any().downcast_ref::<E>() {
                folds.at(moment, |of| step(&mut of.state, &mut of.spans, moment, event));
            }
            Ok(())
        });
        self
    }

    /// Calls `step` at each [`note`] of type `N`.
    pub fn note<N: 'static>(&mut self, step: fn(&mut T, &mut Spans, &Moment, &N)) -> &mut Self {
        let folds = self.folds.clone();
        let listener = move |moment: &Moment, note: &dyn Any| {
            if let Some(note) = note.downcast_ref::<N>() {
                folds.at(moment, |of| step(&mut of.state, &mut of.spans, moment, note));
            }
        };
        world(|world| {
            let mut notes = world.notes.borrow_mut();
            Rc::make_mut(notes.get_or_insert_default()).push((TypeId::of::<N>(), Rc::new(listener)));
        });
        self
    }
}

/// The owner that a panic of a fold is attributed to.
const OWNER: &str = "consistency";

/// What a fold has measured when the run is over: for each group, if it is declared per group.
pub(crate) type Outcomes = Rc<dyn Fn(&History) -> Vec<Visibility>>;

/// Subscribes `C` to the run that is about to begin.
pub(crate) fn install<C: Consistency>(scope: Scope) -> Outcomes {
    let folds = Folds::<Measured<C>>::new(scope);
    C::subscribe(&mut Watch { folds: folds.clone() });
    Rc::new(move |history| folds.each(|of| of.spans.outcome(history)))
}

/// The operations under way, by a key that the system chooses, and how long the others took.
#[derive(Default)]
pub struct Spans {
    open: BTreeMap<u64, Span>,
    latency_ns: Histogram,
}

struct Span {
    began_ns: u64,
    /// The operation's place in the history.
    operation: Option<usize>,
}

impl Spans {
    /// The node begins an operation that has this key: the one that it has invoked last, if that is under way. Does nothing if
    /// it has begun already.
    pub fn begin(&mut self, moment: &Moment, key: u64) {
        let under_way = history::peek(|history| history.under_way(moment.node));
        let began_ns = under_way.map_or(moment.at_ns, |(_, invoked)| invoked);
        self.open.entry(key).or_insert(Span { began_ns, operation: under_way.map(|(at, _)| at) });
    }

    /// The operation is visible everywhere. Does nothing if it has not begun, or was before.
    pub fn end(&mut self, moment: &Moment, key: u64) {
        if let Some(span) = self.open.remove(&key) {
            self.latency_ns.record(moment.at_ns.saturating_sub(span.began_ns));
        }
    }

    /// Whether an operation has begun and is not visible yet.
    pub fn is_open(&self, key: u64) -> bool {
        self.open.contains_key(&key)
    }

    /// What it was in the end.
    pub(super) fn outcome(&self, history: &History) -> Visibility {
        let failed = |span: &&Span| {
            let entry = span.operation.and_then(|at| history.entries().get(at));
            entry.is_some_and(|entry| matches!(entry.ended, Some((_, Ended::Failed))))
        };
        let never = self.open.values().filter(|span| !failed(span)).count() as u64;
        Visibility { latency_ns: self.latency_ns.clone(), never }
    }
}

type Listener = Rc<dyn Fn(&Moment, &dyn Any)>;

/// The listeners of a run, by type of note.
pub(crate) type Notes = Option<Rc<Vec<(TypeId, Listener)>>>;

/// Passes a note to the [`Consistency`] metrics, about the home group of the node. A note is not an event: it does not affect the
/// digest or the trace, and costs next to nothing without listeners. A note from a crashed node has no effect.
pub fn note<N: 'static>(note: N) {
    note_in(None, note);
}

/// As [`note`], about another group than the node's own: a client says so which group its command is for.
pub fn note_of<N: 'static>(group: GroupId, note: N) {
    note_in(Some(group), note);
}

fn note_in<N: 'static>(group: Option<GroupId>, note: N) {
    let Some(listeners) = world(|world| world.notes.borrow().clone()) else { return };
    let moment = kernel::with_running(|state| {
        let (node, incarnation) = (state.current.node, state.current.incarnation);
        if !state.current.alive || node == NodeId::HOST {
            return None;
        }
        let group = group.unwrap_or_else(|| state.node(node).home());
        let (poll, observation) = (state.polls, state.observations);
        Some(Moment { at_ns: state.now, node, group, incarnation, poll, observation })
    });
    let Some(moment) = moment.flatten() else { return };
    for (_, listener) in listeners.iter().filter(|(of, _)| *of == TypeId::of::<N>()) {
        guarded(&format_args!("`{OWNER}`, which listens to notes,"), || listener(&moment, &note));
    }
}
