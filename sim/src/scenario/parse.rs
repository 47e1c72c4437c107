//! From text to [`Plan`]: parse, draw, drop what is not enabled, read, judge.
//!
//! Every stage works on one tree in which each key and value knows its place in the file, so that whatever is wrong is
//! shown with a caret under it. The text is parsed anew for each plan: the tree borrows from it.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use toml::de::{DeTable, Deserializer};

use super::draw::{self, Choices};
use super::error::{Diagnostic, ScenarioError};
use super::plan::{FaultRule, Plan, WorkloadTable};
use super::{entries, locate, rules, translate};

/// A scenario file whose form is right. Cheap to clone and to share among threads.
#[derive(Clone, Debug)]
pub struct Scenario {
    path: Arc<str>,
    source: Arc<str>,
    system: Arc<str>,
    description: Arc<str>,
}

/// How often to look at a file before it is called right. Only a `one_of` with more alternatives has some that are not
/// read until a seed draws them.
const MOST_PROBES: usize = 64;

impl Scenario {
    /// Parses the text of a scenario; `path` is what errors call it.
    ///
    /// # Errors
    ///
    /// Everything that is wrong whatever the seed: text that is no TOML, unknown keys, values of the wrong kind in any
    /// alternative of any draw, rules that contradict themselves. Names that only the system knows are for
    /// [`super::check()`].
    pub fn parse(path: &str, source: &str) -> Result<Scenario, ScenarioError> {
        let nothing: Arc<str> = Arc::from("");
        let text = Scenario {
            path: Arc::from(path),
            source: Arc::from(source),
            system: nothing.clone(),
            description: nothing,
        };
        let (plan, widest) = text.resolve(Choices::Probe(0))?;
        for probe in 1..widest.min(MOST_PROBES) {
            text.resolve(Choices::Probe(probe))?;
        }
        Ok(Scenario { system: plan.system_name().into(), description: plan.description.into(), ..text })
    }

    /// Reads a scenario file.
    ///
    /// # Errors
    ///
    /// As [`Scenario::parse`], and if the file cannot be read.
    pub fn load(path: &Path) -> Result<Scenario, ScenarioError> {
        let name = path.display().to_string();
        match fs::read_to_string(path) {
            Ok(source) => Scenario::parse(&name, &source),
            Err(error) => {
                let problem = Diagnostic::error(format!("cannot read the scenario: {error}"))
                    .help("give the path of a scenario file; `cargo dst list` shows all there are");
                Err(ScenarioError::new(&name, Arc::from(""), vec![problem]))
            }
        }
    }

    /// The scenario as it is with a seed: every draw made, every value typed.
    ///
    /// # Errors
    ///
    /// If what the seed drew does not go together, such as a range whose ends are drawn apart.
    pub fn plan(&self, seed: u64) -> Result<Plan, ScenarioError> {
        self.resolve(Choices::Seed(seed)).map(|(plan, _)| plan)
    }

    /// The name of the system that it is about.
    pub fn system(&self) -> &str {
        &self.system
    }

    /// What it is about, in its own words.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The file, as errors call it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The text of the file.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What the system found wrong with its parameters, with a caret.
    pub fn system_error(&self, plan: &Plan, error: &toml::de::Error) -> ScenarioError {
        self.in_table(plan.system.span(), error)
    }

    /// What the system found wrong with the arguments of a workload, with a caret.
    pub fn workload_error(&self, workload: &WorkloadTable, error: &toml::de::Error) -> ScenarioError {
        self.in_table(workload.args.as_ref().map_or(workload.name.span(), |args| args.span()), error)
    }

    /// What the system found wrong with the parameters that a fault would give it, with a caret.
    pub fn action_error(&self, rule: &FaultRule, error: &toml::de::Error) -> ScenarioError {
        self.in_table(rule.what.span(), error)
    }

    pub(super) fn error(&self, problems: Vec<Diagnostic>) -> ScenarioError {
        ScenarioError::new(&self.path, self.source.clone(), problems)
    }

    /// Makes the choices; also says how many alternatives there are to probe.
    fn resolve(&self, choices: Choices) -> Result<(Plan, usize), ScenarioError> {
        let parsed = DeTable::parse(&self.source).map_err(|error| self.error(vec![translate::syntax(&error)]))?;
        // The tree borrows from the draws, so they must come before it.
        let (mut tree, draws);
        tree = parsed;
        draws = draw::make(tree.get_mut(), choices).map_err(|problems| self.error(problems))?;
        let made = draw::apply(tree.get_mut(), &draws);
        let mut problems = entries::settle(tree.get_mut());
        if problems.is_empty() {
            let mut plan = Plan::deserialize(Deserializer::from(tree.clone()))
                .map_err(|error| self.error(vec![translate::shape(&error)]))?;
            plan.draws = made;
            problems = rules::problems(&plan, tree.get_ref());
            if problems.is_empty() {
                return Ok((plan, draws.widest));
            }
        }
        Err(self.error(problems))
    }

    /// An error that arose when a table of this file was read without its spans: the message tells the key.
    fn in_table(&self, table: Range<usize>, error: &toml::de::Error) -> ScenarioError {
        let text = error.to_string();
        let keys = text.lines().find_map(|line| line.strip_prefix("in `")?.strip_suffix('`')).unwrap_or_default();
        let mut keys: Vec<&str> = keys.split('.').filter(|key| !key.is_empty()).collect();
        let unknown = error.message().strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
        let place = DeTable::parse(&self.source).ok().and_then(|root| {
            let table = locate::table_at(root.get_ref(), &table)?;
            match unknown {
                Some(name) => {
                    keys.push(name);
                    locate::key_at(table, &keys)
                }
                None => locate::value_at(table, &keys).map(|value| value.span()),
            }
        });
        self.error(vec![translate::message(error.message()).at(place.unwrap_or(table))])
    }
}
