//! What systems declare: each oracle and each scenario that a planted bug names must be there.

use std::path::Path;

use sim::Scenario;
use sim::scenario::{Diagnostic, ScenarioError, Source, suggest};
use sim::system::PlantedInfo;

use crate::registry::{Entry, Registry};
use crate::scenarios;

/// What is wrong, a list for each system with a mistake.
pub fn mistakes(registry: &Registry<'_>) -> Vec<ScenarioError> {
    registry.entries().iter().filter_map(of_system).collect()
}

fn of_system(entry: &Entry<'_>) -> Option<ScenarioError> {
    let description = &entry.description;
    let mut problems: Vec<Diagnostic> = description.mistakes().into_iter().map(Diagnostic::error).collect();
    // A system whose scenarios are all elsewhere is not tested here.
    if scenarios::has(&description.name) {
        problems.extend(description.planted.iter().flat_map(|bug| scenarios_of(bug, &description.name)));
    }
    let name = format!("system {}", description.name);
    (!problems.is_empty()).then(|| ScenarioError::new(Source::new(&name, ""), problems))
}

/// Scenarios that a bug names and that are not there, or another system's.
fn scenarios_of(bug: &PlantedInfo, system: &str) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    for search in &bug.found_by {
        let path = scenarios::of(system, &search.scenario);
        let (shown, bug) = (path.display(), &bug.name);
        if !path.is_file() {
            let there = names_beside(&path);
            let help = suggest(&search.scenario, "scenarios there", there.iter().map(String::as_str));
            let title = format!("the planted bug `{bug}` is to be found by `{shown}`, which is not there");
            problems.push(Diagnostic::error(title).help(help));
        } else if let Ok(scenario) = Scenario::load(&path)
            && scenario.system() != system
        {
            let of = scenario.system();
            let title =
                format!("the planted bug `{bug}` of `{system}` is to be found by `{shown}`, a scenario of `{of}`");
            problems.push(Diagnostic::error(title));
        }
    }
    problems
}

/// The names of the scenarios in the folder of that file.
fn names_beside(path: &Path) -> Vec<String> {
    let files = path.parent().and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    let stems = files.filter_map(|file| Some(file.path().file_stem()?.to_str()?.to_owned()));
    stems.collect()
}
