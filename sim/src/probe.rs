//! Probes: the places in a system's code that report to the harness or are steered by it.
//!
//! | probe | says |
//! |---|---|
//! | [`crate::observe!`] | this happened |
//! | [`crate::always!`] | this must hold whenever the line is reached |
//! | [`crate::sometimes!`] | this must have held at least once in a sweep |
//! | [`crate::reachable!`] | this line must be reached at least once in a sweep |
//! | [`crate::buggify!`] | misbehave here, legally, in some runs |
//! | [`crate::planted!`] | a known bug, off unless asked for by name |
//!
//! Outside of a simulation, in a unit test of a pure core say, they are inert, but for `always!`, which panics.
//!
//! Each site is registered in a static catalogue when the program is linked, so that a `sometimes!` on a line that was
//! never even reached is reported too.

use crate::base::GroupId;
use crate::base::seed::{Key, Probability, Purpose, Seed};
use crate::base::{Failure, NodeId};
use crate::event::{EVENTS, EventKind, Moment, Told};
use crate::kernel::{self, State};
use crate::trace::digest::{Tag, hash_bytes};
use crate::trace::record::Kind;
use crate::world::world;

/// What a probe is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProbeKind {
    /// [`crate::always!`]
    Always,
    /// [`crate::sometimes!`]
    Sometimes,
    /// [`crate::reachable!`]
    Reachable,
    /// [`crate::buggify!`]
    Buggify,
    /// [`crate::planted!`]
    Planted,
}

/// The catalogue entry of one probe site.
#[derive(Debug)]
pub struct Probe {
    /// What it is.
    pub kind: ProbeKind,
    /// Its name. Sites may share one.
    pub name: &'static str,
    /// The module that it is in.
    pub module: &'static str,
    /// The file that it is in.
    pub file: &'static str,
    /// The line that it is on.
    pub line: u32,
}

/// All probe sites of the program, collected by the linker.
#[linkme::distributed_slice]
pub static PROBES: [Probe];

/// The position in the catalogue; like an event's, only ever used to find things.
fn dense_id(probe: &'static Probe) -> usize {
    (std::ptr::from_ref(probe).addr() - PROBES.as_ptr().addr()) / size_of::<Probe>()
}

#[doc(hidden)]
#[macro_export]
macro_rules! probe {
    ($kind:ident, $name:literal) => {{
        #[allow(unsafe_code, reason = "the linker section that collects the entries")]
        #[$crate::private::linkme::distributed_slice($crate::probe::PROBES)]
        #[linkme(crate = $crate::private::linkme)]
        static SITE: $crate::probe::Probe = $crate::probe::Probe {
            kind: $crate::probe::ProbeKind::$kind,
            name: $name,
            module: module_path!(),
            file: file!(),
            line: line!(),
        };
        &SITE
    }};
}

/// `always!(cond, "name")` or `always!(cond, "name", "details {}", x)`: a failure of the run whenever `cond` is false.
#[macro_export]
macro_rules! always {
    ($cond:expr, $name:literal $(,)?) => {
        $crate::probe::always($crate::probe!(Always, $name), $cond, || String::new())
    };
    ($cond:expr, $name:literal, $($details:tt)+) => {
        $crate::probe::always($crate::probe!(Always, $name), $cond, || format!($($details)+))
    };
}

/// `sometimes!(cond, "name")`: a sweep in which `cond` was never true here reports it. Evaluates to nothing.
#[macro_export]
macro_rules! sometimes {
    ($cond:expr, $name:literal) => {
        $crate::probe::sometimes($crate::probe!(Sometimes, $name), $cond)
    };
}

/// `reachable!("name")`: a sweep that never got here reports it.
#[macro_export]
macro_rules! reachable {
    ($name:literal) => {
        $crate::probe::sometimes($crate::probe!(Reachable, $name), true)
    };
}

/// `buggify!("name")`: true now and then, in the runs in which the point is enabled: a quarter of them, if the scenario
/// allows buggify at all. For faults that code may commit without being wrong: a short batch, a needless delay. Like all faults
/// it ends with the heal, so that it may cost progress but never safety.
///
/// A point keeps every promise of its module however often it fires. It leaves replicated state alone, because replicas do not
/// draw alike. (FoundationDB's `BUGGIFY`; Zhou et al., "FoundationDB: A Distributed Unbundled Transactional Key Value Store",
/// SIGMOD 2021, section 4.)
#[macro_export]
macro_rules! buggify {
    ($name:literal) => {
        $crate::probe::buggify($crate::probe!(Buggify, $name))
    };
}

/// `planted!("raft.forget-vote")`: true if the run asked for this known bug. They prove that the harness finds bugs.
///
/// The site is half of a known bug; the other half is its declaration, [`Manifest::planted`](crate::Manifest::planted), which
/// names the oracles that it breaks and the scenarios that find it.
#[macro_export]
macro_rules! planted {
    ($name:literal) => {
        $crate::probe::planted($crate::probe!(Planted, $name))
    };
}

