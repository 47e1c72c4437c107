//! Protocol events: what a system says about itself, and who listens.
//!
//! An event is a small struct declared with [`crate::event!`] and reported with [`crate::observe!`]. Invariants, selectors,
//! metrics and scenario triggers subscribe to events by type; nobody looks into a system's private state. An event is hashed into
//! the digest; it is serialised only where a recorder or a trigger's `where` asks for its fields.

mod fold;

use std::any::Any;
use std::fmt::Debug;
use std::hash::Hash;
use std::rc::Rc;

use serde::Serialize;

use crate::base::{Failure, GroupId, NodeId, Violation};
use crate::check::guarded;
use crate::kernel;
use crate::trace::digest::ValueHasher;
use crate::trace::record::Kind;
use crate::world::world;

pub use fold::On;
pub(crate) use fold::{Folds, Scope};

/// The catalogue entry of an event type.
#[derive(Debug)]
pub struct EventKind {
    /// As in `raft.became_leader`: scenario files and traces use it.
    pub name: &'static str,
    /// The names of its fields.
    pub fields: &'static [&'static str],
    /// Their types, as they are written in Rust.
    pub types: &'static [&'static str],
    /// Where it is declared.
    pub module: &'static str,
}

impl EventKind {
    /// Whether a field is a node, by its type as it is written in Rust.
    pub(crate) fn is_node(kind: &str) -> bool {
        let plain: String = kind.chars().filter(|c| !c.is_whitespace()).collect();
        let plain = plain.strip_prefix("Option<").and_then(|rest| rest.strip_suffix('>')).unwrap_or(&plain);
        plain.rsplit("::").next() == Some("NodeId")
    }

    /// Whether the field of that name is a node.
    pub(crate) fn has_node(&self, field: &str) -> bool {
        let types = self.fields.iter().zip(self.types);
        types.into_iter().any(|(name, kind)| *name == field && EventKind::is_node(kind))
    }
}

/// All event types of the program, collected by the linker.
#[linkme::distributed_slice]
pub static EVENTS: [EventKind];

/// Something that happened in a system. Implemented by [`crate::event!`].
pub trait Event: Any + Debug + Hash + Serialize {
    /// Its catalogue entry.
    fn kind() -> &'static EventKind;
}

/// The position in the catalogue: dense, so that a subscription is found by indexing. It depends on the order in which
/// the linker laid out the entries, so it is used to find things and never reaches a digest or an order.
pub(crate) fn dense_id(kind: &'static EventKind) -> usize {
    (std::ptr::from_ref(kind).addr() - EVENTS.as_ptr().addr()) / size_of::<EventKind>()
}

/// Declares event types.
///
/// ```
/// sim::event! {
///     /// A server won an election.
///     "raft.became_leader" => pub struct BecameLeader {
///         /// The term that it leads.
///         pub term: u64,
///     }
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! event {
    ($($(#[$meta:meta])* $name:literal => $vis:vis struct $type:ident {
        $($(#[$field_meta:meta])* $field_vis:vis $field:ident : $field_type:ty),* $(,)?
    })+) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, $crate::private::serde::Serialize)]
        #[serde(crate = "sim::private::serde")]
        $vis struct $type { $($(#[$field_meta])* $field_vis $field: $field_type),* }

        impl $crate::event::Event for $type {
            fn kind() -> &'static $crate::event::EventKind {
                #[allow(unsafe_code, reason = "the linker section that collects the entries")]
                #[$crate::private::linkme::distributed_slice($crate::event::EVENTS)]
                #[linkme(crate = $crate::private::linkme)]
                static KIND: $crate::event::EventKind = $crate::event::EventKind {
                    name: $name,
                    fields: &[$(stringify!($field)),*],
                    types: &[$(stringify!($field_type)),*],
                    module: module_path!(),
                };
                &KIND
            }
        }
    )+};
}

/// When and where an event happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Virtual nanoseconds since the run began.
    pub at_ns: u64,
    /// The node that observed it.
    pub node: NodeId,
    /// The group that it is about: the node's home group, unless the code that observes names another.
    pub group: GroupId,
    /// Which life of the node.
    pub incarnation: u32,
    /// The number of the current poll, and the index of the observation within that poll, from 1; 0 between polls.
    pub(crate) poll: u64,
    pub(crate) observation: u32,
}

/// An event whose type is not known.
pub(crate) trait AnyEvent {
    fn as_any(&self) -> &dyn Any;
    fn fields(&self) -> toml::Table;
}

impl<E: Event> AnyEvent for E {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn fields(&self) -> toml::Table {
        toml::Table::try_from(self).unwrap_or_default()
    }
}

type Listener = Rc<dyn Fn(&Moment, &dyn AnyEvent) -> Result<(), Violation>>;

/// Called at the coordinates of a fault that has to strike in the middle of a poll.
type Striker = Rc<dyn Fn(&Moment)>;

/// A listener, and the invariant or selector that it belongs to.
#[derive(Clone)]
struct Subscription {
    owner: &'static str,
    scope: Scope,
    listener: Listener,
}

/// Who listens to what, in this run.
#[derive(Default)]
pub(crate) struct Hub {
    by_event: Vec<Rc<Vec<Subscription>>>,
    striker: Option<Striker>,
}

impl Hub {
    pub const EMPTY: Hub = Hub { by_event: Vec::new(), striker: None };

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.by_event.is_empty() && self.striker.is_none()
    }
}

