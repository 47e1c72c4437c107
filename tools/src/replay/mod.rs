//! `dst replay`: repeats and explains the run of one seed.
//!
//! The output starts with the plan, then has the trace (with `--trace`), the faults, the verdict and the digests. A frozen run
//! must reproduce the world digest of its original run; otherwise the command reports a failure of the harness. For an entry of
//! the corpus, the exit code tells whether the entry's expectation holds.

mod frozen;
mod human;
mod kept;
mod trace;

pub(crate) use human::header;
pub(crate) use trace::line as trace_line;

use std::path::Path;

use anyhow::{Result, anyhow};
use owo_colors::OwoColorize;
use serde_json::json;
use sim::check::linearizable::Explanation;
use sim::scenario::{Plan, suggest};
use sim::{DynSystem, Outcome, Report, RunError, RunOptions};

use crate::cli::ReplayArgs;
use crate::console::Console;
use crate::corpus::entry;
use crate::exit::{BadInput, BadScenarios, Exit};
use crate::metrics::Figures;
use crate::registry::Registry;
use crate::scenarios::{self, Loaded};
use crate::{files, picture, text};
use kept::Kept;

/// Replays.
///
/// # Errors
///
/// If the scenario is wrong, a flag does not fit it, the harness fails, or something cannot be written.
pub fn run(args: &ReplayArgs, registry: &Registry<'_>, console: &Console) -> Result<Exit> {
    if args.scenario.is_dir() {
        let title = format!("`{}` is a folder", args.scenario.display());
        return Err(BadInput::error(title, "name one scenario; `cargo dst list` shows all there are"));
    }
    if entry::is_entry(&args.scenario) {
        kept::run(args, registry, console)
    } else {
        one(args, None, registry, console)
    }
}

/// Replays one run. For a corpus entry, `kept` has the expectation.
fn one(args: &ReplayArgs, kept: Option<&Kept<'_>>, registry: &Registry<'_>, console: &Console) -> Result<Exit> {
    registry.check_planted(&args.planted)?;
    let loaded = scenarios::load_one(&args.scenario, registry).map_err(BadScenarios::from)?;
    let seed = seed(args, &loaded)?;
    check_planted(args, &loaded)?;
    for file in args.freeze.iter().chain(&args.picture) {
        files::check_free(file, args.force)?;
    }
    let plan = loaded.scenario.plan(seed).map_err(BadScenarios::from)?;
    let nodes = nodes(loaded.entry.system, &plan)?;
    if let Some(unknown) = args.node.iter().find(|node| !nodes.contains(node)) {
        let help = suggest(unknown, "nodes", nodes.iter().map(String::as_str));
        return Err(BadInput::error(format!("there is no node `{unknown}` with this seed"), help));
    }

    let planted = loaded.frozen.as_ref().map_or(&args.planted, |frozen| &frozen.planted);
    if !args.json {
        console.print(&human::header(&loaded, seed, planted, &plan.draws))?;
    }
    let (recorder, written) = trace::recorder(args, &nodes, console);
    let freezes = args.freeze.is_some();
    let options = RunOptions { planted: args.planted.clone(), recorder, freeze: freezes, ..RunOptions::default() };
    let report = sim::run(loaded.entry.system, &loaded.scenario, seed, options).map_err(|error| match error {
        RunError::Scenario(error) => BadScenarios::from(*error).into(),
        error => anyhow::Error::new(error),
    })?;
    written.check()?;
    if !args.json {
        let after_trace = if args.wants_trace() { "\n" } else { "" };
        console.print(&format!("{after_trace}{}", human::ending(&report)))?;
    }
    let judged = kept.map(|kept| kept.judge(&report));
    if let (Some(file), Some(text)) = (&args.freeze, &report.frozen) {
        files::create(file, text, args.force, "the frozen run")?;
        if !args.json {
            console.print(&format!("frozen: cargo dst replay {}\n", text::quoted(&file.display().to_string())))?;
        }
    }
    let drawn = match &args.picture {
        Some(file) => draw(file, &report, args, console)?,
        None => None,
    };
    let drift = loaded.frozen.as_ref().and_then(|frozen| frozen::drift(frozen, &report));
    if args.json {
        let mut line = object(&report, planted);
        line["frozen"] = json!(args.freeze.as_ref().map(|file| file.display().to_string()));
        line["picture"] = json!(drawn);
        line["drift"] = json!(drift);
        if let Some(judged) = &judged {
            judged.add_to(&mut line);
        }
        console.json(&line)?;
    } else if let Some(judged) = &judged {
        console.print(&judged.text())?;
    }
    if let Some(drift) = drift {
        console.say(&format!("{} {drift}\n", "note:".bold()));
    }
    if let Some(judged) = judged {
        return Ok(judged.exit());
    }
    Ok(if report.verdict == Outcome::Pass { Exit::Held } else { Exit::BugFound })
}

