//! What a sweep found out: the last line of `--json`, and what the screen at the end is made of.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::scenario::Bounds;
use sim::scenario::plan::DECLARED;
use sim::{Dose, Metrics};

use super::Target;
use super::bugs::Bug;
use super::plan::Plan;
use super::planted::Search;
use super::probes::{self, Never};
use super::shard::Shard;
use super::tally::{Counts, Fault, Row, Tally};
use crate::build::Build;
use crate::exit::Exit;
use crate::metrics::Figures;
use crate::registry::Registry;
use crate::text;
use crate::worker::death;

/// Tells this line of JSON from others.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It is a summary.
    Summary,
}

/// The machine contract: fields are added, never renamed.
#[derive(Debug, Serialize, Deserialize)]
pub struct Summary {
    #[serde(rename = "type")]
    pub(super) kind: Kind,
    pub(super) version: String,
    /// What ran.
    pub build: Build,
    /// The seeds that were asked for, from the first to before the last; none if only time limits the sweep.
    pub seeds: Option<[u64; 2]>,
    /// Which part of the sweep this is; none if it is the whole.
    pub shard: Option<Shard>,
    /// All runs.
    #[serde(flatten)]
    pub counts: Counts,
    /// How long the runs lasted in their own time.
    pub virtual_seconds: f64,
    /// The same, to the nanosecond.
    pub virtual_ns: u64,
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
    /// How well the systems did, by name.
    pub systems: BTreeMap<String, SystemRow>,
    /// Known bugs that were switched on.
    pub planted: Vec<Search>,
    /// How many seeds ran differently the second time.
    pub nondeterministic: u64,
    /// How many runs the harness could not make.
    pub harness_failures: u64,
    /// The first few of either.
    pub harness: Vec<Harness>,
    /// The scenario that turned out to be wrong, with the seed that showed it: the sweep ended there.
    pub bad_scenario: Option<Fault>,
}

/// How the harness failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HarnessKind {
    /// A seed ran differently the second time.
    Nondeterministic,
    /// A run could not be made.
    Broken,
}

/// A run without a verdict on the system.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Harness {
    /// The kind of problem.
    pub kind: HarnessKind,
    /// The run and the error.
    #[serde(flatten)]
    pub fault: Fault,
}

/// The resources that a sweep used.
pub struct Cost {
    /// The number of parallel runs.
    pub jobs: usize,
    /// The CPU time of all processes.
    pub cpu: Duration,
    /// Whether a signal stopped the sweep.
    pub interrupted: bool,
}

/// A distinct bug.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Failure {
    /// The signature, which is the same for the same bug with all seeds.
    pub signature: String,
    /// The system.
    pub system: String,
    /// The number of runs with the bug.
    pub count: u64,
    /// The scenario of the cheapest run with the bug: the run with the fewest events.
    pub scenario: String,
    /// The seed of that run; `None` for a failure of the whole sweep.
    pub seed: Option<u64>,
    /// The virtual time of the failure in that run; `None` for the death of a process.
    pub at_ns: Option<u64>,
    /// The number of events in that run.
    pub events: Option<u64>,
    /// The check's explanation.
    pub explanation: String,
    /// The command that replays that run.
    pub replay: String,
    /// Whether the run was the same when it was made again in a fresh process. If not, it depends on more than its seed, and
    /// `harness` has the difference.
    #[serde(default = "yes")]
    pub repeats: bool,
    /// In how many runs of each scenario.
    pub scenarios: BTreeMap<String, u64>,
    /// The first few runs that show it.
    pub examples: Vec<Example>,
    /// The folder with everything about that run, if bundles were asked for.
    pub bundle: Option<String>,
}

impl Failure {
    /// The command that replays the run, or that none does.
    pub fn how_to_repeat(&self) -> &str {
        if self.repeats {
            &self.replay
        } else {
            "it does not repeat in a fresh process: the harness failures say how it differs"
        }
    }
}

fn yes() -> bool {
    true
}

/// A run that shows a bug.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Example {
    /// The scenario.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
}

/// A violation that was never a run's earliest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Later {
    /// The system.
    pub system: String,
    /// The violation.
    pub signature: String,
    /// In how many runs.
    pub count: u64,
}

