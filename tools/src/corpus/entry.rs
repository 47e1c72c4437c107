//! A run that is kept: a small TOML file that says which it is, and what is expected of it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use sim::scenario::{self, Diagnostic, ScenarioError, Source, suggest};
use toml::Spanned;

use crate::registry::Registry;
use crate::scenarios;
use crate::sweep::Target;
use crate::text;

/// What an entry says that expects all to hold.
pub const PASS: &str = "pass";

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    note: String,
    scenario: Spanned<String>,
    seed: u64,
    #[serde(default)]
    planted: Vec<Spanned<String>>,
    expect: String,
    digest: Spanned<String>,
    world: Spanned<String>,
}

/// An entry whose form is right.
pub struct Entry {
    /// The file.
    pub path: String,
    source: Arc<str>,
    /// Why it is kept.
    pub note: String,
    scenario: Spanned<String>,
    /// The seed.
    pub seed: u64,
    planted: Vec<Spanned<String>>,
    /// How its run must end: [`PASS`] or a signature.
    pub expect: String,
    /// The digest of the run that was recorded.
    pub digest: Spanned<String>,
    /// The digest of what the system could notice in it.
    pub world: Spanned<String>,
}

/// Why an entry cannot be run.
pub enum Unready {
    /// Its scenario is not there any more.
    Gone(ScenarioError),
    /// It is wrong, or its scenario is.
    Wrong(ScenarioError),
}

impl Unready {
    /// What is wrong.
    pub fn into_error(self) -> ScenarioError {
        let (Unready::Gone(error) | Unready::Wrong(error)) = self;
        error
    }
}

impl Entry {
    /// Reads an entry.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or its form is not right.
    pub fn load(path: &Path) -> Result<Entry, ScenarioError> {
        let name = path.display().to_string();
        match fs::read_to_string(path) {
            Ok(source) => Entry::parse(&name, &source),
            Err(error) => {
                let problem = Diagnostic::error(format!("cannot read the entry: {error}"))
                    .help("give the path of a file that `cargo dst corpus add` wrote");
                Err(ScenarioError::new(Source::new(&name, ""), vec![problem]))
            }
        }
    }

    /// Reads the text of an entry.
    ///
    /// # Errors
    ///
    /// If its form is not right.
    pub fn parse(path: &str, source: &str) -> Result<Entry, ScenarioError> {
        let Table { note, scenario, seed, planted, expect, digest, world } = scenario::read(path, source)?;
        for text in [&digest, &world] {
            if text.get_ref().len() != 32 || !text.get_ref().bytes().all(|byte| byte.is_ascii_hexdigit()) {
                let problem = Diagnostic::error("not a digest").at(text.span());
                let problem = problem.label("expected 32 hexadecimal digits").help(
                    "the run's own, as `cargo dst replay SCENARIO SEED` prints it; `cargo dst corpus add` writes it down",
                );
                return Err(ScenarioError::new(Source::new(path, source), vec![problem]));
            }
        }
        let (path, source) = (path.to_owned(), Arc::from(source));
        Ok(Entry { path, source, note, scenario, seed, planted, expect, digest, world })
    }

    /// The scenario file.
    pub fn scenario(&self) -> &str {
        self.scenario.get_ref()
    }

    /// The known bugs that are on.
    pub fn planted(&self) -> Vec<String> {
        self.planted.iter().map(|name| name.get_ref().clone()).collect()
    }

    /// The text of the file.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The command that makes its run again.
    pub fn replay(&self) -> String {
        format!("cargo dst replay {}", text::quoted(&self.path))
    }

    /// Finds scenario and planted bugs.
    ///
    /// # Errors
    ///
    /// If one of them is not there, or the scenario is wrong.
    pub fn ready<'a>(&self, registry: &'a Registry<'_>) -> Result<Target<'a>, Unready> {
        let error = |problem| ScenarioError::new(Source::new(&self.path, &self.source), vec![problem]);
        let at_scenario = |title: String| Diagnostic::error(title).at(self.scenario.span());
        let path = Path::new(self.scenario());
        if !path.is_file() {
            let problem = at_scenario(format!("there is no scenario `{}`", path.display()));
            let help =
                "name the scenario's new place; if it is gone for good, so is this entry: cargo dst corpus prune";
            return Err(Unready::Gone(error(problem.label("not a file, seen from the current folder").help(help))));
        }
        let loaded = scenarios::load_one(path, registry).map_err(Unready::Wrong)?;
        if loaded.frozen.is_some() {
            let problem = at_scenario("a frozen run has no seeds".to_owned());
            let help = "name the scenario that it was frozen from, or replay the frozen run itself";
            return Err(Unready::Wrong(error(problem.label("a frozen run").help(help))));
        }
        for name in &self.planted {
            if loaded.entry.planted_info(name.get_ref()).is_none() {
                let system = &loaded.entry.description;
                let known = system.planted.iter().map(|planted| planted.name.as_str());
                let title = format!("`{}` has no planted bug `{}`", system.name, name.get_ref());
                let problem = Diagnostic::error(title).at(name.span()).label("no bug has this name");
                let help = suggest(name.get_ref(), "its planted bugs", known);
                return Err(Unready::Wrong(error(problem.help(help))));
            }
        }
        Ok(Target { loaded, planted: self.planted() })
    }
}

/// Whether the file is an entry of a corpus and not a scenario.
pub fn is_entry(path: &Path) -> bool {
    let Ok(text) = fs::read_to_string(path) else { return false };
    let Ok(table) = toml::de::DeTable::parse(&text) else { return false };
    let table = table.get_ref();
    !table.contains_key("system") && ["scenario", "seed", "digest"].iter().any(|key| table.contains_key(*key))
}
