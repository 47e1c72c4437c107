//! What is to come: an agenda outside of the scheduler and of every task.
//!
//! Order at one nanosecond: undoing before applying, faults in the order in which they were applied; then nemeses that
//! are under way; then rules, in file order.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::rule::Rule;
use crate::base::NodeId;
use crate::event::Moment;
use crate::fault::Fault;
use crate::fault::nemesis::Course;
use crate::kernel;
use crate::scenario::plan::Exact;

#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// A fault is over.
    Undo { id: u32 },
    /// A nemesis does its next step.
    Step { firing: u32 },
    /// A nemesis is over.
    Over { firing: u32 },
    /// A rule comes up. `about` is the node whose doing triggered it.
    Fire { rule: usize, sequence: u64, about: Option<NodeId> },
}

/// A fault in force.
pub(super) struct Active {
    pub rule: usize,
    pub fault: Fault<Vec<NodeId>>,
    /// Whether the rule is over with it: not so for one of a nemesis.
    pub ends_rule: bool,
    /// What had been counted of its kind of effect when it began.
    pub before: u64,
}

/// A nemesis under way.
pub(super) struct Firing {
    pub rule: usize,
    pub course: Course,
    /// Virtual time at which it is over.
    pub ends: u64,
}

/// A fault that happened.
pub(super) struct Happened {
    pub name: String,
    pub fault: Fault<Vec<NodeId>>,
    pub exact: Exact,
    pub lasts: Option<u64>,
}

#[derive(Default)]
pub(super) struct State {
    pub rules: Vec<Rule>,
    pub agenda: BinaryHeap<Reverse<(u64, Due)>>,
    pub sequence: u64,
    pub active: BTreeMap<u32, Active>,
    pub firings: BTreeMap<u32, Firing>,
    pub begun: u32,
    pub happened: Vec<Happened>,
    /// Triggers that matched while a fault was being applied; they are served when it is.
    pub waiting: Vec<(usize, Moment)>,
    pub applying: bool,
    pub in_main: bool,
    /// When the main phase ends.
    pub main_ends: u64,
    /// Exact faults that strike inside a poll, with their rules, soonest last.
    pub strikes: Vec<(Exact, usize)>,
}

impl State {
    /// Lets a rule come up at that time.
    pub fn schedule(&mut self, at: u64, rule: usize, about: Option<NodeId>) {
        self.sequence += 1;
        let sequence = self.sequence;
        self.push(at, Due::Fire { rule, sequence, about });
    }

    /// Puts it on the agenda, unless it would begin something when the main phase is over.
    pub fn push(&mut self, at: u64, due: Due) {
        // In the middle of a poll other polls of this nanosecond may follow: the next moment that is surely between two
        // steps, and the same in a frozen run, is the next nanosecond.
        let at = kernel::with(|state| if state.current.node == NodeId::HOST { at } else { at.max(state.now + 1) });
        if matches!(due, Due::Step { .. } | Due::Fire { .. }) && at >= self.main_ends {
            return;
        }
        // The kernel is under way to a horizon that may lie behind it.
        kernel::with(|state| state.horizon = state.horizon.min(at));
        self.agenda.push(Reverse((at, due)));
    }

    pub fn await_strike(&mut self) {
        let next = self.strikes.last().map(|(exact, _)| (exact.poll, exact.observation));
        kernel::with(|state| state.strike = next);
    }

    /// Whether something of that rule is in force.
    pub fn in_force(&self, rule: usize) -> bool {
        self.active.values().any(|active| active.rule == rule)
            || self.firings.values().any(|firing| firing.rule == rule)
    }
}