/// An expectation on a whole sweep that was not met.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Unmet {
    /// The scenario.
    pub scenario: String,
    /// What was to happen.
    pub name: String,
    /// How often.
    pub expected: Bounds,
    /// How often it did.
    pub found: u64,
}

/// What one scenario's runs add up to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScenarioRow {
    /// The file.
    pub path: String,
    /// XXH3-128 of its text.
    pub hash: String,
    /// The system.
    pub system: String,
    /// The known bugs that were on.
    pub planted: Vec<String>,
    /// How they ended.
    #[serde(flatten)]
    pub counts: Counts,
    /// How many of them the harness failed in.
    pub harness_failures: u64,
    /// How long they lasted in their own time.
    pub virtual_seconds: f64,
    /// The same, to the nanosecond.
    pub virtual_ns: u64,
    /// How long they took in ours, one after the other.
    pub run_seconds: f64,
    /// What happened in them.
    pub dose: Dose,
    /// How well the system did.
    pub metrics: Figures,
    /// The same, as it can be added up; only of a shard, and before the conclusions are drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub histograms: Option<Metrics>,
    /// What must have happened, and how often, over all seeds.
    pub expect: BTreeMap<String, Bounds>,
    /// Failures that the scenario is there to show: a run that fails so has passed.
    pub fails: Vec<String>,
}

/// What the runs of all scenarios of a system add up to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SystemRow {
    /// How well it did.
    pub metrics: Figures,
}

