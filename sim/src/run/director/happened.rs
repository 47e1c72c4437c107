//! The faults that happened, for the dose, the report and the frozen file, and the reasons why others did not.

use super::agenda::Happened;
use super::{Director, Rule};
use crate::base::{Dose, NodeId, Time};
use crate::fault;
use crate::kernel;
use crate::run::dose::counted_as;
use crate::scenario::freeze::FrozenFault;

impl Director {
    pub fn add_to(&self, dose: &mut Dose) {
        let state = self.state.borrow();
        for happened in &state.happened {
            *dose.entry(happened.fault.name().to_owned()).or_default() += 1;
        }
        for rule in state.rules.iter().filter(|rule| rule.happened > 0) {
            if let Some(name) = counted_as(self.original(&rule.name)) {
                *dose.entry(name).or_default() += rule.happened;
            }
        }
    }

    /// The rule that a fault is of: in a frozen file each has a number behind the name of its rule.
    fn original<'n>(&self, name: &'n str) -> &'n str {
        let numbered = |(rule, number): &(&str, &str)| !rule.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        match name.rsplit_once('-').filter(numbered) {
            Some((rule, _)) if self.frozen => rule,
            _ => name,
        }
    }

    /// For an expectation that was not met: what became of each rule, and why it was no more.
    pub fn explain(&self) -> String {
        let state = self.state.borrow();
        state.rules.iter().map(fate).collect::<Vec<_>>().join("; ")
    }

    /// A line for each rule with faults that did not happen: refused by the budget, without a matching node, or not triggered.
    pub fn prevented(&self) -> Vec<String> {
        let state = self.state.borrow();
        let did_not = |rule: &&Rule| !rule.prevented.is_empty() || rule.tried == 0;
        state.rules.iter().filter(did_not).map(fate).collect()
    }

    /// The kind of each fault that happened, and when it struck.
    pub fn strikes(&self) -> Vec<(&'static str, u64)> {
        self.state.borrow().happened.iter().map(|happened| (happened.fault.name(), happened.exact.ns)).collect()
    }

    pub fn frozen_faults(&self) -> Vec<FrozenFault> {
        let name_of = |id: NodeId| self.roster.nodes[id.index()].name.clone();
        let state = self.state.borrow();
        let each = state.happened.iter().enumerate().map(|(i, happened)| FrozenFault {
            // In a frozen file each has a name of its own already.
            name: if self.frozen { happened.name.clone() } else { format!("{}-{}", happened.name, i + 1) },
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
                let lasts = happened.lasts.map_or(String::new(), |lasts| format!(" for {:#}", Time::from_nanos(lasts)));
                let at = crate::time::Stamp(happened.exact.ns);
                format!("{at} {}: {}{lasts}", happened.name, fault::describe(kernel, &happened.fault))
            };
            state.happened.iter().map(line).collect()
        })
    }
}

fn fate(rule: &Rule) -> String {
    let name = &rule.name;
    let mut text = match (rule.tried, rule.happened) {
        (0, _) => match &rule.rule.when {
            Some(when) => {
                let nth = when.get_ref().nth.unwrap_or(1);
                format!("{name} never fired (its trigger matched {} of {nth} times)", rule.matched)
            }
            None => format!("{name} never fired"),
        },
        (_, happened) => format!("{name} happened {}", times(happened)),
    };
    let mut add = |reason: String| {
        text += &format!(", {reason}");
    };
    if let Some(during) = rule.rule.during.as_ref().filter(|_| rule.outside > 0) {
        add(format!("{} it did not because `{}` was not in force", times(rule.outside), during.get_ref()));
    }
    for (why, count) in &rule.prevented {
        add(format!("{} it did not because {why}", times(*count)));
    }
    if rule.idle > 0 {
        add(format!("{} without effect: {}", times(rule.idle), rule.idle_means));
    }
    text
}

fn times(n: u64) -> String {
    match n {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{n} times"),
    }
}
