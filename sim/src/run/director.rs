//! The director: decides when faults strike and whom, outside of the scheduler and of every task.
//!
//! Its agenda is asked before the kernel moves time, so a fault wins every tie at its nanosecond. Order on the agenda:
//! time; undoing before applying; then rules in file order (faults in the order in which they were applied). A fault
//! triggered by an event strikes at that very `observe!`, inside the poll.
//!
//! Whatever was drawn or resolved is written down with its exact moment: that list replays the run without the rules.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::rc::Rc;

use super::dose::Dose;
use crate::check::guarded;
use crate::event::{self, AnyEvent, EVENTS, Moment};
use crate::fault::{self, Fault};
use crate::history;
use crate::kernel::{self, Stop};
use crate::node::NodeId;
use crate::run::failure::Failure;
use crate::scenario::freeze::FrozenFault;
use crate::scenario::plan::{Action, Every, Exact, FaultRule, MaxDown};
use crate::scenario::target::{Count, Target, Targets, glob_matches};
use crate::scenario::units::Time;
use crate::seed::{Draw, Key, Purpose, Seed};
use crate::system::Instance;

/// Which draw of a rule's stream is for what; targets use the slots from `TARGETS` on.
mod slot {
    pub const EVERY: u64 = 0;
    pub const LASTS: u64 = 1;
    pub const ACTION: u64 = 2;
    pub const TARGETS: u64 = 3;
}

struct Rule {
    name: String,
    rule: FaultRule,
    key: Key,
    /// How often its trigger matched, it fired, and the fault happened.
    matched: u64,
    fired: u64,
    happened: u64,
}

impl Rule {
    fn draw(&self, slot: u64, i: u64) -> Draw {
        self.key.draw(slot, i)
    }

    fn span(&self, every: &Every, slot: u64, i: u64) -> u64 {
        match every {
            Every::Fixed(time) => time.nanos(),
            Every::Drawn { draw: (low, high) } => self.draw(slot, i).between(low.nanos(), high.nanos()),
        }
    }

    fn times(&self) -> u64 {
        self.rule.times.unwrap_or(if self.rule.every.is_some() { u64::MAX } else { 1 })
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Undo { id: u32 },
    Fire { rule: usize, sequence: u64 },
}

struct Active {
    rule: usize,
    fault: Fault<Vec<NodeId>>,
}

struct Happened {
    name: String,
    fault: Fault<Vec<NodeId>>,
    exact: Exact,
    lasts: Option<u64>,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    agenda: BinaryHeap<Reverse<(u64, Due)>>,
    sequence: u64,
    active: BTreeMap<u32, Active>,
    happened: Vec<Happened>,
    /// Triggers that matched while a fault was being applied; they are served when it is.
    waiting: Vec<(usize, Moment)>,
    applying: bool,
    in_main: bool,
    /// Exact faults that strike inside a poll: (poll, observation, rule), soonest last.
    strikes: Vec<(u64, u32, usize)>,
}

/// How to find the nodes of a selector.
pub(super) type Find = Rc<dyn Fn() -> Vec<NodeId>>;

/// The groups of nodes of which one each must survive.
type Groups = Rc<dyn Fn() -> Vec<Vec<NodeId>>>;

/// A node: id, name, role.
pub(super) type NodeEntry = (NodeId, String, String);

pub(super) struct Director {
    instance: Rc<dyn Instance>,
    nodes: Vec<NodeEntry>,
    selectors: Vec<(&'static str, Find)>,
    protected: Vec<Groups>,
    max_down: MaxDown,
    frozen: bool,
    state: RefCell<State>,
}

impl Director {
    pub fn new(
        instance: Rc<dyn Instance>,
        nodes: Vec<NodeEntry>,
        rules: &[FaultRule],
        seed: Seed,
        max_down: MaxDown,
        frozen: bool,
    ) -> Rc<Director> {
        let rules: Vec<Rule> = rules
            .iter()
            .enumerate()
            .map(|(i, rule)| {
                let name = rule.name.as_ref().map_or_else(|| format!("fault-{}", i + 1), |name| name.get_ref().clone());
                let key = seed.key(Purpose::Nemesis, &name);
                Rule { name, rule: rule.clone(), key, matched: 0, fired: 0, happened: 0 }
            })
            .collect();
        let director = Rc::new(Director {
            selectors: instance.install_selectors(),
            protected: instance.install_protected(),
            instance,
            nodes,
            max_down,
            frozen,
            state: RefCell::new(State { rules, ..State::default() }),
        });
        director.listen();
        director
    }

