//! From a rule that comes up to a fault that happens, and to the end of it.

use super::agenda::{Active, Due, Firing, Happened};
use super::rule::slot;
use super::{Director, targets};
use crate::base::NodeId;
use crate::event::Moment;
use crate::fault::nemesis::{Course, Step};
use crate::fault::{self, Fault, Nemesis, Stage};
use crate::kernel::{self, BoxFuture};
use crate::scenario::plan::{Exact, What};
use crate::scenario::target::Targets;
use crate::system::{OPERATOR, RoleMain, of_role};
use crate::trace::record::Kind;

/// Who asks for a fault.
struct Cause<'a> {
    rule: usize,
    /// The poll that it strikes in the middle of.
    moment: Option<&'a Moment>,
    /// Whether the rule is over with this fault.
    ends_rule: bool,
}

impl Director {
    /// A rule fires: draw, resolve, ask the budget, apply, write down.
    pub(super) fn fire(&self, index: usize, moment: Option<&Moment>, about: Option<NodeId>) {
        let (what, lasts, i) = {
            let mut state = self.state.borrow_mut();
            let rule = &mut state.rules[index];
            if rule.fired >= rule.times() {
                return;
            }
            // By the clock a rule draws for the i-th time that it comes up, so that a plan can tell beforehand.
            let i = if rule.rule.when.is_some() { rule.tried } else { rule.came.saturating_sub(1) };
            rule.tried += 1;
            let rule = &state.rules[index];
            (rule.what(i).clone(), rule.lasts(i), i)
        };
        match what {
            What::Fault(fault) => match self.resolve_fault(fault, index, i, about) {
                Ok(fault) => self.happen(Cause { rule: index, moment, ends_rule: true }, fault, lasts),
                Err(why) => self.missed(index, why),
            },
            What::Nemesis(nemesis) => {
                self.begin(nemesis, Cause { rule: index, moment, ends_rule: true }, i, lasts, about)
            }
        }
    }

    fn missed(&self, index: usize, why: String) {
        kernel::with(|state| state.effects.missed += 1);
        self.state.borrow_mut().rules[index].prevent(why);
    }

    /// A nemesis sets out: it does its first step now, and from then on the agenda has its steps.
    fn begin(&self, nemesis: Nemesis<Targets>, cause: Cause<'_>, i: u64, lasts: Option<u64>, about: Option<NodeId>) {
        let key = self.state.borrow().rules[cause.rule].key;
        let mut next = slot::TARGETS;
        let mut draw = || {
            next += 1;
            key.draw(next, i)
        };
        let name = nemesis.name();
        let wanted = nemesis.nodes().to_string();
        let nemesis = nemesis.map(|targets| self.resolve(&targets, &[], about, &mut draw));
        let found = nemesis.nodes().len();
        let now = kernel::with(|state| state.now);
        let ends = lasts.map_or(self.state.borrow().main_ends, |lasts| now.saturating_add(lasts));
        let Some(mut course) = Course::new(nemesis, ends.saturating_sub(now), self.roster.nodes.len(), &mut draw)
        else {
            return self.missed(cause.rule, format!("`{name}` takes more nodes: `{wanted}` named {found}"));
        };
        if course.is_one_fault() {
            return self.happen(cause, course.next().fault, lasts);
        }
        let firing = {
            let mut state = self.state.borrow_mut();
            state.begun += 1;
            let firing = state.begun;
            let first = course.first();
            state.rules[cause.rule].fired += 1;
            state.firings.insert(firing, Firing { rule: cause.rule, course, ends });
            if lasts.is_some() {
                state.push(ends, Due::Over { firing });
            }
            if first > 0 {
                state.push(now.saturating_add(first), Due::Step { firing });
                return;
            }
            firing
        };
        self.step(firing, cause.moment);
    }

    /// The next step of a nemesis.
    pub(super) fn step(&self, firing: u32, moment: Option<&Moment>) {
        let now = kernel::with(|state| state.now);
        let (Step { fault, lasts, then }, rule, left, main_ends) = {
            let mut state = self.state.borrow_mut();
            let main_ends = state.main_ends;
            let Some(Firing { rule, course, ends }) = state.firings.get_mut(&firing) else { return };
            (course.next(), *rule, ends.saturating_sub(now), main_ends)
        };
        // What would go on for longer than the nemesis ends with it; what ends with the main phase needs no end of its own.
        let lasts = Some(lasts.min(left)).filter(|lasts| now.saturating_add(*lasts) < main_ends);
        match targets::hits(fault) {
            Ok(fault) => self.happen(Cause { rule, moment, ends_rule: false }, fault, lasts),
            Err(why) => self.missed(rule, why),
        }
        let mut state = self.state.borrow_mut();
        match (then, lasts) {
            (Some(then), _) if then < left => state.push(now.saturating_add(then), Due::Step { firing }),
            // One without an end of its own is over when its last fault is.
            (None, Some(lasts)) if now.saturating_add(left) == main_ends => {
                state.push(now.saturating_add(lasts), Due::Over { firing });
            }
            _ => {}
        }
    }

