//! The director: decides when faults strike and whom, outside of the scheduler and of every task.
//!
//! Its agenda is asked before the kernel moves time, so a fault wins every tie at its nanosecond. Order on the agenda:
//! time; undoing before applying; then rules in file order (faults in the order in which they were applied). A fault
//! triggered by an event strikes at that very `observe!`, inside the poll.
//!
//! Whatever was drawn or resolved is written down with its exact moment: that list replays the run without the rules.

mod agenda;
mod budget;
mod happened;
mod rule;
mod strike;
mod targets;
mod triggers;

use std::cell::RefCell;
use std::cmp::Reverse;
use std::rc::Rc;

use crate::base::seed::Seed;
use crate::base::{Failure, NodeId};
use crate::kernel::{self, Stop};
use crate::scenario::Plan;
use crate::scenario::max_down::MaxDown;
use crate::scenario::roster::Roster;
use crate::system::{Instance, NodeSpec, Protected};
use agenda::{Due, State};
pub(crate) use rule::Rule;

/// How to find the nodes of a selector.
pub(super) type Find = Rc<dyn Fn() -> Vec<NodeId>>;

/// The sets of nodes of which one each must survive.
type Protections = Rc<dyn Fn() -> Protected>;

pub(super) struct Director {
    instance: Rc<dyn Instance>,
    roster: Roster,
    selectors: Vec<(&'static str, Find)>,
    protected: Vec<Protections>,
    max_down: MaxDown,
    frozen: bool,
    /// Parameters on top of the scenario's own, by fault and node, oldest first.
    parameters: RefCell<Vec<(u32, NodeId, toml::Table)>>,
    state: RefCell<State>,
}

impl Director {
    pub fn new(instance: Rc<dyn Instance>, nodes: Vec<NodeSpec>, plan: &Plan, seed: Seed) -> Rc<Director> {
        let director = Rc::new(Director {
            selectors: instance.install_selectors(),
            protected: if plan.run.protect { instance.install_protected() } else { Vec::new() },
            instance,
            roster: Roster::new(nodes, plan.run.zones),
            max_down: plan.run.max_down.clone(),
            frozen: plan.frozen.is_some(),
            parameters: RefCell::default(),
            state: RefCell::new(State { rules: Rule::all(&plan.faults, seed), ..State::default() }),
        });
        director.listen();
        director
    }

    /// The main phase begins, and lasts `main` nanoseconds: times in the file count from now.
    pub fn begin_main(&self, main: u64) {
        let now = kernel::with(|state| state.now);
        let mut state = self.state.borrow_mut();
        state.in_main = true;
        state.main_ends = now.saturating_add(main);
        for index in 0..state.rules.len() {
            let rule = &state.rules[index];
            if let Some(after) = rule.first() {
                state.schedule(now.saturating_add(after), index, None);
            } else if let Some(exact) = rule.rule.exact {
                // Not earlier: one at the nanosecond at which set-up ends comes after set-up. What strikes inside a poll does
                // so before the nanosecond is over, or never.
                state.schedule(exact.ns.saturating_add(u64::from(exact.observation > 0)), index, None);
            }
        }
    }

    /// The main phase is over: everything is undone, in the order in which it was applied.
    pub fn heal(&self) {
        let ids: Vec<u32> = {
            let mut state = self.state.borrow_mut();
            state.in_main = false;
            state.agenda.clear();
            state.firings.clear();
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
                Some(Due::Step { firing }) => self.step(firing, None),
                Some(Due::Over { firing }) => self.end(firing),
                Some(Due::Fire { rule, about, .. }) => {
                    if self.strike_late(rule) && self.is_due(rule) {
                        self.fire(rule, None, about);
                    }
                    self.again(rule, now);
                }
            }
            self.serve_waiting();
        }
    }

    /// Whether a rule that comes up by the clock may fire. One that was triggered by an event was asked when it was.
    fn is_due(&self, index: usize) -> bool {
        let by_event = {
            let mut state = self.state.borrow_mut();
            let rule = &mut state.rules[index];
            rule.came += 1;
            rule.scheduled = rule.scheduled.saturating_sub(1);
            rule.rule.when.is_some()
        };
        by_event || self.is_time_for(index)
    }

    /// Sets the next time of an `every`.
    fn again(&self, index: usize, now: u64) {
        let mut state = self.state.borrow_mut();
        let rule = &state.rules[index];
        if let Some(later) = rule.again(rule.came)
            && rule.fired < rule.times()
            && state.in_main
        {
            state.schedule(now + later, index, None);
        }
    }
}

/// The node with that position in the roster.
fn id(index: usize) -> NodeId {
    NodeId::new(index as u16)
}

/// Fails the run because nothing can happen any more.
pub(super) fn deadlock(pending: usize) {
    kernel::with(|state| {
        let text = format!("nothing is runnable and no timer is set, but {pending} workloads are not done");
        state.fail(Failure::new("deadlock", state.now, text));
    });
}
