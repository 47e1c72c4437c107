//! What there is to know about a system without running it.

use serde::Serialize;

use super::planted::PlantedInfo;
use crate::base::Phase;

/// What there is to know about a system without running it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Description {
    /// Its name in scenario files.
    pub name: String,
    /// One sentence.
    pub doc: String,
    /// The roles of its nodes.
    pub roles: Vec<String>,
    /// Its selectors.
    pub selectors: Vec<String>,
    /// Its workloads.
    pub workloads: Vec<String>,
    /// What an operator can do to it in the middle of a run.
    pub actions: Vec<String>,
    /// Which of them run in the phases that a scenario says nothing of, in the order of the phases.
    pub suggested: Vec<Suggested>,
    /// The kinds of its client operations.
    pub ops: Vec<String>,
    /// Its events.
    pub events: Vec<EventInfo>,
    /// Its checks and invariants.
    pub checks: Vec<String>,
    /// Its known bugs.
    pub planted: Vec<PlantedInfo>,
}

/// A workload that suits a phase.
#[derive(Clone, Debug, Serialize)]
pub struct Suggested {
    /// The phase.
    pub phase: Phase,
    /// The workload.
    pub workload: String,
    /// The clients that run it, as in a scenario; all, without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
}

/// An event type.
#[derive(Clone, Debug, Default, Serialize)]
pub struct EventInfo {
    /// As in `raft.became_leader`.
    pub name: String,
    /// The names of its fields.
    pub fields: Vec<String>,
    /// Their types, as they are written in Rust.
    pub types: Vec<String>,
}

impl Description {
    /// What is wrong with the declarations, in sentences without a full stop; nothing if all is well. A system whose author has
    /// no test for it is told by `dst check`.
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes: Vec<String> = self.planted.iter().flat_map(|bug| bug.mistakes(&self.checks)).collect();
        for (i, bug) in self.planted.iter().enumerate() {
            if self.planted[..i].iter().any(|earlier| earlier.name == bug.name) {
                mistakes.push(format!("the planted bug `{}` is declared twice", bug.name));
            }
        }
        mistakes
    }
}
