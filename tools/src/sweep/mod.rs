//! `dst sweep`: runs many seeds of many scenarios, and reports the bugs found.
//!
//! `plan` determines the extent of the sweep, and `schedule` the order of the runs. `pool` has several threads, each with a
//! worker that makes runs (`runner`, or `verify` for pairs of runs), and delivers the results in the order of the runs.
//! `tally` counts the results (`bugs`, `planted`), and `again` makes the run of each bug once more. `summary` draws conclusions (`probes`, `cpu`). `human` prints them, and
//! `pages` writes them for other programs (`junit`, `markdown`). `bundle` writes a folder for each distinct failure. `shard`
//! splits a sweep and merges its parts. Because results are counted in a fixed order, the summary does not depend on the number
//! of threads, except for the times; neither does the run at which a sweep stops.

mod again;
mod bugs;
mod bundle;
mod cpu;
pub(crate) mod human;
mod junit;
mod markdown;
pub(crate) mod pages;
mod plan;
pub(crate) mod planted;
mod pool;
mod probes;
mod progress;
mod runner;
mod schedule;
pub(crate) mod shard;
pub(crate) mod summary;
mod tally;
mod verify;

use std::ops::ControlFlow;
use std::thread;

use anyhow::Result;
use owo_colors::OwoColorize;
use serde_json::json;
use sim::Report;

use crate::cli::SweepArgs;
use crate::console::Console;
use crate::exit::{self, BadInput, BadScenarios, Exit};
use crate::registry::Registry;
use crate::scenarios::{self, Below, Loaded};
use crate::stop::Stop;
use crate::text;
use crate::worker::one::Task;
use crate::worker::process::Side;
use crate::worker::team::Team;
use crate::worker::{Ran, Run, Workers, death};
use bundle::Out;
use pages::Pages;
use plan::Plan;
use pool::Done;
use progress::Progress;
use runner::Crew;
use schedule::{Job, Schedule};
use summary::{Cost, Summary};
use tally::{Enough, Tally};
use verify::Pair;

/// A scenario, and the known bugs that are on in its runs.
pub(crate) struct Target<'a> {
    pub(crate) loaded: Loaded<'a>,
    pub(crate) planted: Vec<String>,
}

impl<'a> Target<'a> {
    /// What a worker must know of it.
    pub(crate) fn task(&self) -> Task<'a> {
        let Target { loaded: Loaded { scenario, entry, .. }, planted } = self;
        Task { scenario: scenario.clone(), system: entry.system, planted: planted.clone() }
    }
}

/// Sweeps.
///
/// # Errors
///
/// If there is nothing to run, a scenario is wrong, or the output cannot be written.
pub fn run(args: &SweepArgs, registry: &Registry<'_>, console: &Console, workers: Workers) -> Result<Exit> {
    let mut planted = args.planted.clone();
    planted.sort_unstable();
    planted.dedup();
    registry.check_planted(&planted)?;
    let targets = targets(args, &planted, registry, console)?;
    let pages = Pages::check(&args.pages)?;
    let out = args.out.as_deref().map(Out::check).transpose()?;
    let jobs = match args.jobs {
        Some(jobs) => usize::from(jobs),
        None => thread::available_parallelism().map_or(1, Into::into),
    };
    let enough = match args.max_failures {
        _ if args.expect_found => Enough::Found,
        _ if args.fail_fast => Enough::Failures(1),
        most => most.map_or(Enough::Never, |most| Enough::Failures(most.into())),
    };
    let tasks: Vec<Task<'_>> = targets.iter().map(Target::task).collect();
    let team = Team::new(workers, &tasks, &args.limits, console)?;
    let stop = if workers == Workers::Processes { Stop::on_signals()? } else { Stop::default() };
    let plan = Plan::new(args, targets.len());
    let cpu_before = cpu::used();
    let mut sweep = Sweep {
        tally: Tally::new(&plan, &targets, &planted, enough),
        progress: Progress::new(console, &plan),
        targets: &targets,
        console,
        json: args.json,
        written: Ok(()),
    };
    let crew = || match team.remote(&stop) {
        _ if args.verify => Crew::Pair(Pair::new(team.maker(&stop), team.maker_on(Side::Second, &stop))),
        Some(remote) => Crew::Ahead(Box::new(remote), Vec::new()),
        None => Crew::Steps(team.maker(&stop), None),
    };
    pool::in_order(jobs, crew, Schedule::new(&plan), &stop, &mut sweep);
    let Sweep { mut tally, written, progress, .. } = sweep;
    drop(progress);
    written?;
    again::confirm(&mut tally, &team, &stop.renewed());

    let bad_scenario = tally.bad_scenario.as_ref().map(|(fault, error)| (fault.seed, error.clone()));
    // A signal that came after the last run has interrupted nothing.
    let interrupted = stop.is_interrupted() && tally.counts.runs + tally.broken.count < plan.total();
    let cost = Cost { jobs, cpu: cpu::used().saturating_sub(cpu_before), interrupted };
    let mut summary = Summary::new(tally, &plan, &targets, registry, &cost);
    // What cannot be written must not hide what was found.
    let bundles = match out {
        Some(out) => {
            let stop = stop.renewed();
            out.write(&mut summary, &targets, || team.maker(&stop))
        }
        None => Ok(Vec::new()),
    };
    let paged = pages.write(&summary);
    if args.json {
        console.json(&summary)?;
    } else {
        console.print(&human::screen(&summary, registry))?;
    }
    paged?;
    let differing = bundles?;
    for note in &differing {
        console.say(&format!("{} {note}\n", "harness error:".red().bold()));
    }
    let exit = match bad_scenario {
        None if !differing.is_empty() => Exit::HarnessFailed,
        None if args.expect_found => summary.exit_if_found(),
        None => summary.exit(),
        Some((seed, error)) => {
            let error = exit::explain(&BadScenarios::from(*error).into(), console);
            console.say(&format!("stopped: with seed {seed} the scenario is invalid (see above)\n"));
            error.max(summary.exit())
        }
    };
    Ok(exit)
}