impl Summary {
    /// Draws the conclusions.
    pub fn new(tally: Tally<'_>, plan: &Plan, targets: &[Target<'_>], registry: &Registry<'_>, cost: &Cost) -> Summary {
        let swept: BTreeSet<&str> = targets.iter().map(|target| target.loaded.scenario.system()).collect();
        let only_later = tally.bugs.only_later().map(|((system, signature), count)| Later {
            system: system.clone(),
            signature: signature.clone(),
            count,
        });
        let only_later = only_later.collect();
        let failures = tally.bugs.by_signature.into_iter();
        let failures = failures.map(|((system, signature), bug)| {
            let repeats = !tally.unrepeated.contains(&(bug.best.scenario, bug.best.seed));
            Failure { repeats, ..failure(system, signature, bug, targets) }
        });
        let failures = failures.collect();
        let mut dose = Dose::new();
        for (name, count) in tally.rows.iter().flat_map(|row| &row.dose) {
            *dose.entry(name.clone()).or_default() += count;
        }
        let virtual_ns = nanos(tally.rows.iter().map(|row| row.virtual_ns).sum());
        let harness = |kind| move |fault| Harness { kind, fault };
        let differing = tally.differing.first.into_iter().map(harness(HarnessKind::Nondeterministic));
        let broken = tally.broken.first.into_iter().map(harness(HarnessKind::Broken));
        let mut summary = Summary {
            kind: Kind::Summary,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            build: Build::this(),
            seeds: plan.seeds().map(|seeds| [seeds.start, seeds.end]),
            shard: plan.shard(),
            counts: tally.counts,
            virtual_seconds: seconds(virtual_ns),
            virtual_ns,
            wall_seconds: plan.elapsed().as_secs_f64(),
            cpu_seconds: cost.cpu.as_secs_f64(),
            jobs: cost.jobs,
            interrupted: cost.interrupted,
            complete: plan.seeds().is_some()
                && !cost.interrupted
                && tally.counts.runs + tally.broken.count == plan.total(),
            failures,
            only_later,
            dose,
            never: probes::never(&tally.sometimes, &swept, &registry.names().collect()),
            sometimes: tally.sometimes,
            not_yet: Vec::new(),
            scenarios: targets.iter().zip(tally.rows).map(|(target, row)| scenario_row(target, row)).collect(),
            systems: BTreeMap::new(),
            planted: tally.searches,
            nondeterministic: tally.differing.count,
            harness_failures: tally.broken.count,
            harness: differing.chain(broken).collect(),
            bad_scenario: tally.bad_scenario.map(|(fault, _)| fault),
        };
        summary.judge();
        summary
    }

    /// Compares with what the scenarios expect of a whole sweep, which a shard is not, and puts the failures in order: by
    /// the scenario and seed that show them best, and after all that one run shows what only a whole sweep does.
    pub(super) fn judge(&mut self) {
        self.measure();
        for row in self.scenarios.iter().filter(|_| self.shard.is_none()) {
            for unmet in row.unmet() {
                // A run that failed ended early: what is missing after that is no second bug. What is too much stays so.
                let is_final = unmet.expected.is_exceeded(unmet.found) || self.complete && row.counts.failed == 0;
                match self.seeds.filter(|_| is_final) {
                    Some(seeds) => self.failures.push(not_as_expected(unmet, seeds, row)),
                    None => self.not_yet.push(unmet),
                }
            }
        }
        let place = |path: &str| self.scenarios.iter().position(|row| row.path == path);
        self.failures.sort_by(|a, b| {
            let key = |failure: &Failure| (place(&failure.scenario), failure.seed.unwrap_or(u64::MAX));
            key(a).cmp(&key(b)).then_with(|| (&a.system, &a.signature).cmp(&(&b.system, &b.signature)))
        });
    }

    /// Takes percentiles. The histograms that they are of are kept by shards only, to be added up with others.
    fn measure(&mut self) {
        let mut systems: BTreeMap<&str, Metrics> = BTreeMap::new();
        for row in &mut self.scenarios {
            let histograms = row.histograms.get_or_insert_default();
            row.metrics = Figures::from(&*histograms);
            systems.entry(&row.system).or_default().add(histograms);
        }
        let systems = systems.into_iter();
        self.systems =
            systems.map(|(name, sum)| (name.to_owned(), SystemRow { metrics: Figures::from(&sum) })).collect();
        if self.shard.is_none() {
            self.scenarios.iter_mut().for_each(|row| row.histograms = None);
        }
    }

    /// How many runs were asked for; none if only time limits the sweep.
    pub fn asked(&self) -> Option<u64> {
        let [first, end] = self.seeds?;
        let all = (end - first).saturating_mul(self.scenarios.len() as u64);
        Some(self.shard.map_or(all, |shard| shard.part_of(all)))
    }

    /// What came of it, in a few words, and how much of what was asked for was done.
    pub(super) fn verdict(&self) -> (String, String) {
        // A sweep may fail without a run that does, so the word does not follow from the counts.
        let word = match self.exit() {
            Exit::Held => "PASS".to_owned(),
            Exit::BugFound => format!("FAIL, {}", text::count(self.failures.len() as u64, "distinct bug")),
            Exit::BadInput => "BAD SCENARIO".to_owned(),
            Exit::HarnessFailed if self.nondeterministic + self.harness_failures == 0 => "NO VERDICT".to_owned(),
            Exit::HarnessFailed => "HARNESS FAILED".to_owned(),
        };
        let mut ran = self.counts.line();
        if let Some(asked) = self.asked().filter(|_| !self.complete) {
            ran += &format!(", of {asked} asked for");
        }
        (word, if self.interrupted { format!("interrupted: {ran}") } else { ran })
    }

    /// What the exit code says.
    pub fn exit(&self) -> Exit {
        if self.nondeterministic + self.harness_failures > 0 {
            Exit::HarnessFailed
        } else if self.bad_scenario.is_some() {
            Exit::BadInput
        } else if !self.failures.is_empty() {
            Exit::BugFound
        } else if self.interrupted {
            // It says less than was asked.
            Exit::HarnessFailed
        } else {
            Exit::Held
        }
    }

    /// The exit code where the planted bugs are to be found: their failures are what was expected.
    pub fn exit_if_found(&self) -> Exit {
        match self.exit() {
            Exit::Held | Exit::BugFound if self.planted.iter().all(|search| search.found) => Exit::Held,
            Exit::Held => Exit::BugFound,
            other => other,
        }
    }
}

impl ScenarioRow {
    /// Whether all held, in at least one run.
    pub fn held(&self) -> bool {
        self.counts.passed == self.counts.runs && self.counts.runs > 0 && self.harness_failures == 0
    }

    /// Runs that failed as the scenario declares, and so passed; none if it declares nothing.
    pub fn declared(&self) -> Option<String> {
        let runs = self.dose.get(DECLARED).copied().unwrap_or(0);
        let what = || format!("{} failed as declared: {}", text::count(runs, "run"), self.fails.join(", "));
        (!self.fails.is_empty()).then(what)
    }