/// Draws what is not linearizable, if there is anything. Returns the name of the file.
fn draw(file: &Path, report: &Report, args: &ReplayArgs, console: &Console) -> Result<Option<String>> {
    let name = file.display().to_string();
    let Some(details) = details(report) else {
        if !args.json {
            console.print(&format!("no picture `{name}`: no check found that the history is not linearizable\n"))?;
        }
        return Ok(None);
    };
    files::create(file, &picture::html(details), args.force, "the picture")?;
    if !args.json {
        console.print(&format!("picture: {}\n", text::quoted(&name)))?;
    }
    Ok(Some(name))
}

/// An ordinary scenario needs a seed, a frozen run must have none.
fn seed(args: &ReplayArgs, loaded: &Loaded<'_>) -> Result<u64> {
    let path = text::quoted(loaded.scenario.path());
    match (args.seed, &loaded.frozen) {
        (Some(seed), None) => Ok(seed),
        (None, Some(frozen)) => Ok(frozen.seed),
        (Some(seed), Some(frozen)) => Err(BadInput::error(
            format!("`{path}` is one frozen run of seed {}: it takes no seed", frozen.seed),
            format!(
                "leave the seed out: cargo dst replay {path}; or give it to the scenario: cargo dst replay {} {seed}",
                text::quoted(&frozen.scenario)
            ),
        )),
        (None, None) => Err(BadInput::error(
            format!("which seed? `{path}` is a scenario, and each seed of it is another run"),
            format!("cargo dst replay {path} 17; to look for seeds that fail: cargo dst sweep {path}"),
        )),
    }
}

fn check_planted(args: &ReplayArgs, loaded: &Loaded<'_>) -> Result<()> {
    if loaded.frozen.is_some() && !args.planted.is_empty() {
        let help = "its `planted` key says which known bugs are on; freeze another run for others";
        return Err(BadInput::error("a frozen run takes no --planted", help));
    }
    loaded.entry.check_planted(&args.planted)
}

/// The names of all nodes that there are with a plan.
pub(crate) fn nodes(system: &dyn DynSystem, plan: &Plan) -> Result<Vec<String>> {
    let cluster = system.instantiate(plan.system_params()).map_err(|error| anyhow!("{error}"))?;
    Ok(cluster.nodes().into_iter().map(|node| node.name).collect())
}

/// A run as JSON. The machine contract: fields are added, never renamed.
pub(crate) fn object(report: &Report, planted: &[String]) -> serde_json::Value {
    let failure = report.failure.as_ref();
    let mut object = json!({
        "type": "run",
        "scenario": report.scenario,
        "system": report.system,
        "seed": report.seed,
        "planted": planted,
        "digest": report.digest,
        "world": report.world,
        "verdict": report.verdict,
        "signature": failure.map(|failure| &failure.signature),
        "at_ns": failure.map(|failure| failure.at_ns),
        "explanation": failure.map(|failure| &failure.explanation),
        "also": report.also,
        "declared": report.declared,
        "virtual_ns": report.virtual_ns,
        "events": report.events,
        "draws": report.draws.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        "faults": report.faults,
        "dose": report.dose,
        "metrics": Figures::from(&report.metrics),
        "sometimes": report.sometimes,
    });
    if let Some(details) = details(report) {
        object["linearization"] = json!(details);
    }
    object
}

/// What is known in detail of the earliest violation of which anything is.
pub(crate) fn details(report: &Report) -> Option<&Explanation> {
    report.violations().find_map(|failure| failure.details.as_deref())
}
