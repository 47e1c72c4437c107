//! What happened: for the dose, for the report, for the frozen file, and for whoever asks why something did not.

use super::{Director, Happened, Rule};
use crate::fault;
use crate::kernel;
use crate::node::NodeId;
use crate::run::dose::Dose;
use crate::scenario::freeze::FrozenFault;
use crate::scenario::units::Time;

impl Director {
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
