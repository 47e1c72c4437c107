//! `dst sweep`: many seeds of many scenarios, and what broke.
//!
//! `plan` numbers the runs, `pool` makes them (`one`) on several threads and hands them over in the order of their
//! numbers, `tally` adds them up (`bugs`, `planted`), `summary` draws the conclusions (`probes`), and `human`
//! puts them on one screen, `pages` in the forms that other programs show (`junit`, `markdown`). `bundle` keeps
//! all there is to know of each distinct failure. `shard` is one part of a
//! sweep, and the sum of all parts. Since they are added up in one order, everything but the time is the same with any number of
//! threads; so is where a sweep stops that is to stop at a failure.

mod bugs;
mod bundle;
pub(crate) mod human;
mod junit;
mod markdown;
mod one;
pub(crate) mod pages;
mod plan;
mod planted;
mod pool;
mod probes;
mod progress;
pub(crate) mod shard;
pub(crate) mod summary;
mod tally;

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use anyhow::{Result, anyhow};
use owo_colors::OwoColorize;
use serde_json::json;
use sim::{Report, RunError, RunOptions};

use crate::cli::SweepArgs;
use crate::console::Console;
use crate::exit::{self, BadInput, BadScenarios, Exit};
use crate::registry::Registry;
use crate::scenarios::{self, Loaded};
use crate::text;
use bundle::Out;
use one::Ran;
use pages::Pages;
use plan::Plan;
use progress::Progress;
use summary::Summary;
use tally::Tally;

/// A scenario, and the known bugs that are on in its runs.
pub(crate) struct Target<'a> {
    pub(crate) loaded: Loaded<'a>,
    pub(crate) planted: Vec<String>,
}

impl Target<'_> {
    /// Makes one run in this process.
    ///
    /// # Errors
    ///
    /// If the scenario is wrong, with this seed at least, or the harness fails.
    pub(crate) fn run(&self, seed: u64, options: RunOptions) -> Result<Report> {
        let options = RunOptions { planted: self.planted.clone(), ..options };
        let run = || sim::run(self.loaded.entry.system, &self.loaded.scenario, seed, options);
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(report)) => Ok(report),
            Ok(Err(RunError::Scenario(error))) => Err(BadScenarios::from(*error).into()),
            Ok(Err(RunError::Harness(error))) => Err(error.into()),
            Err(_) => Err(anyhow!("the harness panicked; the panic's message is above")),
        }
    }
}

/// Sweeps.
///
/// # Errors
///
/// If there is nothing to run, a scenario is wrong, or the output cannot be written.
pub fn run(args: &SweepArgs, registry: &Registry<'_>, console: &Console) -> Result<Exit> {
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
    let stop_after = if args.fail_fast { Some(1) } else { args.max_failures.map(Into::into) };
    let plan = Plan::new(args, targets.len());
    let mut sweep = Sweep {
        tally: Tally::new(&plan, &targets, &planted, stop_after),
        progress: Progress::new(console, &plan),
        targets: &targets,
        plan: &plan,
        console,
        json: args.json,
        next: 0,
        written: Ok(()),
    };
    let work = |index| {
        let (scenario, seed) = plan.run(index);
        one::run(&targets[scenario], seed, args.verify)
    };
    pool::in_order(jobs, |index| plan.goes_on(index), work, &mut sweep);
    let Sweep { mut tally, written, progress, .. } = sweep;
    drop(progress);
    written?;

    let bad_scenario = tally.bad_scenario.take();
    let mut summary = Summary::new(tally, &plan, &targets, registry, jobs);
    // What cannot be written must not hide what was found.
    let bundles = out.map_or(Ok(Vec::new()), |out| out.write(&mut summary, &targets));
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
        None => summary.exit(),
        Some((seed, error)) => {
            let error = exit::explain(&BadScenarios::from(*error).into(), console);
            console.say(&format!("the sweep ended here: seed {seed} draws what is wrong\n"));
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
    let loaded = scenarios::load(&scenarios::find(&args.scenarios)?, registry)?;
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
    plan: &'a Plan,
    console: &'a Console,
    json: bool,
    /// The run that is to be added up next.
    next: u64,
    written: Result<()>,
}

impl pool::Consumer<Ran> for Sweep<'_> {
    fn take(&mut self, index: u64, ran: Ran) -> ControlFlow<()> {
        self.next = index + 1;
        let Sweep { tally, targets, plan, console, json, written, .. } = self;
        let target = &targets[plan.run(index).0];
        let flow = tally.add(index, ran, |report, is_new| {
            if *json {
                *written = console.json(&failure_line(report, &target.planted));
            } else if is_new && let Some(failure) = &report.failure {
                let what = format!("{} in {} with seed {}", failure.signature, report.scenario, report.seed);
                console.say(&format!("{} {what}\n", "found".red().bold()));
            }
        });
        if self.written.is_err() { ControlFlow::Break(()) } else { flow }
    }

    fn tick(&mut self) {
        let Sweep { targets, plan, next, .. } = self;
        self.progress.show(self.tally.counts, || {
            let (scenario, seed) = plan.run(*next);
            format!("{} seed {seed}", targets[scenario].loaded.scenario.path())
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
        "at_ns": failure.map(|failure| failure.at_ns),
        "explanation": failure.map(|failure| &failure.explanation),
        "also": also,
        "digest": report.digest,
        "events": report.events,
        "replay": text::replay_line(&report.scenario, report.seed, planted),
    })
}