    /// Subscribes the triggers, and the exact faults that strike inside a poll.
    fn listen(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        let mut ops: Vec<(usize, String)> = Vec::new();
        for (index, rule) in state.rules.iter().enumerate() {
            let Some(when) = &rule.rule.when else { continue };
            if let Some(name) = &when.get_ref().event
                && let Some(kind) = EVENTS.iter().find(|kind| kind.name == name.as_str())
            {
                let director = Rc::downgrade(self);
                event::subscribe(kind, "scenario", move |moment, event| {
                    if let Some(director) = director.upgrade() {
                        director.matched(index, moment, Some(event));
                    }
                    Ok(())
                });
            }
            ops.extend(when.get_ref().op.clone().map(|op| (index, op)));
        }
        if !ops.is_empty() {
            let director = Rc::downgrade(self);
            history::on_invoke(move |moment, kind| {
                let Some(director) = director.upgrade() else { return };
                for (index, op) in &ops {
                    if op == kind {
                        director.matched(*index, moment, None);
                    }
                }
            });
        }
        let mut exact: Vec<(usize, Exact)> =
            state.rules.iter().enumerate().filter_map(|(i, rule)| Some((i, rule.rule.exact?))).collect();
        exact.retain(|(_, exact)| exact.observation > 0);
        if !exact.is_empty() {
            // Soonest last; those of one moment in file order.
            state.strikes = exact.iter().rev().map(|(i, exact)| (exact.poll, exact.observation, *i)).collect();
            state.await_strike();
            let director = Rc::downgrade(self);
            event::on_strike(move |moment| {
                if let Some(director) = director.upgrade() {
                    director.strike(moment);
                }
            });
        }
    }

    /// The main phase begins: times in the file count from now.
    pub fn begin_main(&self) {
        let now = kernel::with(|state| state.now);
        let mut state = self.state.borrow_mut();
        state.in_main = true;
        for index in 0..state.rules.len() {
            let rule = &state.rules[index];
            let delay = rule.rule.delay.nanos();
            if let Some(at) = &rule.rule.at {
                let at = now + at.get_ref().nanos() + delay;
                state.schedule(at, index);
            } else if let Some(every) = &rule.rule.every {
                let at = now + rule.span(every.get_ref(), slot::EVERY, 0) + delay;
                state.schedule(at, index);
            } else if let Some(exact) = rule.rule.exact.filter(|exact| exact.observation == 0) {
                // Not earlier: one at the nanosecond at which set-up ends comes after set-up.
                state.schedule(exact.ns, index);
            }
        }
    }

    /// The main phase is over: everything is undone, in the order in which it was applied.
    pub fn heal(&self) {
        let ids: Vec<u32> = {
            let mut state = self.state.borrow_mut();
            state.in_main = false;
            state.agenda.clear();
            state.strikes.clear();
            state.active.keys().copied().collect()
        };
        kernel::with(|state| state.strike = None);
        for id in ids {
            self.undo(id);
        }
    }

    /// Lets the world run until `deadline`, or until `done` says so when the kernel halts. False if nothing can happen
    /// any more though it is not done: a deadlock.
    pub fn run_until(&self, deadline: u64, done: &dyn Fn() -> bool) -> bool {
        loop {
            if kernel::with(|state| !state.failures.is_empty()) || done() {
                return true;
            }
            let now = kernel::with(|state| {
                state.halted = false;
                state.now
            });
            self.serve(now);
            if kernel::with(|state| state.halted) {
                continue;
            }
            let next = self.state.borrow().agenda.peek().map(|due| due.0.0);
            if next.is_none_or(|next| next > deadline) && now >= deadline {
                return true;
            }
            let horizon = next.map_or(deadline, |next| next.min(deadline));
            if kernel::run_to(horizon) == Stop::Idle {
                if next.is_none() && !done() {
                    return false;
                }
                kernel::with(|state| state.advance_to(state.horizon));
            }
        }
    }

