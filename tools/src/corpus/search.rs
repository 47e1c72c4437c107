//! Searches: a planted bug must be found by the scenarios that its declaration names, within a number of seeds.
//!
//! Which seed finds it may change with the code; that one does must not.

use anyhow::Result;
use sim::scenario::suggest;
use sim::system::{PlantedInfo, Search as FoundBy};

use crate::exit::{BadInput, BadScenarios};
use crate::registry::{Entry, Registry};
use crate::scenarios;
use crate::sweep::Target;
use crate::text;

/// A planted bug and a scenario that must find it.
pub struct Search<'a> {
    /// The system.
    entry: &'a Entry<'a>,
    /// The bug.
    pub bug: &'a PlantedInfo,
    /// The scenario file.
    pub scenario: String,
    /// How many seeds it may take, from seed 0 on.
    pub within: u64,
}

/// All that the systems declare which have a folder of scenarios here, in their order; and the other systems.
pub fn here<'a>(registry: &'a Registry<'_>) -> (Vec<Search<'a>>, Vec<&'a str>) {
    let (here, elsewhere): (Vec<_>, Vec<_>) =
        all(registry).into_iter().partition(|search| scenarios::has(&search.entry.description.name));
    let mut elsewhere: Vec<&str> = elsewhere.iter().map(|search| search.entry.description.name.as_str()).collect();
    elsewhere.dedup();
    (here, elsewhere)
}

/// All that the systems declare, in their order.
fn all<'a>(registry: &'a Registry<'_>) -> Vec<Search<'a>> {
    let bugs =
        registry.entries().iter().flat_map(|entry| entry.description.planted.iter().map(move |bug| (entry, bug)));
    bugs.flat_map(|(entry, bug)| {
        bug.found_by.iter().map(move |FoundBy { scenario, within }| Search {
            entry,
            bug,
            scenario: scenarios::of(&entry.description.name, scenario).display().to_string(),
            within: *within,
        })
    })
    .collect()
}

/// Those for one bug.
///
/// # Errors
///
/// If there is no such bug, or no scenario is known to find it.
pub fn of_bug<'a>(name: &str, registry: &'a Registry<'_>) -> Result<Vec<Search<'a>>> {
    let known = || registry.entries().iter().flat_map(|entry| &entry.description.planted);
    if known().all(|bug| bug.name != name) {
        let help = suggest(name, "planted bugs", known().map(|bug| bug.name.as_str()));
        return Err(BadInput::error(format!("no such entry, folder or planted bug: `{name}`"), help));
    }
    let found: Vec<Search<'a>> = all(registry).into_iter().filter(|search| search.bug.name == name).collect();
    if found.is_empty() {
        let title = format!("no scenario is declared to find the planted bug `{name}`");
        return Err(BadInput::error(title, "say `found_by(SCENARIO, SEEDS)` where the bug is declared"));
    }
    Ok(found)
}

impl<'a> Search<'a> {
    /// What is shown of it in place of a file.
    pub fn name(&self) -> String {
        format!("{} in {}", self.bug.name, self.scenario)
    }

    /// The command that shows the run of that seed; if none has found the bug, all that were made.
    pub fn replay(&self, seed: Option<u64>) -> String {
        let planted = [self.bug.name.clone()];
        match seed {
            Some(seed) => text::replay_line(&self.scenario, seed, &planted),
            None => {
                let (path, flags) = (text::quoted(&self.scenario), text::planted_flags(&planted));
                format!("cargo dst sweep {path} --seeds {}{flags}", self.within)
            }
        }
    }

    /// Finds the scenario.
    ///
    /// # Errors
    ///
    /// If it is not there, wrong, of another system, or one frozen run.
    pub fn ready(&self, registry: &'a Registry<'_>) -> Result<Target<'a>> {
        let path = std::path::Path::new(&self.scenario);
        let (bug, system) = (&self.bug.name, &self.entry.description.name);
        let wrong = |title: String| Err(BadInput::error(title, "correct the declaration of the bug"));
        if !path.is_file() {
            let title =
                format!("the planted bug `{bug}` is to be found by `{}`, which is no file here", path.display());
            let help = "run this in the folder that holds `scenarios`, or correct the declaration of the bug";
            return Err(BadInput::error(title, help));
        }
        let loaded = scenarios::load_one(path, registry).map_err(BadScenarios::from)?;
        if loaded.entry.description.name != *system {
            return wrong(format!(
                "the planted bug `{bug}` of `{system}` is to be found by `{}`, a scenario of `{}`",
                path.display(),
                loaded.entry.description.name
            ));
        }
        if loaded.frozen.is_some() {
            let path = path.display();
            return wrong(format!("the planted bug `{bug}` is to be found by `{path}`, which is one frozen run"));
        }
        Ok(Target { loaded, planted: vec![bug.clone()] })
    }
}
