//! `dst check --plan`: what a seed will do to a scenario, as far as the seed alone decides.

use anyhow::Result;
use owo_colors::OwoColorize;
use serde_json::json;
use sim::scenario::Plan;
use sim::scenario::plan::WorkloadTable;
use sim::{Phase, Planned, Time, timeline};

use crate::console::Console;
use crate::exit::{BadInput, BadScenarios, Exit};
use crate::registry::Registry;
use crate::scenarios::{self, Below, Loaded};

/// Prints the plan of a seed.
///
/// # Errors
///
/// If not one scenario is named, it is wrong, or the output cannot be written.
pub fn run(
    paths: &[std::path::PathBuf],
    seed: u64,
    json: bool,
    registry: &Registry<'_>,
    console: &Console,
) -> Result<Exit> {
    let [path] = &scenarios::find(paths, Below::All)?[..] else {
        let help = "name one scenario: cargo dst check --plan scenarios/kv/crash.toml --seed 17";
        return Err(BadInput::error("--plan is about one scenario", help));
    };
    let loaded = scenarios::load_one(path, registry).map_err(BadScenarios::from)?;
    let plan = loaded.scenario.plan(seed).map_err(BadScenarios::from)?.with_suggested(&loaded.entry.description);
    let planned = timeline(&plan, seed);
    if json {
        console.json(&line(&loaded, &plan, seed, &planned))?;
    } else {
        console.print(&human(&loaded, &plan, seed, &planned))?;
    }
    Ok(Exit::Held)
}

/// The machine contract: fields are added, never renamed.
fn line(loaded: &Loaded<'_>, plan: &Plan, seed: u64, planned: &[Planned]) -> serde_json::Value {
    let each = |planned: &Planned| {
        json!({
            "rule": planned.rule,
            "at_ns": planned.at_ns,
            "for_ns": planned.lasts_ns,
            "waits_for": planned.waits_for,
            "what": planned.what,
        })
    };
    let draws: serde_json::Map<String, serde_json::Value> =
        plan.draws.iter().map(|(path, value)| (path.clone(), value.as_str().into())).collect();
    json!({
        "type": "plan",
        "scenario": loaded.scenario.path(),
        "seed": seed,
        "setup_ns": plan.run.setup.nanos(),
        "main_ns": plan.run.main.nanos(),
        "quiet_ns": plan.run.quiet.nanos(),
        "workloads": plan.workloads,
        "draws": draws,
        "timeline": planned.iter().map(each).collect::<Vec<_>>(),
    })
}

fn human(loaded: &Loaded<'_>, plan: &Plan, seed: u64, planned: &[Planned]) -> String {
    let mut text = crate::replay::header(loaded, seed, &[], &plan.draws);
    let mut phase = |name: &str, lasts: Time, when: Option<Phase>| {
        let names: Vec<String> = plan.workloads.iter().filter(|of| Some(of.phase) == when).map(workload).collect();
        let most = if name == "main" { "for" } else { "at most" };
        text += format!("{}  {most} {lasts}  {}", format!("{name:<8}").bold(), names.join(", ")).trim_end();
        text += "\n";
        if name == "main" {
            text += &rules(planned);
        }
    };
    phase("setup", plan.run.setup, Some(Phase::Setup));
    phase("main", plan.run.main, Some(Phase::Main));
    phase("quiet", plan.run.quiet, Some(Phase::Final));
    text
}

/// `mixed on client-0`
fn workload(table: &WorkloadTable) -> String {
    match &table.on {
        Some(on) => format!("{} on {}", table.name.get_ref(), on.get_ref()),
        None => table.name.get_ref().clone(),
    }
}

/// What the clock brings, then what waits for something else.
fn rules(planned: &[Planned]) -> String {
    let width = planned.iter().map(|planned| planned.rule.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for Planned { rule, at_ns, lasts_ns, waits_for, what } in planned {
        let lasts = lasts_ns.as_ref().map_or(String::new(), |ns| format!(" for {:#}", Time::from_nanos(*ns)));
        let did = format!("{rule:<width$}  {what}{lasts}");
        text += &match (at_ns, waits_for) {
            (Some(at), None) => format!("  {:>9.3}s  {did}\n", *at as f64 / 1e9),
            (Some(at), Some(waits)) => format!("  {:>9.3}s  {did}, {}\n", *at as f64 / 1e9, waits.dimmed()),
            (None, waits) => {
                let waits = waits.as_deref().unwrap_or("something else");
                format!("  {:>10}  {did}, {}\n", "on event", format!("first at {waits}").dimmed())
            }
        };
    }
    if planned.is_empty() { "  no fault\n".to_owned() } else { text }
}
