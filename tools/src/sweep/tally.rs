//! What a sweep adds up while it goes on. Nothing of it grows with the number of runs.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::scenario::ScenarioError;
use sim::{Dose, Metrics, Outcome, Report};

use super::Target;
use super::bugs::Bugs;
use super::plan::Plan;
use super::planted::Search;
use crate::text;
use crate::worker::{Ran, Run};

/// Runs by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// All that ended.
    pub runs: u64,
    /// Those in which all held.
    pub passed: u64,
    /// Those in which something did not hold.
    pub failed: u64,
    /// Those in which a check gave up.
    pub unknown: u64,
}

impl Counts {
    fn add(&mut self, outcome: Outcome) {
        self.runs += 1;
        match outcome {
            Outcome::Pass => self.passed += 1,
            Outcome::Fail => self.failed += 1,
            Outcome::Unknown => self.unknown += 1,
        }
    }

    /// `N runs, P passed, F failed, U unknown`
    pub fn line(self) -> String {
        let Counts { runs, passed, failed, unknown } = self;
        format!("{}, {passed} passed, {failed} failed, {unknown} unknown", text::count(runs, "run"))
    }
}

/// What one scenario's runs add up to.
#[derive(Default)]
pub struct Row {
    /// How they ended.
    pub counts: Counts,
    /// How long they lasted, in virtual nanoseconds.
    pub virtual_ns: u128,
    /// How long they took, in real time.
    pub took: Duration,
    /// What happened in them.
    pub dose: Dose,
    /// How well the system did.
    pub metrics: Metrics,
    /// How many of them the harness failed in.
    pub harness: u64,
}

/// A run in which the harness failed, so that it has no verdict on the system.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// The scenario.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
    /// The error.
    pub what: String,
    /// The command that runs it again.
    pub replay: String,
}

/// Harness failures: how many, and the first few.
#[derive(Default)]
pub struct Faults {
    /// How many.
    pub count: u64,
    /// The first few.
    pub first: Vec<Fault>,
}

/// How many harness failures of a sort are kept.
pub const KEPT: usize = 5;

impl Faults {
    fn add(&mut self, target: &Target<'_>, seed: u64, what: String) {
        self.count += 1;
        if self.first.len() < KEPT {
            self.first.push(fault(target, seed, what));
        }
    }
}

fn fault(target: &Target<'_>, seed: u64, what: String) -> Fault {
    let scenario = target.loaded.scenario.path().to_owned();
    let replay = text::replay_line(&scenario, seed, &target.planted);
    Fault { scenario, seed, what, replay }
}

/// Everything that a sweep adds up.
pub struct Tally<'a> {
    plan: &'a Plan,
    targets: &'a [Target<'a>],
    enough: Enough,
    /// All runs.
    pub counts: Counts,
    /// By scenario.
    pub rows: Vec<Row>,
    /// What broke.
    pub bugs: Bugs,
    /// In how many runs each `sometimes!` and `reachable!` held.
    pub sometimes: BTreeMap<String, u64>,
    /// The known bugs that are on.
    pub searches: Vec<Search>,
    /// Seeds that ran differently the second time.
    pub differing: Faults,
    /// Those that are known by scenario and seed, so that no seed is counted twice.
    pub unrepeated: BTreeSet<(usize, u64)>,
    /// Runs that the harness could not make.
    pub broken: Faults,
    /// The scenario that turned out to be wrong, with the seed that showed it. The sweep ends there.
    pub bad_scenario: Option<(Fault, Box<ScenarioError>)>,
    /// Whether as many runs failed as were allowed to.
    pub enough_failures: bool,
}

/// When a sweep ends before its last run.
#[derive(Clone, Copy, Debug)]
pub enum Enough {
    /// It does not.
    Never,
    /// After so many runs that did not pass.
    Failures(u64),
    /// When every planted bug is found.
    Found,
}

impl<'a> Tally<'a> {
    /// An empty one.
    pub fn new(plan: &'a Plan, targets: &'a [Target<'a>], planted: &[String], enough: Enough) -> Tally<'a> {
        Tally {
            plan,
            targets,
            enough,
            counts: Counts::default(),
            rows: targets.iter().map(|_| Row::default()).collect(),
            bugs: Bugs::default(),
            sometimes: BTreeMap::new(),
            searches: planted.iter().map(|name| Search::new(name)).collect(),
            differing: Faults::default(),
            unrepeated: BTreeSet::new(),
            broken: Faults::default(),
            bad_scenario: None,
            enough_failures: false,
        }
    }

    /// Takes that a run is another one each time. The first word on a run is enough.
    pub fn add_differing(&mut self, run: Run, how: String) {
        if self.unrepeated.insert((run.scenario, run.seed)) {
            self.differing.add(&self.targets[run.scenario], run.seed, how);
            self.rows[run.scenario].harness += 1;
        }
    }

    /// Takes a run, and how long it took. `failed` is called with each that did not pass, and with whether its bug is a new one. Breaks
    /// if the sweep is to end.
    pub fn add(&mut self, run: Run, ran: Ran, took: Duration, failed: impl FnOnce(&Report, bool)) -> ControlFlow<()> {
        let Run { scenario, seed } = run;
        let target = &self.targets[scenario];
        self.rows[scenario].took += took;
        let report = match ran {
            Ran::Ended(report) => report,
            Ran::Differs { first, how } => {
                self.add_differing(run, how);
                first
            }
            Ran::Broken(what) => {
                self.broken.add(target, seed, what);
                self.rows[scenario].harness += 1;
                return ControlFlow::Continue(());
            }
            Ran::NoWorker(what) => {
                self.broken.add(target, seed, what);
                return ControlFlow::Break(());
            }
            Ran::BadScenario(error) => {
                self.bad_scenario = Some((fault(target, seed, error.render(false)), error));
                return ControlFlow::Break(());
            }
        };
        self.counts.add(report.verdict);
        let row = &mut self.rows[scenario];
        row.counts.add(report.verdict);
        row.virtual_ns += u128::from(report.virtual_ns);
        row.metrics.add(&report.metrics);
        for (name, count) in &report.dose {
            match row.dose.get_mut(name) {
                Some(sum) => *sum += count,
                None => drop(row.dose.insert(name.clone(), *count)),
            }
        }
        for name in &report.sometimes {
            match self.sometimes.get_mut(name) {
                Some(runs) => *runs += 1,
                None => drop(self.sometimes.insert(name.clone(), 1)),
            }
        }
        for search in &mut self.searches {
            search.see(self.plan, target, &report);
        }
        if report.failure.is_some() {
            let is_new = self.bugs.add(scenario, &report);
            failed(&report, is_new);
        }
        let failures = self.counts.failed + self.counts.unknown;
        self.enough_failures = match self.enough {
            Enough::Never => false,
            Enough::Failures(most) => failures >= most,
            Enough::Found => self.searches.iter().all(|search| search.found),
        };
        if self.enough_failures { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