    /// Everything on the agenda that is due.
    fn serve(&self, now: u64) {
        loop {
            let due = {
                let mut state = self.state.borrow_mut();
                match state.agenda.peek() {
                    Some(Reverse((at, _))) if *at <= now => state.agenda.pop().map(|due| due.0.1),
                    _ => None,
                }
            };
            match due {
                None => return,
                Some(Due::Undo { id }) => self.undo(id),
                Some(Due::Fire { rule, .. }) => {
                    self.fire(rule, None);
                    self.again(rule, now);
                }
            }
            self.serve_waiting();
        }
    }

    /// Sets the next time of an `every`.
    fn again(&self, index: usize, now: u64) {
        let mut state = self.state.borrow_mut();
        let rule = &state.rules[index];
        if let Some(every) = &rule.rule.every
            && rule.fired < rule.times()
            && state.in_main
        {
            let at = now + rule.span(every.get_ref(), slot::EVERY, rule.fired).max(1);
            state.schedule(at, index);
        }
    }

    /// An event or an operation that a rule waits for, perhaps.
    fn matched(&self, index: usize, moment: &Moment, event: Option<&dyn AnyEvent>) {
        let when = {
            let state = self.state.borrow();
            let rule = &state.rules[index];
            if !state.in_main || rule.fired >= rule.times() {
                return;
            }
            match &rule.rule.when {
                Some(when) => when.get_ref().clone(),
                None => return,
            }
        };
        if let Some(event) = event
            && !when.fields.is_empty()
        {
            let fields = event.fields();
            if !when.fields.iter().all(|(name, wanted)| fields.get(name).is_some_and(|found| same(found, wanted))) {
                return;
            }
        }
        if let Some(nodes) = &when.node
            && !self.resolve(nodes, &[], &mut |_| Draw(0)).contains(&moment.node)
        {
            return;
        }
        {
            let mut state = self.state.borrow_mut();
            let rule = &mut state.rules[index];
            rule.matched += 1;
            if rule.matched < when.nth.unwrap_or(1) {
                return;
            }
            let delay = rule.rule.delay.nanos();
            // Outside of a poll there is nothing to strike in the middle of: the agenda keeps one order for all that
            // happens at this nanosecond, which a frozen run has too.
            if delay > 0 || moment.observation == 0 {
                // Counted now, so that a storm of events before the delay is over fires it no more often than `times`.
                if rule.matched - when.nth.unwrap_or(1) < rule.times() {
                    state.schedule(moment.at_ns + delay, index);
                }
                return;
            }
            state.waiting.push((index, *moment));
            if state.applying {
                return;
            }
        }
        self.serve_waiting();
    }

    /// Exact faults that are due at this observation.
    fn strike(&self, moment: &Moment) {
        loop {
            let rule = {
                let mut state = self.state.borrow_mut();
                match state.strikes.last() {
                    Some(&(poll, observation, rule)) if (poll, observation) == (moment.poll, moment.observation) => {
                        state.strikes.pop();
                        rule
                    }
                    _ => {
                        state.await_strike();
                        return;
                    }
                }
            };
            self.fire(rule, Some(moment));
        }
    }

    fn serve_waiting(&self) {
        loop {
            let next = {
                let mut state = self.state.borrow_mut();
                if state.applying || state.waiting.is_empty() { None } else { Some(state.waiting.remove(0)) }
            };
            let Some((rule, moment)) = next else { return };
            self.fire(rule, Some(&moment));
        }
    }

