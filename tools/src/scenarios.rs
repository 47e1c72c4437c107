//! Which scenario files are meant, read and compared with their systems.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sim::Scenario;
use sim::scenario::plan::Frozen;
use sim::scenario::{Diagnostic, Draft, ScenarioError, suggest};
use xxhash_rust::xxh3::xxh3_128;

use crate::exit::{BadInput, BadScenarios};
use crate::registry::{Entry, Registry};

/// Where scenarios are when nothing is named.
pub const FOLDER: &str = "scenarios";

/// The name of folders with scenarios whose runs are large.
const LARGE: &str = "large";

/// Which of the scenarios below a folder are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Below {
    /// All.
    All,
    /// Those that are not in a folder named `large` below it.
    Ordinary,
}

/// Where the scenario of that name of a system is, seen from the folder that holds [`FOLDER`].
pub fn of(system: &str, name: &str) -> PathBuf {
    Path::new(FOLDER).join(system).join(format!("{name}.toml"))
}

/// Whether the system has a folder of scenarios here.
pub fn has(system: &str) -> bool {
    Path::new(FOLDER).join(system).is_dir()
}

/// A scenario that can be run.
pub struct Loaded<'a> {
    /// The file.
    pub scenario: Scenario,
    /// Its system.
    pub entry: &'a Entry<'a>,
    /// What a frozen file pins; none for an ordinary scenario.
    pub frozen: Option<Frozen>,
    /// What a whole sweep of it must have seen, and how often.
    pub expect_sweep: std::collections::BTreeMap<String, sim::scenario::Bounds>,
    /// Failures that it is there to show.
    pub fails: Vec<String>,
}

impl Loaded<'_> {
    /// Tells two versions of the scenario apart: XXH3-128 of its text, in hexadecimal.
    pub fn hash(&self) -> String {
        format!("{:032x}", xxh3_128(self.scenario.source().as_bytes()))
    }
}

/// The files that are named: each file itself, the `*.toml` below each folder, and those below [`FOLDER`] if nothing is named. Sorted,
/// each once.
///
/// # Errors
///
/// If something is not there, a folder holds no scenario, or it cannot be read.
pub fn find(named: &[PathBuf], below: Below) -> Result<Vec<PathBuf>> {
    let default = [PathBuf::from(FOLDER)];
    let mut found = BTreeSet::new();
    for path in if named.is_empty() { &default } else { named } {
        // `./scenarios` and `scenarios` are the same to a reader.
        let path = path.strip_prefix(".").ok().filter(|rest| !rest.as_os_str().is_empty()).unwrap_or(path);
        if path.is_dir() {
            let before = found.len();
            walk(path, below, &mut found)?;
            if found.len() == before && named.len() < 2 {
                let title = format!("no scenario in the folder `{}`", path.display());
                return Err(BadInput::error(title, "scenarios are files whose names end in `.toml`"));
            }
        } else if path.exists() {
            found.insert(path.to_owned());
        } else if named.is_empty() {
            let help = "run this in the folder that holds `scenarios`, or name a scenario or folder";
            return Err(BadInput::error(format!("there is no folder `{FOLDER}` here"), help));
        } else {
            let title = format!("no such scenario or folder: `{}`", path.display());
            return Err(BadInput::error(title, "`cargo dst list` shows the scenarios that there are"));
        }
    }
    if found.is_empty() {
        return Err(BadInput::error("no scenario in these folders", "scenarios are files whose names end in `.toml`"));
    }
    Ok(found.into_iter().collect())
}

fn walk(folder: &Path, below: Below, found: &mut BTreeSet<PathBuf>) -> Result<()> {
    let cannot = || format!("cannot read the folder `{}`", folder.display());
    for entry in fs::read_dir(folder).with_context(cannot)? {
        let entry = entry.with_context(cannot)?;
        let path = entry.path();
        // A link to a folder is not followed: it may lead back here.
        if entry.file_type().with_context(cannot)?.is_dir() {
            if below == Below::All || path.file_name().is_none_or(|name| name != LARGE) {
                walk(&path, below, found)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "toml") && path.is_file() {
            // Reading anything else, such as a pipe, might never end.
            found.insert(path);
        }
    }
    Ok(())
}

/// Reads scenario files and compares each with its system.
///
/// # Errors
///
/// Everything that is wrong with any of them.
pub fn load<'a>(paths: &[PathBuf], registry: &'a Registry<'_>) -> Result<Vec<Loaded<'a>>, BadScenarios> {
    let mut errors = Vec::new();
    let mut loaded = Vec::new();
    for path in paths {
        match load_one(path, registry) {
            Ok(scenario) => loaded.push(scenario),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(loaded) } else { Err(BadScenarios(errors)) }
}

/// Reads a scenario file and compares it with its system.
///
/// # Errors
///
/// Everything that is wrong with it.
pub fn load_one<'a>(path: &Path, registry: &'a Registry<'_>) -> Result<Loaded<'a>, ScenarioError> {
    let Examined { entry, scenario, findings } = examine(path, registry);
    match (entry, scenario) {
        (Some(entry), Some(scenario)) if !findings.has_errors() => {
            let plan = scenario.plan(0)?;
            let expect_sweep = plan.expect.over_a_sweep();
            Ok(Loaded { scenario, entry, frozen: plan.frozen, expect_sweep, fails: plan.expect.fails })
        }
        _ => Err(findings),
    }
}

/// What there is to say about a scenario file.
pub struct Examined<'a> {
    /// Its system, if there is one of that name.
    pub entry: Option<&'a Entry<'a>>,
    /// The scenario, if nothing is wrong with its form.
    pub scenario: Option<Scenario>,
    /// All errors, or else all warnings.
    pub findings: ScenarioError,
}

/// Reads a scenario file, compares it with its system, and says all that is wrong with it.
pub fn examine<'a>(path: &Path, registry: &'a Registry<'_>) -> Examined<'a> {
    let draft = Draft::load(path);
    let system = draft.system();
    let entry = system.as_ref().and_then(|(name, _)| registry.get(name));
    let sim::scenario::Examined { scenario, mut findings } =
        sim::scenario::examine(&draft, entry.map(|entry| entry.system));
    if let (Some((name, place)), None) = (system, entry)
        && !name.is_empty()
    {
        let known = suggest(&name, "systems", registry.names());
        let problem = Diagnostic::error(format!("unknown system `{name}`")).at(place);
        let all = findings.diagnostics().iter().cloned().chain([problem.label("no system has this name").help(known)]);
        findings = ScenarioError::new(draft.source().clone(), all.collect());
    }
    Examined { entry, scenario, findings }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "the tests make files")]
mod tests {
    use super::*;

    #[test]
    fn large_scenarios_are_meant_where_they_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for path in ["kv/crash.toml", "large/kv/many.toml"] {
            fs::create_dir_all(at(path).parent().unwrap()).unwrap();
            fs::write(at(path), "").unwrap();
        }
        let find = |path: &str, below| find(&[at(path)], below).unwrap();
        assert_eq!(find("", Below::All), [at("kv/crash.toml"), at("large/kv/many.toml")]);
        assert_eq!(find("", Below::Ordinary), [at("kv/crash.toml")]);
        assert_eq!(find("large", Below::Ordinary), [at("large/kv/many.toml")]);
        assert_eq!(find("large/kv/many.toml", Below::Ordinary), [at("large/kv/many.toml")]);
    }
}
