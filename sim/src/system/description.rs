//! What there is to know about a system without running it.

use serde::Serialize;

use crate::base::Phase;
use crate::base::failure::is_of;

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
    /// Which of them a new scenario should begin with, phase by phase.
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

/// A known bug.
#[derive(Clone, Debug, Serialize)]
pub struct PlantedInfo {
    /// As in `raft.forget-vote`.
    pub name: String,
    /// The oracles that may report it: a sweep that finds something else has not found it.
    pub breaks: Vec<String>,
}

impl PlantedInfo {
    /// Whether a failure of that signature is this bug's doing.
    pub fn is_broken_by(&self, signature: &str) -> bool {
        self.breaks.iter().any(|oracle| is_of(signature, oracle))
    }
}