/// Calls `listener` at each event of that kind. `owner` names the invariant that a violation belongs to. What the simulator
/// announces of a node reaches a listener of scope [`Scope::Group`] once for each group of the node.
pub(crate) fn subscribe(
    kind: &'static EventKind,
    owner: &'static str,
    scope: Scope,
    listener: impl Fn(&Moment, &dyn AnyEvent) -> Result<(), Violation> + 'static,
) {
    world(|world| {
        let mut hub = world.hub.borrow_mut();
        if hub.by_event.is_empty() {
            hub.by_event.resize_with(EVENTS.len(), Rc::default);
        }
        let subscription = Subscription { owner, scope, listener: Rc::new(listener) };
        Rc::make_mut(&mut hub.by_event[dense_id(kind)]).push(subscription);
    });
    kernel::with(|state| state.probes.listened_to(dense_id(kind)));
}

/// Calls `striker` at the observation that `State::strike` names. A frozen run's faults strike so.
pub(crate) fn on_strike(striker: impl Fn(&Moment) + 'static) {
    world(|world| world.hub.borrow_mut().striker = Some(Rc::new(striker)));
}

/// An exact fault is due at this moment.
pub(crate) fn strike(moment: &Moment) {
    if let Some(striker) = world(|world| world.hub.borrow().striker.clone()) {
        striker(moment);
    }
}

/// What the kernel needs to know of an event. `Hash` and `Debug` are the user's code, so they run before it is entered.
pub(crate) struct Told {
    pub name: &'static str,
    /// Of its fields.
    pub hash: u64,
    /// Only if a recorder will show it.
    pub text: Option<String>,
}

impl Told {
    /// `None` outside of a simulation.
    fn new<E: Event>(event: &E) -> Option<Told> {
        let shown = kernel::with_running(|state| state.shows(Kind::Event))?;
        let name = E::kind().name;
        let hash = ValueHasher::hash(event);
        Some(Told { name, hash, text: shown.then(|| format!("{event:?}")) })
    }
}

/// Reports an event of the node whose code is running, about its home group. See [`crate::observe!`].
pub fn observe<E: Event>(event: E) {
    observe_in(None, event);
}

/// Reports an event of the node whose code is running, about that group. See [`crate::observe!`].
pub fn observe_of<E: Event>(group: GroupId, event: E) {
    observe_in(Some(group), event);
}

fn observe_in<E: Event>(group: Option<GroupId>, event: E) {
    let id = dense_id(E::kind());
    let Some(told) = Told::new(&event) else { return };
    if let Some((moment, listened, due)) = kernel::with(|state| state.observed(id, group, told)) {
        if listened {
            publish(id, &moment, &event, &[moment.group]);
        }
        if due {
            strike(&moment);
        }
    }
}

/// Reports an event about `node` from outside of any node: what the simulator did to it.
pub(crate) fn announce<E: Event>(node: NodeId, event: E) {
    let id = dense_id(E::kind());
    let Some(told) = Told::new(&event) else { return };
    let (moment, listened) = kernel::with(|state| state.announced(node, id, told));
    if listened {
        let groups = kernel::with(|state| state.node(node).groups.clone());
        publish(id, &moment, &event, &groups);
    }
}

/// Tells the listeners, with nothing borrowed: they may resolve selectors and apply faults. `groups` are those that it is about.
fn publish(id: usize, moment: &Moment, event: &dyn AnyEvent, groups: &[GroupId]) {
    let subscriptions = world(|world| world.hub.borrow().by_event.get(id).cloned());
    let Some(subscriptions) = subscriptions else { return };
    for Subscription { owner, scope, listener } in subscriptions.iter() {
        let tell = |moment: &Moment| {
            let found = guarded(&format_args!("`{owner}`, which listens to events,"), || listener(moment, event));
            if let Some(Err(violation)) = found {
                fail(owner, *scope, moment, &violation);
            }
        };
        match scope {
            Scope::System => tell(moment),
            Scope::Group => groups.iter().for_each(|&group| tell(&Moment { group, ..*moment })),
        }
    }
}

#[cold]
fn fail(owner: &'static str, scope: Scope, moment: &Moment, violation: &Violation) {
    kernel::with(|state| {
        let (node, group) = (state.name_of(moment.node), state.group_name(moment.group));
        // The group of a role's name says nothing that the node's name does not.
        let is_default =
            scope == Scope::System || state.nodes.get(moment.node.index()).is_some_and(|node| node.role == group);
        let of = if is_default { String::new() } else { format!(", of {group}") };
        let text = format!("{node}{of}: {}", violation.explanation);
        state.fail(Failure::new(violation.signature(owner), moment.at_ns, text));
    });
}

/// Reports a protocol event: `observe!(BecameLeader { term })`. Invariants see it at once, and a fault that is triggered
/// by it takes effect here: after a crash nothing that the rest of the poll does has an effect.
///
/// `observe!(group: group, BecameLeader { term })` says that the event is about another group than the node's home group: see
/// [`group`](mod@crate::group).
#[macro_export]
macro_rules! observe {
    (group: $group:expr, $event:expr) => {
        $crate::event::observe_of($group, $event)
    };
    ($event:expr) => {
        $crate::event::observe($event)
    };
}

crate::event! {
    /// A node began a new incarnation.
    "sim.booted" => pub struct Booted {
        /// Which life of the node: 1 at first.
        pub incarnation: u32,
    }

    /// A node lost its memory, and unless it was killed also what it had not synced. Or it was down already, and lost its disk.
    "sim.crashed" => pub struct Crashed {
        /// The life that ended, now or before.
        pub incarnation: u32,
        /// Whether only the process died. The page cache is kept: a check may demand all that was written, synced or not.
        pub killed: bool,
        /// Whether its disk is gone too.
        pub wiped: bool,
    }
}
