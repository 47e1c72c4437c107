//! The director: decides when faults strike and whom, outside of the scheduler and of every task.
//!
//! Its agenda is asked before the kernel moves time, so a fault wins every tie at its nanosecond. Order on the agenda:
//! time; undoing before applying; then rules in file order (faults in the order in which they were applied). A fault
//! triggered by an event strikes at that very `observe!`, inside the poll.
//!
//! Whatever was drawn or resolved is written down with its exact moment: that list replays the run without the rules.

mod budget;
mod happened;
mod targets;

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::rc::Rc;

use crate::event::{self, AnyEvent, EVENTS, Moment};
use crate::fault::{self, Fault};
use crate::history;
use crate::kernel::{self, Stop};
use crate::node::NodeId;
use crate::run::failure::Failure;
use crate::scenario::plan::{Action, Every, Exact, FaultRule, MaxDown};
use crate::scenario::target::Targets;
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
