//! What makes a rule come up besides the clock: events, operations, other faults, and the exact moments of a frozen file.

use std::cmp::Reverse;
use std::rc::Rc;

use super::Director;
use crate::base::seed::Draw;
use crate::base::{NodeId, glob_matches};
use crate::event::{self, AnyEvent, EVENTS, EventKind, Moment, Scope};
use crate::history;
use crate::kernel;
use crate::scenario::plan::Exact;

impl Director {
    /// Subscribes the triggers, and the exact faults that strike inside a poll.
    pub(super) fn listen(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        let mut ops: Vec<(usize, String)> = Vec::new();
        for (index, rule) in state.rules.iter().enumerate() {
            let Some(when) = &rule.rule.when else { continue };
            if let Some(name) = &when.get_ref().event
                && let Some(kind) = EVENTS.iter().find(|kind| kind.name == name.as_str())
            {
                let director = Rc::downgrade(self);
                event::subscribe(kind, "scenario", Scope::System, move |moment, event| {
                    if let Some(director) = director.upgrade() {
                        director.matched(index, moment, Some((kind, event)));
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
        let exact = state.rules.iter().enumerate().filter_map(|(i, rule)| Some((rule.rule.exact?, i)));
        let mut exact: Vec<(Exact, usize)> = exact.filter(|(exact, _)| exact.observation > 0).collect();
        if !exact.is_empty() {
            // Soonest last; those of one moment in file order.
            exact.sort_by_key(|(exact, i)| Reverse((exact.poll, exact.observation, *i)));
            state.strikes = exact;
            state.await_strike();
            let director = Rc::downgrade(self);
            event::on_strike(move |moment| {
                if let Some(director) = director.upgrade() {
                    director.strike(moment);
                }
            });
        }
    }

    /// An event or an operation that a rule waits for, perhaps.
    fn matched(&self, index: usize, moment: &Moment, event: Option<(&EventKind, &dyn AnyEvent)>) {
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
        if let Some((kind, event)) = event
            && !when.fields.is_empty()
        {
            let fields = event.fields();
            let is_wanted = |(name, wanted): (&String, &toml::Value)| {
                fields.get(name).is_some_and(|found| same(found, wanted, kind.has_node(name)))
            };
            if !when.fields.iter().all(is_wanted) {
                return;
            }
        }
        if let Some(nodes) = &when.node
            && !self.resolve(nodes, &[], None, &mut || Draw(0)).contains(&moment.node)
        {
            return;
        }
        if let Some(group) = &when.group
            && !glob_matches(group, &moment.group.name())
        {
            return;
        }
        // What comes while the other fault is not in force is not counted by `nth`.
        if !self.is_time_for(index) {
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
                if rule.fired + rule.scheduled < rule.times() {
                    rule.scheduled += 1;
                    state.schedule(moment.at_ns + delay, index, Some(moment.node));
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

    /// Whether the rule's `while` fault is active.
    pub(super) fn is_time_for(&self, index: usize) -> bool {
        let mut state = self.state.borrow_mut();
        let Some(during) = &state.rules[index].rule.during else { return true };
        let other = state.rules.iter().position(|rule| rule.name == *during.get_ref());
        let is_time = other.is_some_and(|other| state.in_force(other));
        if !is_time {
            state.rules[index].outside += 1;
        }
        is_time
    }

    /// Exact faults that are due at this observation. If that is at another time than it was, the run is another one since the
    /// file was edited or the code has changed, and the fault strikes at its time: see [`Director::strike_late`].
    fn strike(&self, moment: &Moment) {
        loop {
            let (exact, rule) = {
                let mut state = self.state.borrow_mut();
                let is_due = |exact: &Exact| (exact.poll, exact.observation) == (moment.poll, moment.observation);
                match state.strikes.pop_if(|(exact, _)| is_due(exact)) {
                    Some(strike) => strike,
                    None => {
                        state.await_strike();
                        return;
                    }
                }
            };
            if exact.ns == moment.at_ns {
                self.fire(rule, Some(moment), None);
            }
        }
    }

    /// The time of an exact fault is over. True if its moment did not come.
    pub(super) fn strike_late(&self, index: usize) -> bool {
        let mut state = self.state.borrow_mut();
        let rule = &state.rules[index];
        if rule.rule.exact.is_none() {
            return true;
        }
        if rule.tried > 0 {
            return false;
        }
        state.strikes.retain(|(_, rule)| *rule != index);
        state.await_strike();
        true
    }

    pub(super) fn serve_waiting(&self) {
        loop {
            let next = {
                let mut state = self.state.borrow_mut();
                if state.applying || state.waiting.is_empty() { None } else { Some(state.waiting.remove(0)) }
            };
            let Some((rule, moment)) = next else { return };
            self.fire(rule, Some(&moment), Some(moment.node));
        }
    }

    /// Rules that wait for this one to be over.
    pub(super) fn over(&self, index: usize) {
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
            state.schedule(at, i, None);
        }
    }
}

/// A field's value and the wanted one; a node may be wanted by name.
fn same(found: &toml::Value, wanted: &toml::Value, is_node: bool) -> bool {
    match (found, wanted) {
        (toml::Value::Integer(index), toml::Value::String(name)) if is_node => {
            u16::try_from(*index).is_ok_and(|index| NodeId::new(index).name() == *name)
        }
        _ => found == wanted,
    }
}
