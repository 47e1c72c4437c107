//! One entry of the corpus: a small TOML file that says which run is kept, and what is expected of it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use sim::scenario::{self, Diagnostic, ScenarioError, Sources, suggest};
use sim::system::PlantedInfo;
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
    expect: Option<Spanned<String>>,
    digest: Option<Spanned<String>>,
    world: Option<Spanned<String>>,
    within: Option<Spanned<u64>>,
}

/// An entry whose form is right.
pub struct Entry {
    /// The file.
    pub path: String,
    source: Arc<str>,
    /// Why it is kept.
    pub note: String,
    scenario: Spanned<String>,
    /// The seed; the first of several, if it is a search.
    pub seed: u64,
    planted: Vec<Spanned<String>>,
    /// What must be so.
    pub expectation: Expectation,
}

/// What is expected of an entry.
pub enum Expectation {
    /// Its one run ends like this.
    Run {
        /// [`PASS`] or a signature.
        expect: String,
        /// The digest of the run that was recorded.
        digest: Spanned<String>,
        /// The digest of what the system could notice in it.
        world: Spanned<String>,
    },
    /// Its planted bug is found within so many seeds, by an oracle that it breaks.
    Within(u64),
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
                Err(ScenarioError::new(Sources::one(&name, ""), vec![problem]))
            }
        }
    }

    /// Reads the text of an entry.
    ///
    /// # Errors
    ///
    /// If its form is not right.
    pub fn parse(path: &str, source: &str) -> Result<Entry, ScenarioError> {
        let Table { note, scenario, seed, planted, expect, digest, world, within } = scenario::read(path, source)?;
        let wrong = |problem: Diagnostic| Err(ScenarioError::new(Sources::one(path, source), vec![problem]));
        let expectation = match (within, expect, digest, world) {
            (None, Some(expect), Some(digest), Some(world)) => {
                for text in [&digest, &world] {
                    if text.get_ref().len() != 32 || !text.get_ref().bytes().all(|byte| byte.is_ascii_hexdigit()) {
                        let problem = Diagnostic::error("not a digest").at(text.span());
                        return wrong(problem.label("expected 32 hexadecimal digits").help(
                            "the run's own, as `cargo dst replay SCENARIO SEED` prints it; `cargo dst corpus add` \
                             writes it down",
                        ));
                    }
                }
                Expectation::Run { expect: expect.into_inner(), digest, world }
            }
            (Some(within), None, None, None) => {
                if *within.get_ref() == 0 {
                    return wrong(Diagnostic::error("nothing is found within 0 seeds").at(within.span()));
                }
                if planted.len() != 1 {
                    let problem = Diagnostic::error("`within` is about one planted bug").at(within.span());
                    let label = format!("here are {} in `planted`", planted.len());
                    return wrong(problem.label(label).help("name it: planted = [\"kv.stale-read\"]"));
                }
                Expectation::Within(within.into_inner())
            }
            (Some(_), expect, digest, world) => {
                let other = expect.or(digest).or(world).map(|other| other.span()).unwrap_or_default();
                let problem = Diagnostic::error("an entry is about one run or about a search, not both").at(other);
                return wrong(problem.label("about one run").help(
                    "with `within`, leave out `expect`, `digest` and `world`: any of its seeds may find the bug",
                ));
            }
            (None, expect, digest, _) => {
                let missing = [("expect", expect.is_some()), ("digest", digest.is_some()), ("world", false)];
                let (name, _) = missing.into_iter().find(|(_, there)| !there).unwrap_or(missing[0]);
                let problem = Diagnostic::error(format!("missing key `{name}`"));
                return wrong(
                    problem
                        .help("an entry has `expect`, `digest` and `world` of its run, or `within` for a planted bug"),
                );
            }
        };
        Ok(Entry { path: path.to_owned(), source: Arc::from(source), note, scenario, seed, planted, expectation })
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
        let error = |problem| ScenarioError::new(Sources::one(&self.path, &self.source), vec![problem]);
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

    /// The known bug that is searched for.
    pub fn bug<'a>(&self, target: &'a Target<'_>) -> Option<&'a PlantedInfo> {
        let name = self.planted.first().filter(|_| matches!(self.expectation, Expectation::Within(_)))?;
        target.loaded.entry.planted_info(name.get_ref())
    }
}

/// Whether the file is an entry of a corpus and not a scenario.
pub fn is_entry(path: &Path) -> bool {
    let Ok(text) = fs::read_to_string(path) else { return false };
    let Ok(table) = toml::de::DeTable::parse(&text) else { return false };
    let table = table.get_ref();
    !table.contains_key("system") && ["scenario", "seed", "within", "digest"].iter().any(|key| table.contains_key(*key))
}
