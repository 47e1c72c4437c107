//! What a run was: verdict, digests, dose.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::{Dose, Failure};
use crate::history;
use crate::metric::Metrics;
use crate::scenario::Bounds;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// All held, and something happened.
    Pass,
    /// Something did not hold, or the run meant nothing.
    Fail,
    /// A check gave up.
    Unknown,
}

/// The report of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// The scenario's path, as given.
    pub scenario: String,
    /// The system's name.
    pub system: String,
    /// The seed.
    pub seed: u64,
    /// How it ended.
    pub verdict: Outcome,
    /// The earliest violation.
    pub failure: Option<Failure>,
    /// All later ones.
    pub also: Vec<Failure>,
    /// The earliest violation of a run that passed because its scenario declares that it fails so.
    pub declared: Option<Failure>,
    /// Digest of the run and of its planning.
    pub digest: String,
    /// Digest of everything that the system could notice.
    pub world: String,
    /// How long it lasted, in virtual nanoseconds.
    pub virtual_ns: u64,
    /// How many events the digest stands for.
    pub events: u64,
    /// What happened to it, and what that did.
    pub dose: Dose,
    /// How well the system did.
    pub metrics: Metrics,
    /// `sometimes!` and `reachable!` probes that held, by name.
    pub sometimes: Vec<String>,
    /// Values that the scenario drew, by key path.
    pub draws: Vec<(String, String)>,
    /// Faults that happened, one line each.
    pub faults: Vec<String>,
    /// What did not happen although the scenario asks for it, and why: one line for each such rule.
    pub prevented: Vec<String>,
    /// Sweep-level expectations of the scenario.
    pub expect_sweep: BTreeMap<String, Bounds>,
    /// The run as a frozen scenario file, if it was asked for.
    pub frozen: Option<String>,
    /// What clients invoked and were answered, if it was asked for.
    pub history: Option<Vec<history::Line>>,
}

impl Report {
    /// The report of a run in which nothing happened and nothing failed. Whoever knows more sets the fields.
    pub fn new(scenario: impl Into<String>, system: impl Into<String>, seed: u64) -> Report {
        Report {
            scenario: scenario.into(),
            system: system.into(),
            seed,
            verdict: Outcome::Pass,
            failure: None,
            also: Vec::new(),
            declared: None,
            digest: String::new(),
            world: String::new(),
            virtual_ns: 0,
            events: 0,
            dose: Dose::new(),
            metrics: Metrics::default(),
            sometimes: Vec::new(),
            draws: Vec::new(),
            faults: Vec::new(),
            prevented: Vec::new(),
            expect_sweep: BTreeMap::new(),
            frozen: None,
            history: None,
        }
    }

    /// All that did not hold, be it that the scenario declares it.
    pub fn violations(&self) -> impl Iterator<Item = &Failure> {
        self.failure.iter().chain(&self.also).chain(&self.declared)
    }
}