/// The scenarios that were asked for, all of them known to be right.
fn targets<'a>(
    args: &SweepArgs,
    planted: &[String],
    registry: &'a Registry<'_>,
    console: &Console,
) -> Result<Vec<Target<'a>>> {
    let loaded = scenarios::load(&scenarios::find(&args.scenarios, Below::Ordinary)?, registry)?;
    if let Some(frozen) = loaded.iter().find(|loaded| loaded.frozen.is_some()) {
        let path = frozen.scenario.path();
        let help = format!("replay it: cargo dst replay {}", text::quoted(path));
        return Err(BadInput::error(format!("`{path}` is one frozen run, which has no other seeds"), help));
    }
    let all = loaded.len();
    let mut targets: Vec<Target<'a>> =
        loaded.into_iter().map(|loaded| Target { planted: loaded.entry.planted(planted), loaded }).collect();
    if !planted.is_empty() {
        targets.retain(|target| !target.planted.is_empty());
        if let Some(name) = planted.iter().find(|name| targets.iter().all(|target| !target.planted.contains(name))) {
            let has_it = registry.entries().iter().filter(|entry| entry.planted_info(name).is_some());
            let systems: Vec<&str> = has_it.map(|entry| entry.description.name.as_str()).collect();
            let help = format!("it is a bug of {}: name a scenario of that system", systems.join(" and of "));
            return Err(BadInput::error(format!("no scenario here can show the planted bug `{name}`"), help));
        }
        if targets.len() < all {
            let left_out = text::count((all - targets.len()) as u64, "scenario");
            console.say(&format!("{left_out} left out: their systems do not have these planted bugs\n"));
        }
    }
    Ok(targets)
}

/// The calling thread's part of a sweep: adds up, shows how far it is, writes failures as they come.
struct Sweep<'a> {
    tally: Tally<'a>,
    progress: Progress<'a>,
    targets: &'a [Target<'a>],
    console: &'a Console,
    json: bool,
    written: Result<()>,
}

impl pool::Consumer<Ran> for Sweep<'_> {
    fn take(&mut self, done: Done<Ran>) -> ControlFlow<()> {
        let Sweep { tally, targets, console, json, written, .. } = self;
        let target = &targets[done.job.run.scenario];
        let flow = tally.add(done.job.run, done.result, done.took, |report, is_new| {
            if *json {
                *written = console.json(&failure_line(report, &target.planted));
            } else if is_new && let Some(failure) = &report.failure {
                let what = format!("{} in {} with seed {}", failure.signature, report.scenario, report.seed);
                console.say(&format!("{} {what}\n", "found".red().bold()));
            }
        });
        if self.written.is_err() { ControlFlow::Break(()) } else { flow }
    }

    fn tick(&mut self, waited_for: Option<Job>) {
        self.progress.show(self.tally.counts, || {
            let Run { scenario, seed } = waited_for?.run;
            Some(format!("{} seed {seed}", self.targets[scenario].loaded.scenario.path()))
        });
    }
}

/// A run that did not pass, as a line of JSON.
fn failure_line(report: &Report, planted: &[String]) -> serde_json::Value {
    let failure = report.failure.as_ref();
    let also: Vec<&str> = report.also.iter().map(|failure| failure.signature.as_str()).collect();
    json!({
        "type": "failure",
        "signature": failure.map(|failure| &failure.signature),
        "system": report.system,
        "scenario": report.scenario,
        "seed": report.seed,
        "verdict": report.verdict,
        "at_ns": failure.filter(|_| !death::is_death(report)).map(|failure| failure.at_ns),
        "explanation": failure.map(|failure| &failure.explanation),
        "also": also,
        "digest": report.digest,
        "events": report.events,
        "replay": text::replay_line(&report.scenario, report.seed, planted),
    })
}