    /// A nemesis is over.
    pub(super) fn end(&self, firing: u32) {
        let firing = self.state.borrow_mut().firings.remove(&firing);
        if let Some(firing) = firing {
            self.over(firing.rule);
        }
    }

    /// A fault happens, unless the budget refuses it.
    fn happen(&self, cause: Cause<'_>, fault: Fault<Vec<NodeId>>, lasts: Option<u64>) {
        let Cause { rule: index, moment, ends_rule } = cause;
        if !self.frozen
            && let Some(why) = self.over_budget(&fault)
        {
            kernel::with(|state| {
                state.effects.refused += 1;
                let text = format!("refused: {} ({why})", fault::describe(state, &fault));
                state.record(NodeId::HOST, Kind::Fault, |_| text);
            });
            self.state.borrow_mut().rules[index].prevent(why);
            return;
        }
        let (id, exact, before) = kernel::with(|state| {
            state.injected += 1;
            let observation = moment.map_or(0, |moment| moment.observation);
            let poll = moment.map_or(state.polls, |moment| moment.poll);
            let before = fault.evidence().map_or(0, |(count, _)| count(&state.effects));
            (state.injected, Exact { ns: state.now, poll, observation }, before)
        });
        {
            let mut state = self.state.borrow_mut();
            let rule = &mut state.rules[index];
            rule.happened += 1;
            rule.fired += u64::from(ends_rule);
            let name = rule.name.clone();
            state.happened.push(Happened { name, fault: fault.clone(), exact, lasts });
            if !fault.is_momentary() {
                state.active.insert(id, Active { rule: index, fault: fault.clone(), ends_rule, before });
            }
            if let Some(lasts) = lasts {
                state.push(exact.ns.saturating_add(lasts), Due::Undo { id });
            }
            state.applying = true;
        }
        fault::apply(id, &fault, self);
        self.state.borrow_mut().applying = false;
        if ends_rule && (lasts.is_none() || fault.is_momentary()) {
            self.over(index);
        }
    }

    pub(super) fn undo(&self, id: u32) {
        let Some(Active { rule, fault, ends_rule, before }) = self.state.borrow_mut().active.remove(&id) else {
            return;
        };
        if let Some((count, means)) = fault.evidence() {
            let idle = kernel::with(|state| {
                let idle = count(&state.effects) == before;
                state.effects.idle_faults += u64::from(idle);
                idle
            });
            if idle {
                let rule = &mut self.state.borrow_mut().rules[rule];
                rule.idle += 1;
                rule.idle_means = means;
            }
        }
        self.state.borrow_mut().applying = true;
        fault::undo(id, &fault, self);
        kernel::bury();
        self.state.borrow_mut().applying = false;
        if ends_rule {
            self.over(rule);
        }
    }
}

impl Stage for Director {
    fn main_of(&self, node: NodeId) -> Option<RoleMain> {
        let mut with = toml::Table::new();
        for (_, on, table) in self.parameters.borrow().iter() {
            if *on == node {
                with.extend(table.clone());
            }
        }
        // Bad values were reported when the scenario was checked.
        self.instance.boot(&self.roster.nodes[node.index()].role, Some(&with)).ok().flatten()
    }

    fn is_held_down(&self, node: NodeId) -> bool {
        self.state.borrow().active.values().any(|active| active.fault.takes_down().contains(&node))
    }

    fn reconfigure(&self, node: NodeId, fault: u32, with: Option<&toml::Table>) {
        let mut parameters = self.parameters.borrow_mut();
        match with {
            Some(with) => parameters.push((fault, node, with.clone())),
            None => parameters.retain(|(of, on, _)| (*of, *on) != (fault, node)),
        }
    }

    fn action(&self, name: &str, args: &toml::Table, on: Option<&[NodeId]>) -> Option<(NodeId, BoxFuture)> {
        let operator = self.operator(on)?;
        let action = self.instance.action(name, args.clone()).ok().flatten()?;
        Some((operator, action))
    }
}

impl Director {
    /// The node that an action runs on: the first operator that is up, of these or of all.
    pub(super) fn operator(&self, on: Option<&[NodeId]>) -> Option<NodeId> {
        let is_up = |id: &NodeId| kernel::with(|state| state.node(*id).up);
        let wanted = |id: &NodeId| on.is_none_or(|on| on.contains(id));
        of_role(&self.roster.nodes, Some(OPERATOR)).into_iter().filter(wanted).find(is_up)
    }
}
