//! What systems declare: each oracle and each scenario that a planted bug names must be there.

use std::collections::BTreeSet;
use std::path::Path;

use sim::Scenario;
use sim::probe::{PROBES, Probe, ProbeKind};
use sim::scenario::{Diagnostic, ScenarioError, Source, suggest};
use sim::system::PlantedInfo;

use crate::registry::{Entry, Registry};
use crate::scenarios;

/// What is wrong, a list for each system with a mistake.
pub fn mistakes(registry: &Registry<'_>) -> Vec<ScenarioError> {
    registry.entries().iter().filter_map(of_system).chain(of_sites(registry)).collect()
}

/// Planted lines that nothing can switch on: no system declares a bug of their name. Crates of which no line is declared have
/// their systems in another program.
fn of_sites(registry: &Registry<'_>) -> Option<ScenarioError> {
    let declared = registry.entries().iter().flat_map(|entry| &entry.description.planted);
    let problems = undeclared(&PROBES, &declared.map(|bug| bug.name.as_str()).collect::<Vec<_>>());
    (!problems.is_empty()).then(|| ScenarioError::new(Source::new("planted bugs", ""), problems))
}

fn undeclared(probes: &[Probe], declared: &[&str]) -> Vec<Diagnostic> {
    let crate_of = |site: &Probe| site.module.split("::").next().unwrap_or_default();
    let (known, unknown): (Vec<&Probe>, Vec<&Probe>) =
        probes.iter().filter(|site| site.kind == ProbeKind::Planted).partition(|site| declared.contains(&site.name));
    let here: BTreeSet<&str> = known.into_iter().map(crate_of).collect();
    let mut wrong: Vec<&Probe> = unknown.into_iter().filter(|site| here.contains(crate_of(site))).collect();
    wrong.sort_by_key(|site| (site.file, site.line));
    let problem = |Probe { name, file, line, .. }: &Probe| {
        let title = format!("no system declares the planted bug `{name}` of {file}:{line}");
        Diagnostic::error(title).help(suggest(name, "planted bugs", declared.iter().copied()))
    };
    wrong.into_iter().map(problem).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_line_without_a_declared_bug_is_a_mistake_in_a_crate_that_declares_others() {
        let site = |kind, name, module, line| Probe { kind, name, module, file: "x.rs", line };
        let probes = [
            site(ProbeKind::Planted, "kv.stale", "ours::kv", 3),
            site(ProbeKind::Planted, "kv.stael", "ours::server", 2),
            site(ProbeKind::Buggify, "kv.slow", "ours::server", 1),
            site(ProbeKind::Planted, "other.bug", "theirs", 7),
        ];
        let [problem] = &undeclared(&probes, &["kv.stale", "kv.lost"])[..] else { panic!("one") };
        let text = format!("{problem:?}");
        assert!(text.contains("no system declares the planted bug `kv.stael` of x.rs:2"), "{text}");
        assert!(text.contains("did you mean `kv.stale`?"), "{text}");
    }
}