    /// A rule fires: draw, resolve, ask the budget, apply, write down.
    fn fire(&self, index: usize, moment: Option<&Moment>) {
        let (action, lasts, i) = {
            let mut state = self.state.borrow_mut();
            let rule = &mut state.rules[index];
            if rule.fired >= rule.times() {
                return;
            }
            let i = rule.fired;
            rule.fired += 1;
            let rule = &state.rules[index];
            let lasts = rule.rule.lasts.as_ref().map(|lasts| rule.span(lasts, slot::LASTS, i));
            (choose(rule.rule.what.get_ref(), rule.draw(slot::ACTION, i)), lasts, i)
        };
        let Some(fault) = self.resolve_fault(action, index, i) else {
            kernel::with(|state| state.effects.missed += 1);
            return;
        };
        if !self.frozen
            && let Some(why) = self.over_budget(&fault)
        {
            kernel::with(|state| {
                state.effects.refused += 1;
                let text = format!("refused: {} ({why})", fault::describe(state, &fault));
                state.record(NodeId::HOST, crate::trace::record::Kind::Fault, |_| text);
            });
            return;
        }
        let (id, exact) = kernel::with(|state| {
            state.injected += 1;
            let observation = moment.map_or(0, |moment| moment.observation);
            let poll = moment.map_or(state.polls, |moment| moment.poll);
            (state.injected, Exact { ns: state.now, poll, observation })
        });
        {
            let mut state = self.state.borrow_mut();
            let rule = &mut state.rules[index];
            rule.happened += 1;
            let name = rule.name.clone();
            state.happened.push(Happened { name, fault: fault.clone(), exact, lasts });
            // A restart is over when it has happened.
            if !matches!(fault, Fault::Restart(_)) {
                state.active.insert(id, Active { rule: index, fault: fault.clone() });
            }
            if let Some(lasts) = lasts {
                state.push(exact.ns.saturating_add(lasts), Due::Undo { id });
            }
            state.applying = true;
        }
        fault::apply(id, &fault, &|node, with| self.main_of(node, with));
        self.state.borrow_mut().applying = false;
        if lasts.is_none() {
            self.over(index);
        }
    }

    fn undo(&self, id: u32) {
        let Some(active) = self.state.borrow_mut().active.remove(&id) else { return };
        self.state.borrow_mut().applying = true;
        fault::undo(id, &active.fault, &|node, with| self.main_of(node, with));
        kernel::bury();
        self.state.borrow_mut().applying = false;
        self.over(active.rule);
    }

    /// Rules that wait for this one to be over.
    fn over(&self, index: usize) {
        let now = kernel::with(|state| state.now);
        let mut state = self.state.borrow_mut();
        if !state.in_main {
            return;
        }
        let name = state.rules[index].name.clone();
        let waiting: Vec<(usize, u64)> = (0..state.rules.len())
            .filter(|&i| state.rules[i].rule.after.as_ref().is_some_and(|after| *after.get_ref() == name))
            .map(|i| (i, now + state.rules[i].rule.delay.nanos()))
            .collect();
        for (i, at) in waiting {
            state.schedule(at, i);
        }
    }

    fn main_of(&self, node: NodeId, with: Option<&toml::Table>) -> Option<crate::system::RoleMain> {
        let role = &self.nodes[node.index()].2;
        // Bad values were reported when the scenario was checked.
        self.instance.boot(role, with).ok().flatten()
    }

    // ---- targets ----------------------------------------------------------------------------------------------

    /// The fault with its nodes, or `None` if there is nobody to hit.
    fn resolve_fault(&self, fault: Fault<Targets>, index: usize, i: u64) -> Option<Fault<Vec<NodeId>>> {
        let key = self.state.borrow().rules[index].key;
        let mut next = slot::TARGETS;
        let mut draw = |_: &Targets| {
            next += 1;
            key.draw(next, i)
        };
        let mut taken: Vec<NodeId> = Vec::new();
        let partition = matches!(fault, Fault::Partition { .. });
        let fault = fault.map(|targets| {
            let mut nodes = self.resolve(&targets, &taken, &mut |_| draw(&targets));
            if partition {
                // A node is on one side only: the first that names it.
                nodes.retain(|node| !taken.contains(node));
                taken.extend(&nodes);
            }
            nodes
        });
        let up = |nodes: Vec<NodeId>| -> Vec<NodeId> {
            kernel::with(|state| nodes.into_iter().filter(|&node| state.node(node).up).collect())
        };
        let fault = match fault {
            Fault::Crash(nodes) => Fault::Crash(up(nodes)),
            Fault::Restart(nodes) => Fault::Restart(up(nodes)),
            Fault::Pause(nodes) => Fault::Pause(up(nodes)),
            other => other,
        };
        let enough = match &fault {
            Fault::Partition { groups, .. } => groups.iter().filter(|group| !group.is_empty()).count() >= 2,
            other => other.targets().iter().all(|nodes| !nodes.is_empty()),
        };
        enough.then_some(fault)
    }