/// How likely an enabled buggify point fires each time it is reached.
const BUGGIFY_FIRES: f64 = 0.25;
/// How likely a point is enabled in a run.
const BUGGIFY_ENABLED: f64 = 0.25;

/// The state of all probes in one run.
pub(crate) struct ProbeState {
    events: Vec<EventState>,
    /// How often each site held (always, sometimes, reachable) or fired (buggify, planted).
    hits: Vec<u64>,
    planted: Vec<bool>,
    buggify: Vec<Buggify>,
    fires: Probability,
}

struct EventState {
    /// How often it happened.
    count: u64,
    /// Whether anybody listens.
    is_listened_to: bool,
    /// The hash of its name, for the digest.
    name: u64,
}

impl EventState {
    fn new(kind: &EventKind) -> EventState {
        EventState { count: 0, is_listened_to: false, name: hash_bytes(kind.name.as_bytes()) }
    }
}

#[derive(Clone, Copy)]
struct Buggify {
    enabled: bool,
    /// How many faults have switched it on.
    forced: u32,
    key: Option<Key>,
    reached: u64,
}

impl ProbeState {
    pub fn new() -> ProbeState {
        ProbeState {
            events: EVENTS.iter().map(EventState::new).collect(),
            hits: vec![0; PROBES.len()],
            planted: vec![false; PROBES.len()],
            buggify: vec![Buggify { enabled: false, forced: 0, key: None, reached: 0 }; PROBES.len()],
            fires: Probability::new(BUGGIFY_FIRES),
        }
    }

    pub fn listened_to(&mut self, event: usize) {
        self.events[event].is_listened_to = true;
    }

    /// Switches known bugs on.
    pub fn plant(&mut self, names: &[String]) {
        for (probe, on) in PROBES.iter().zip(&mut self.planted) {
            *on |= probe.kind == ProbeKind::Planted && names.iter().any(|name| name == probe.name);
        }
        world(|world| world.any_planted.set(self.planted.contains(&true)));
    }

    /// Enables buggify points: those named, or a drawn quarter. Returns the enabled names, sorted.
    pub fn enable_buggify(&mut self, seed: Seed, named: Option<&[String]>) -> Vec<String> {
        let mut enabled = std::collections::BTreeSet::new();
        for (probe, state) in PROBES.iter().zip(&mut self.buggify) {
            if probe.kind != ProbeKind::Buggify {
                continue;
            }
            let key = seed.key(Purpose::Buggify, probe.name);
            state.key = Some(key);
            state.enabled = match named {
                Some(names) => names.iter().any(|name| name == probe.name),
                None => key.draw(0, 0).chance(Probability::new(BUGGIFY_ENABLED)),
            };
            if state.enabled {
                enabled.insert(probe.name.to_owned());
            }
        }
        enabled.into_iter().collect()
    }

    /// Ends what [`ProbeState::enable_buggify`] began: the world is healed.
    pub fn disable_buggify(&mut self) {
        self.buggify.iter_mut().for_each(|point| point.enabled = false);
    }

    /// Switches points on for a fault, or off again: `by` is 1 or -1.
    pub fn force_buggify(&mut self, seed: Seed, by: i32, wanted: impl Fn(&str) -> bool) {
        for (probe, state) in PROBES.iter().zip(&mut self.buggify) {
            if probe.kind == ProbeKind::Buggify && wanted(probe.name) {
                state.forced = state.forced.saturating_add_signed(by);
                state.key.get_or_insert_with(|| seed.key(Purpose::Buggify, probe.name));
            }
        }
    }

    /// Event counts by name, those above zero.
    pub fn event_counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        EVENTS
            .iter()
            .zip(&self.events)
            .filter(|(_, event)| event.count > 0)
            .map(|(kind, event)| (kind.name, event.count))
    }

    /// The names of `sometimes!` and `reachable!` sites that held, sorted.
    pub fn held(&self) -> Vec<&'static str> {
        let mut held: Vec<&'static str> = PROBES
            .iter()
            .zip(&self.hits)
            .filter(|(probe, hits)| matches!(probe.kind, ProbeKind::Sometimes | ProbeKind::Reachable) && **hits > 0)
            .map(|(probe, _)| probe.name)
            .collect();
        held.sort_unstable();
        held.dedup();
        held
    }

    /// How often buggify points and known bugs fired.
    pub fn fired(&self, kind: ProbeKind) -> u64 {
        PROBES.iter().zip(&self.hits).filter(|(probe, _)| probe.kind == kind).map(|(_, hits)| hits).sum()
    }
}

