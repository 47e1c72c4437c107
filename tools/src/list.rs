//! `dst list`: systems, scenarios and faults.

use anyhow::Result;
use owo_colors::OwoColorize;
use serde::Serialize;
use sim::Scenario;
use sim::scenario::plan::What;
use sim::system::{Description, EventInfo, PlantedInfo};

use crate::cli::ListArgs;
use crate::console::Console;
use crate::exit::{self, BadScenarios, Exit};
use crate::registry::Registry;
use crate::scenarios::{self, Below};
use crate::text;

#[derive(Serialize)]
struct Listing<'a> {
    systems: Vec<&'a Description>,
    scenarios: Vec<ScenarioLine>,
    faults: Vec<&'static str>,
}

#[derive(Serialize)]
struct ScenarioLine {
    path: String,
    system: String,
    description: String,
}

/// Lists what there is. A scenario file that is no scenario is an error, but does not hide the others.
///
/// # Errors
///
/// If a scenario or folder that was named is not there, or the output cannot be written.
pub fn run(args: &ListArgs, registry: &Registry<'_>, console: &Console) -> Result<Exit> {
    // A project without scenarios has systems to list all the same.
    let nothing_here = args.scenarios.is_empty() && !std::path::Path::new(scenarios::FOLDER).is_dir();
    let paths = if nothing_here { Vec::new() } else { scenarios::find(&args.scenarios, Below::All)? };
    let mut errors = Vec::new();
    let mut lines = Vec::new();
    for path in paths {
        match Scenario::load(&path) {
            Ok(scenario) => lines.push(ScenarioLine {
                path: scenario.path().to_owned(),
                system: scenario.system().to_owned(),
                description: scenario.description().to_owned(),
            }),
            Err(error) => errors.push(error),
        }
    }
    let systems = registry.entries().iter().map(|entry| &entry.description).collect();
    let listing = Listing { systems, scenarios: lines, faults: What::names().collect() };
    if args.json {
        console.json(&listing)?;
    } else {
        console.print(&human(&listing))?;
    }
    Ok(if errors.is_empty() { Exit::Held } else { exit::explain(&BadScenarios(errors).into(), console) })
}

/// Where the values of a listed thing begin.
const COLUMN: usize = 14;

fn human(listing: &Listing<'_>) -> String {
    let mut text = format!("{}\n", "systems".bold());
    for system in &listing.systems {
        text += &format!("\n{}  {}\n", system.name.cyan().bold(), system.doc);
        let mut row = |title: &str, words: Vec<String>| {
            if !words.is_empty() {
                text += &text::list(title, COLUMN, words, ", ");
            }
        };
        row("roles", system.roles.clone());
        row("selectors", system.selectors.clone());
        row("workloads", system.workloads.clone());
        row("operations", system.ops.clone());
        row("actions", system.actions.clone());
        row("checks", system.checks.clone());
        row("events", system.events.iter().map(event).collect());
        row("planted", system.planted.iter().map(planted).collect());
    }
    text += &format!("\n{}\n", "scenarios".bold());
    if listing.scenarios.is_empty() {
        text += &format!("\n  none: there is no folder `{}` here\n", scenarios::FOLDER);
    }
    for name in listing.systems.iter().map(|system| Some(&system.name)).chain([None]) {
        // Last come those whose system is not known: `sweep` will complain, but here they are.
        let is_here = |line: &&ScenarioLine| match name {
            Some(name) => line.system == *name,
            None => listing.systems.iter().all(|system| system.name != line.system),
        };
        let lines: Vec<&ScenarioLine> = listing.scenarios.iter().filter(is_here).collect();
        let width = lines.iter().map(|line| line.path.chars().count()).max().unwrap_or(0);
        if !lines.is_empty() {
            let title = name.map_or("of an unknown system", String::as_str);
            text += &format!("\n{}\n", title.cyan());
        }
        for line in lines {
            text += format!("  {:<width$}  {}", line.path, line.description).trim_end();
            text += "\n";
        }
    }
    text += &format!("\n{}\n\n", "faults".bold());
    text + &text::list("", 2, listing.faults.iter().map(|&name| name.to_owned()), ", ")
}

fn event(event: &EventInfo) -> String {
    if event.fields.is_empty() {
        event.name.clone()
    } else {
        format!("{} {{ {} }}", event.name, event.fields.join(", "))
    }
}

fn planted(planted: &PlantedInfo) -> String {
    let found_by: Vec<&str> = planted.found_by.iter().map(|search| search.scenario.as_str()).collect();
    let found_by = if found_by.is_empty() { String::new() } else { format!("; found by {}", found_by.join(", ")) };
    format!("{} (breaks {}{found_by})", planted.name, planted.breaks.join(", "))
}
