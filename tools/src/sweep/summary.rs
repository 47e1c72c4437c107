//! What a sweep found out: the last line of `--json`, and what the screen at the end is made of.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;
use sim::Dose;

use super::Target;
use super::bugs::Bug;
use super::plan::Plan;
use super::planted::Search;
use super::probes::{self, Never};
use super::tally::{Counts, Fault, Row, Tally};
use crate::exit::Exit;
use crate::registry::Registry;
use crate::text;
use crate::worker::death;

/// The machine contract: fields are added, never renamed.
#[derive(Serialize)]
pub struct Summary {
    #[serde(rename = "type")]
    kind: &'static str,
    version: &'static str,
    /// All runs.
    #[serde(flatten)]
    pub counts: Counts,
    /// How long the runs lasted in their own time.
    pub virtual_seconds: f64,
    /// How long the sweep lasted in ours.
    pub wall_seconds: f64,
    /// How much CPU time the sweep took, with all its processes.
    pub cpu_seconds: f64,
    /// How many runs were made at the same time.
    pub jobs: usize,
    /// Whether a signal ended the sweep.
    pub interrupted: bool,
    /// Whether all seeds that were asked for were run; never so if only time was.
    pub complete: bool,
    /// Distinct bugs, by the scenario and seed that show them best.
    pub failures: Vec<Failure>,
    /// Violations that came only after another one of the same run.
    pub only_later: Vec<Later>,
    /// What happened, over all runs.
    pub dose: Dose,
    /// In how many runs each `sometimes!` and `reachable!` held.
    pub sometimes: BTreeMap<String, u64>,
    /// Those that never held.
    pub never: Vec<Never>,
    /// Sweep-level expectations that are not met, but that this sweep does not fail for: it was not complete, or
    /// runs of the scenario failed anyhow.
    pub not_yet: Vec<Unmet>,
    /// One row each.
    pub scenarios: Vec<ScenarioRow>,
    /// Known bugs that were switched on.
    pub planted: Vec<Search>,
    /// How many seeds ran differently the second time.
    pub nondeterministic: u64,
    /// How many runs the harness could not make.
    pub harness_failures: u64,
    /// The first few of either.
    pub harness: Vec<Fault>,
}

/// What the sweep took, and how it went.
pub struct Cost {
    /// How many runs were made at the same time.
    pub jobs: usize,
    /// CPU time of all its processes.
    pub cpu: Duration,
    /// Whether a signal ended it.
    pub interrupted: bool,
}

/// A distinct bug.
#[derive(Serialize)]
pub struct Failure {
    /// The same for the same bug over all seeds.
    pub signature: String,
    /// The system.
    pub system: String,
    /// In how many runs.
    pub count: u64,
    /// The scenario of the cheapest run that shows it.
    pub scenario: String,
    /// The seed of that run; none for what only a whole sweep shows.
    pub seed: Option<u64>,
    /// When it happens in that run; none for the death of a process, since nobody saw when.
    pub at_ns: Option<u64>,
    /// What the check says.
    pub explanation: String,
    /// The command that shows it.
    pub replay: String,
    /// In how many runs of each scenario.
    pub scenarios: BTreeMap<String, u64>,
    /// The first few runs that show it.
    pub examples: Vec<Example>,
}

/// A run that shows a bug.
#[derive(Serialize)]
pub struct Example {
    /// The scenario.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
}

/// A violation that was never a run's earliest.
#[derive(Serialize)]
pub struct Later {
    /// The system.
    pub system: String,
    /// The violation.
    pub signature: String,
    /// In how many runs.
    pub count: u64,
}

/// An expectation on a whole sweep that was not met.
#[derive(Serialize)]
pub struct Unmet {
    /// The scenario.
    pub scenario: String,
    /// What was to happen.
    pub name: String,
    /// How often at least.
    pub expected: u64,
    /// How often it did.
    pub found: u64,
}

/// What one scenario's runs add up to.
#[derive(Serialize)]
pub struct ScenarioRow {
    /// The file.
    pub path: String,
    /// XXH3-128 of its text.
    pub hash: String,
    /// The system.
    pub system: String,
    /// How they ended.
    #[serde(flatten)]
    pub counts: Counts,
    /// How long they lasted in their own time.
    pub virtual_seconds: f64,
    /// How long they took in ours, one after the other.
    pub run_seconds: f64,
    /// What happened in them.
    pub dose: Dose,
}