impl State {
    /// An event of the running node: its moment, whether anybody listens, and whether an exact fault is due. `None` if
    /// the node is dead: the dead report nothing.
    #[inline]
    pub(crate) fn observed(&mut self, id: usize, group: Option<GroupId>, told: Told) -> Option<(Moment, bool, bool)> {
        let node = self.here();
        if !self.current.alive {
            return None;
        }
        self.observations += 1;
        let group = match group {
            None => self.node(node).home(),
            Some(group) => {
                self.seen_in(node, group);
                group
            }
        };
        let (moment, listened) = self.note_event(node, group, self.current.incarnation, id, told);
        Some((moment, listened, self.strike == Some((self.polls, self.observations))))
    }

    pub(crate) fn announced(&mut self, node: NodeId, id: usize, told: Told) -> (Moment, bool) {
        let incarnation = self.nodes[node.index()].incarnation;
        let home = self.node(node).home();
        self.note_event(node, home, incarnation, id, told)
    }

    fn note_event(&mut self, node: NodeId, group: GroupId, incarnation: u32, id: usize, told: Told) -> (Moment, bool) {
        let event = &mut self.probes.events[id];
        event.count += 1;
        let listened = event.is_listened_to;
        self.digest.event(Tag::Observe, u64::from(node.0), told.hash ^ event.name, self.now);
        if let Some(text) = told.text {
            self.record(node, Kind::Event, |state| {
                let is_home = state.nodes[node.index()].home() == group;
                let of = if is_home { String::new() } else { format!(" of {}", state.group_name(group)) };
                format!("{}{of} {}", told.name, state.show(&text)).trim_end().to_owned()
            });
        }
        let between_polls = self.current.node == NodeId::HOST;
        let (poll, observation) = (self.polls, if between_polls { 0 } else { self.observations });
        (Moment { at_ns: self.now, node, group, incarnation, poll, observation }, listened)
    }

    /// A value's `Debug` text on one line, with nodes by name and without the type's name: `{ view: 3, primary: server-0 }`.
    fn show(&self, text: &str) -> String {
        let text = match text.find(" { ") {
            Some(at) if text[..at].chars().all(char::is_alphanumeric) => &text[at + 1..],
            _ if text.chars().all(char::is_alphanumeric) => "",
            _ => text,
        };
        // `NodeId` prints as `node 3`.
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("node ") {
            let digits = rest[at + 5..].bytes().take_while(u8::is_ascii_digit).count();
            out.push_str(&rest[..at]);
            match rest[at + 5..at + 5 + digits].parse() {
                Ok(index) => out.push_str(&self.name_of(NodeId(index))),
                Err(_) => out.push_str("node "),
            }
            rest = &rest[at + 5 + digits..];
        }
        out + rest
    }
}

#[doc(hidden)]
#[track_caller]
pub fn always(site: &'static Probe, holds: bool, details: impl FnOnce() -> String) {
    let alive = kernel::with_running(|state| {
        if holds {
            state.probes.hits[dense_id(site)] += 1;
        }
        // The host is nobody, and not dead.
        state.current.alive || state.current.node == NodeId::HOST
    });
    assert!(holds || alive.is_some(), "`{}` does not hold: {}", site.name, details());
    if !holds && alive == Some(true) {
        let details = details();
        kernel::with(|state| {
            let node = state.name_of(state.current.node);
            let text = format!("{node}: `{}` does not hold at {}:{} {details}", site.name, site.file, site.line);
            let failure = Failure::new(format!("always:{}", site.name), state.now, text.trim_end().to_owned());
            state.fail(failure);
        });
    }
}

#[doc(hidden)]
pub fn sometimes(site: &'static Probe, holds: bool) {
    if holds {
        kernel::with_running(|state| {
            if state.current.alive {
                state.probes.hits[dense_id(site)] += 1;
            }
        });
    }
}

#[doc(hidden)]
pub fn buggify(site: &'static Probe) -> bool {
    let fired = kernel::with_running(|state| {
        let node = state.current.node;
        let fires = state.probes.fires;
        let point = &mut state.probes.buggify[dense_id(site)];
        let Some(key) = point.key.filter(|_| point.enabled || point.forced > 0) else { return false };
        point.reached += 1;
        let fired = key.draw(u64::from(node.0), point.reached).chance(fires);
        if fired && state.current.alive {
            state.probes.hits[dense_id(site)] += 1;
            state.effects.buggified += 1;
            state.digest.event(Tag::Buggify, u64::from(node.0), hash_bytes(site.name.as_bytes()), state.now);
            state.record(node, Kind::Fault, |_| format!("buggify {}", site.name));
        }
        fired
    });
    fired.unwrap_or(false)
}

#[doc(hidden)]
#[inline]
pub fn planted(site: &'static Probe) -> bool {
    world(|world| world.any_planted.get()) && is_planted(site)
}

#[cold]
fn is_planted(site: &'static Probe) -> bool {
    let on = kernel::with_running(|state| {
        let id = dense_id(site);
        let on = state.probes.planted[id];
        state.probes.hits[id] += u64::from(on);
        on
    });
    on.unwrap_or(false)
}
