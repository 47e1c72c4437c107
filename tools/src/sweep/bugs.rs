//! Distinct bugs: failures of the same system with the same signature are one.

use std::collections::BTreeMap;

use sim::Report;

/// A bug, and the cheapest run that shows it.
pub struct Bug {
    /// In how many runs it was the earliest violation.
    pub count: u64,
    /// In how many runs of which scenarios, by their index.
    pub scenarios: BTreeMap<usize, u64>,
    /// The run with the fewest events; on a tie, the first.
    pub best: Example,
    /// The first few runs, as scenario index and seed.
    pub examples: Vec<(usize, u64)>,
}

/// A run that shows a bug.
pub struct Example {
    /// Which scenario, by its index.
    pub scenario: usize,
    /// The seed.
    pub seed: u64,
    /// How much there is to read in it.
    pub events: u64,
    /// The digest of the run.
    pub digest: String,
    /// When the failure came.
    pub at_ns: u64,
    /// What the check said.
    pub explanation: String,
}

/// How many examples are kept besides the best one.
pub const EXAMPLES: usize = 5;

/// The bugs that a sweep has found, by system and signature. Its size depends on how many there are, not on how many runs.
#[derive(Default)]
pub struct Bugs {
    /// By system and signature.
    pub by_signature: BTreeMap<(String, String), Bug>,
    /// Violations that came only after another one of the same run, by system and signature: how many runs.
    pub also: BTreeMap<(String, String), u64>,
}

impl Bugs {
    /// Takes the failures of a run. Returns whether its bug was not known before.
    pub fn add(&mut self, scenario: usize, report: &Report) -> bool {
        let Some(failure) = &report.failure else { return false };
        let key = |signature: &str| (report.system.clone(), signature.to_owned());
        let mut others: Vec<&str> = report.also.iter().map(|also| also.signature.as_str()).collect();
        others.sort_unstable();
        others.dedup();
        for other in others.into_iter().filter(|other| *other != failure.signature) {
            *self.also.entry(key(other)).or_default() += 1;
        }
        let example = || Example {
            scenario,
            seed: report.seed,
            events: report.events,
            digest: report.digest.clone(),
            at_ns: failure.at_ns,
            explanation: failure.explanation.clone(),
        };
        let mut is_new = false;
        let bug = self.by_signature.entry(key(&failure.signature)).or_insert_with(|| {
            is_new = true;
            Bug { count: 0, scenarios: BTreeMap::new(), best: example(), examples: Vec::new() }
        });
        bug.count += 1;
        *bug.scenarios.entry(scenario).or_default() += 1;
        if bug.examples.len() < EXAMPLES {
            bug.examples.push((scenario, report.seed));
        }
        let cost = |example: &Example| (example.events, example.seed, example.scenario);
        if (report.events, report.seed, scenario) < cost(&bug.best) {
            bug.best = example();
        }
        is_new
    }

    /// Violations that were never the earliest of any run.
    pub fn only_later(&self) -> impl Iterator<Item = (&(String, String), u64)> {
        self.also.iter().filter(|(key, _)| !self.by_signature.contains_key(*key)).map(|(key, count)| (key, *count))
    }
}