impl Summary {
    /// Draws the conclusions.
    pub fn new(tally: Tally<'_>, plan: &Plan, targets: &[Target<'_>], registry: &Registry<'_>, cost: &Cost) -> Summary {
        let complete =
            plan.seeds().is_some() && !cost.interrupted && tally.counts.runs + tally.broken.count == plan.total();
        let swept: BTreeSet<&str> = targets.iter().map(|target| target.loaded.scenario.system()).collect();
        let only_later = tally.bugs.only_later().map(|((system, signature), count)| Later {
            system: system.clone(),
            signature: signature.clone(),
            count,
        });
        let only_later = only_later.collect();
        let mut failures: Vec<((usize, u64), Failure)> = Vec::new();
        for ((system, signature), bug) in tally.bugs.by_signature {
            failures.push(((bug.best.scenario, bug.best.seed), failure(system, signature, bug, targets)));
        }
        let mut not_yet = Vec::new();
        for (index, (target, row)) in targets.iter().zip(&tally.rows).enumerate() {
            for unmet in unmet(target, row) {
                // A run that failed ended early: what is missing after that is no second bug.
                match plan.seeds().filter(|_| complete && row.counts.failed == 0) {
                    // After all that one run of the scenario shows.
                    Some(seeds) => failures.push(((index, u64::MAX), vacuous(unmet, seeds, target))),
                    None => not_yet.push(unmet),
                }
            }
        }
        // A sort that keeps the order of signatures where the rest is equal.
        failures.sort_by_key(|(place, _)| *place);
        let mut dose = Dose::new();
        for (name, count) in tally.rows.iter().flat_map(|row| &row.dose) {
            *dose.entry(name.clone()).or_default() += count;
        }
        Summary {
            kind: "summary",
            version: env!("CARGO_PKG_VERSION"),
            counts: tally.counts,
            virtual_seconds: seconds(tally.rows.iter().map(|row| row.virtual_ns).sum()),
            wall_seconds: plan.elapsed().as_secs_f64(),
            cpu_seconds: cost.cpu.as_secs_f64(),
            jobs: cost.jobs,
            interrupted: cost.interrupted,
            complete,
            failures: failures.into_iter().map(|(_, failure)| failure).collect(),
            only_later,
            dose,
            never: probes::never(&tally.sometimes, &swept, &registry.names().collect()),
            sometimes: tally.sometimes,
            not_yet,
            scenarios: targets.iter().zip(tally.rows).map(|(target, row)| scenario_row(target, row)).collect(),
            planted: tally.searches,
            nondeterministic: tally.differing.count,
            harness_failures: tally.broken.count,
            harness: tally.differing.first.into_iter().chain(tally.broken.first).collect(),
        }
    }

    /// What the exit code says.
    pub fn exit(&self) -> Exit {
        if self.nondeterministic + self.harness_failures > 0 {
            Exit::HarnessFailed
        } else if !self.failures.is_empty() {
            Exit::BugFound
        } else if self.interrupted {
            // It says less than was asked.
            Exit::HarnessFailed
        } else {
            Exit::Held
        }
    }
}

fn seconds(virtual_ns: u128) -> f64 {
    virtual_ns as f64 / 1e9
}

fn failure(system: String, signature: String, bug: Bug, targets: &[Target<'_>]) -> Failure {
    let path = |scenario: usize| targets[scenario].loaded.scenario.path().to_owned();
    let best = bug.best;
    Failure {
        // Nobody saw when a process died.
        at_ns: (!signature.starts_with(death::PREFIX)).then_some(best.at_ns),
        signature,
        system,
        count: bug.count,
        replay: text::replay_line(&path(best.scenario), best.seed, &targets[best.scenario].planted),
        scenario: path(best.scenario),
        seed: Some(best.seed),
        explanation: best.explanation,
        scenarios: bug.scenarios.into_iter().map(|(scenario, count)| (path(scenario), count)).collect(),
        examples: bug
            .examples
            .iter()
            .map(|(scenario, seed)| Example { scenario: path(*scenario), seed: *seed })
            .collect(),
    }
}

fn unmet(target: &Target<'_>, row: &Row) -> Vec<Unmet> {
    let found = |name: &str| row.dose.get(name).copied().unwrap_or(0);
    let unmet = target.loaded.expect_sweep.iter().filter(|(name, least)| found(name) < **least);
    let unmet = unmet.map(|(name, least)| Unmet {
        scenario: target.loaded.scenario.path().to_owned(),
        name: name.clone(),
        expected: *least,
        found: found(name),
    });
    unmet.collect()
}

/// A complete sweep in which too little happened says too little: that is a failure of its own.
fn vacuous(unmet: Unmet, seeds: &std::ops::Range<u64>, target: &Target<'_>) -> Failure {
    let Unmet { scenario, name, expected, found } = unmet;
    let flags = text::planted_flags(&target.planted);
    Failure {
        signature: format!("dose:{name}"),
        system: target.loaded.scenario.system().to_owned(),
        count: 1,
        seed: None,
        at_ns: None,
        explanation: format!("expected `{name}` at least {expected} times over all seeds, found {found}"),
        replay: format!("cargo dst sweep {} --seeds {}..{}{flags}", text::quoted(&scenario), seeds.start, seeds.end),
        scenarios: BTreeMap::from([(scenario.clone(), 1)]),
        examples: Vec::new(),
        scenario,
    }
}

fn scenario_row(target: &Target<'_>, row: Row) -> ScenarioRow {
    ScenarioRow {
        path: target.loaded.scenario.path().to_owned(),
        hash: target.loaded.hash(),
        system: target.loaded.scenario.system().to_owned(),
        counts: row.counts,
        virtual_seconds: seconds(row.virtual_ns),
        run_seconds: row.took.as_secs_f64(),
        dose: row.dose,
    }
}