    fn resolve(&self, targets: &Targets, taken: &[NodeId], draw: &mut dyn FnMut(&Target) -> Draw) -> Vec<NodeId> {
        let mut found: Vec<NodeId> = Vec::new();
        for target in &targets.0 {
            for node in self.resolve_one(target, taken, draw) {
                if !found.contains(&node) {
                    found.push(node);
                }
            }
        }
        found
    }

    fn resolve_one(&self, target: &Target, taken: &[NodeId], draw: &mut dyn FnMut(&Target) -> Draw) -> Vec<NodeId> {
        let every = || self.nodes.iter().map(|(id, ..)| *id);
        match target {
            Target::All => every().collect(),
            Target::Rest => every().filter(|id| !taken.contains(id)).collect(),
            Target::Name(name) => self.named(name),
            Target::Random { count, of } => {
                let mut pool = self.resolve_one(of, taken, draw);
                let wanted = match count {
                    Count::Nodes(n) => (*n as usize).min(pool.len()),
                    Count::Minority => pool.len().saturating_sub(1) / 2,
                    Count::Majority => pool.len() / 2 + 1,
                };
                let mut picked: Vec<NodeId> = (0..wanted.min(pool.len()))
                    .map(|_| pool.remove(draw(target).below(pool.len() as u64) as usize))
                    .collect();
                picked.sort_unstable();
                picked
            }
        }
    }

    /// A selector, a node, a role or a glob, in this order.
    fn named(&self, name: &str) -> Vec<NodeId> {
        if let Some((_, find)) = self.selectors.iter().find(|(known, _)| *known == name) {
            return guarded(&format_args!("the selector `{name}`"), || find()).unwrap_or_default();
        }
        let matching = |wanted: &dyn Fn(&NodeEntry) -> bool| -> Vec<NodeId> {
            self.nodes.iter().filter(|node| wanted(node)).map(|(id, ..)| *id).collect()
        };
        let exact = matching(&|node| node.1 == name);
        if !exact.is_empty() {
            return exact;
        }
        let role = matching(&|node| node.2 == name);
        if !role.is_empty() { role } else { matching(&|node| glob_matches(name, &node.1)) }
    }

    // ---- the budget -------------------------------------------------------------------------------------------

    /// Why the fault may not happen, if it may not.
    fn over_budget(&self, fault: &Fault<Vec<NodeId>>) -> Option<String> {
        let destroyed: BTreeSet<NodeId> = fault.destroys().iter().copied().collect();
        let dies = |group: &Vec<NodeId>| !group.is_empty() && group.iter().all(|node| destroyed.contains(node));
        if !destroyed.is_empty()
            && self
                .protected
                .iter()
                .any(|groups| guarded(&"what is protected", || groups()).is_some_and(|groups| groups.iter().any(dies)))
        {
            return Some("it would destroy the last copy".to_owned());
        }
        let mut by_role: BTreeMap<&str, usize> = BTreeMap::new();
        let up = |node: &&NodeId| kernel::with(|state| state.node(**node).up);
        for node in fault.takes_down().iter().filter(up) {
            *by_role.entry(&self.nodes[node.index()].2).or_default() += 1;
        }
        for (role, more) in by_role {
            let of_role = self.nodes.iter().filter(|(_, _, of)| of == role);
            let (down, all) = kernel::with(|state| {
                of_role.fold((0, 0), |(down, all), (id, ..)| (down + usize::from(!state.node(*id).up), all + 1))
            });
            let allowed = match self.max_down {
                MaxDown::All => continue,
                MaxDown::Nodes(n) => n,
                MaxDown::Minority => (all - 1) / 2,
            };
            if down + more > allowed {
                return Some(format!("{down} of {all} {role} nodes are down and max_down allows {allowed}"));
            }
        }
        None
    }