    fn unmet(&self) -> impl Iterator<Item = Unmet> {
        let found = |name: &str| self.dose.get(name).copied().unwrap_or(0);
        self.expect.iter().filter(move |(name, bounds)| !bounds.hold(found(name))).map(move |(name, bounds)| Unmet {
            scenario: self.path.clone(),
            name: name.clone(),
            expected: *bounds,
            found: found(name),
        })
    }

    /// What is known about why too little happened.
    fn why(&self) -> String {
        let faults = self.dose.iter().filter(|(name, _)| sim::fault::Fault::<()>::NAMES.contains(&name.as_str()));
        let faults: Vec<String> = faults.map(|(name, times)| format!("{name} {times}")).collect();
        let runs = text::count(self.counts.runs, "run");
        let mut why = match faults.is_empty() {
            true => format!("no fault happened in {runs}"),
            false => format!("the faults in {runs} were: {}", faults.join(", ")),
        };
        for (name, what) in [("fault.refused", "were refused by the fault budget"), ("fault.missed", "matched no node")]
        {
            if let Some(times) = self.dose.get(name) {
                why += &format!("; {times} {what}");
            }
        }
        why
    }
}

/// Nanoseconds as they are written down. A sum that does not fit stands for centuries.
fn nanos(virtual_ns: u128) -> u64 {
    u64::try_from(virtual_ns).unwrap_or(u64::MAX)
}

pub(super) fn seconds(virtual_ns: u64) -> f64 {
    virtual_ns as f64 / 1e9
}

fn failure(system: String, signature: String, bug: Bug, targets: &[Target<'_>]) -> Failure {
    let path = |scenario: usize| targets[scenario].loaded.scenario.path().to_owned();
    let best = bug.best;
    Failure {
        // The virtual time of a process's death is unknown.
        at_ns: (!signature.starts_with(death::PREFIX)).then_some(best.at_ns),
        signature,
        system,
        count: bug.count,
        replay: text::replay_line(&path(best.scenario), best.seed, &targets[best.scenario].planted),
        scenario: path(best.scenario),
        seed: Some(best.seed),
        events: Some(best.events),
        explanation: best.explanation,
        scenarios: bug.scenarios.into_iter().map(|(scenario, count)| (path(scenario), count)).collect(),
        examples: bug
            .examples
            .iter()
            .map(|(scenario, seed)| Example { scenario: path(*scenario), seed: *seed })
            .collect(),
        repeats: true,
        bundle: None,
    }
}

/// A complete sweep in which too little happened says too little, and one in which something happened too often found a bug
/// that no single run shows: that is a failure of its own.
fn not_as_expected(unmet: Unmet, [first, end]: [u64; 2], row: &ScenarioRow) -> Failure {
    let Unmet { scenario, name, expected, found } = unmet;
    let flags = text::planted_flags(&row.planted);
    let why = row.why();
    let what = match name.as_str() {
        DECLARED if expected == Bounds::at_least(1) => {
            let fails = row.fails.join(", ");
            format!("the scenario declares that it fails with {fails}, and no run did: all passed otherwise")
        }
        _ => format!("expected `{name}` {expected} over all seeds, found {found}"),
    };
    Failure {
        signature: format!("dose:{name}"),
        system: row.system.clone(),
        count: 1,
        explanation: format!("{what}; {why}"),
        replay: format!("cargo dst sweep {} --seeds {first}..{end}{flags}", text::quoted(&scenario)),
        scenarios: BTreeMap::from([(scenario.clone(), 1)]),
        scenario,
        repeats: true,
        ..Failure::default()
    }
}

fn scenario_row(target: &Target<'_>, row: Row) -> ScenarioRow {
    let virtual_ns = nanos(row.virtual_ns);
    ScenarioRow {
        path: target.loaded.scenario.path().to_owned(),
        hash: target.loaded.hash(),
        system: target.loaded.scenario.system().to_owned(),
        planted: target.planted.clone(),
        counts: row.counts,
        harness_failures: row.harness,
        virtual_seconds: seconds(virtual_ns),
        virtual_ns,
        run_seconds: row.took.as_secs_f64(),
        dose: row.dose,
        metrics: Figures::default(),
        histograms: Some(row.metrics),
        expect: target.loaded.expect_sweep.clone(),
        fails: target.loaded.fails.clone(),
    }
}