    // ---- what happened ----------------------------------------------------------------------------------------

    pub fn add_to(&self, dose: &mut Dose) {
        for happened in &self.state.borrow().happened {
            *dose.entry(happened.fault.name().to_owned()).or_default() += 1;
        }
    }

    /// For an expectation that was not met: what became of each rule.
    pub fn explain(&self) -> String {
        let state = self.state.borrow();
        let lines = state.rules.iter().map(|rule| {
            let Rule { name, fired, happened, matched, .. } = rule;
            match (fired, happened) {
                (0, _) if rule.rule.when.is_some() => {
                    format!("{name} never fired (its trigger matched {matched} times)")
                }
                (0, _) => format!("{name} never fired"),
                _ if fired == happened => format!("{name} happened {happened} times"),
                _ => format!(
                    "{name} fired {fired} times and happened {happened}: else refused by the budget, or nobody to hit"
                ),
            }
        });
        lines.collect::<Vec<_>>().join("; ")
    }

    pub fn frozen_faults(&self) -> Vec<FrozenFault> {
        let name_of = |id: NodeId| self.nodes[id.index()].1.clone();
        let state = self.state.borrow();
        let each = state.happened.iter().enumerate().map(|(i, happened)| FrozenFault {
            name: format!("{}-{}", happened.name, i + 1),
            fault: happened.fault.clone().map(|nodes| nodes.into_iter().map(name_of).collect()),
            exact: happened.exact,
            lasts: happened.lasts.map(Time::from_nanos),
        });
        each.collect()
    }

    /// One line for each fault that happened.
    pub fn lines(&self) -> Vec<String> {
        let state = self.state.borrow();
        kernel::with(|kernel| {
            let line = |happened: &Happened| {
                let lasts = happened.lasts.map_or(String::new(), |lasts| format!(" for {}", Time::from_nanos(lasts)));
                let at = crate::time::Stamp(happened.exact.ns);
                format!("{at} {}: {}{lasts}", happened.name, fault::describe(kernel, &happened.fault))
            };
            state.happened.iter().map(line).collect()
        })
    }
}

impl State {
    fn schedule(&mut self, at: u64, rule: usize) {
        self.sequence += 1;
        let sequence = self.sequence;
        self.push(at, Due::Fire { rule, sequence });
    }

    fn push(&mut self, at: u64, due: Due) {
        // In the middle of a poll other polls of this nanosecond may follow: the next moment that is surely between two
        // steps, and the same in a frozen run, is the next nanosecond. The kernel is under way to a horizon that may lie
        // behind it.
        let at = kernel::with(|state| {
            let at = if state.current.node == NodeId::HOST { at } else { at.max(state.now + 1) };
            state.horizon = state.horizon.min(at);
            at
        });
        self.agenda.push(Reverse((at, due)));
    }

    fn await_strike(&mut self) {
        let next = self.strikes.last().map(|&(poll, observation, _)| (poll, observation));
        kernel::with(|state| state.strike = next);
    }
}

fn choose(action: &Action, draw: Draw) -> Fault<Targets> {
    match action {
        Action::Fault(fault) => fault.clone(),
        Action::OneOf(choices) => {
            let total = choices.iter().map(|choice| choice.weight).sum();
            let mut at = draw.below(total);
            for choice in choices {
                if at < choice.weight {
                    return choice.fault.clone();
                }
                at -= choice.weight;
            }
            unreachable!("the draw is below the sum of the weights")
        }
    }
}

/// A field's value and the wanted one; a node may be wanted by name.
fn same(found: &toml::Value, wanted: &toml::Value) -> bool {
    match (found, wanted) {
        (toml::Value::Integer(index), toml::Value::String(name)) => {
            u16::try_from(*index).is_ok_and(|index| NodeId::new(index).name() == *name)
        }
        _ => found == wanted,
    }
}

/// Fails the run because nothing can happen any more.
pub(super) fn deadlock(pending: usize) {
    kernel::with(|state| {
        let text = format!("nothing is runnable and no timer is set, but {pending} workloads are not done");
        state.fail(Failure::new("deadlock", state.now, text));
    });
}
