//! From a text to a [`Plan`]: draw, drop what is not enabled, read, judge.
//!
//! Every stage works on one tree in which each key and value knows its place in the file, so that whatever is wrong is
//! shown with a caret under it. The text is parsed anew for each plan: the tree borrows from it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::de::DeTable;

use super::draw::{self, Choices};
use super::error::{Diagnostic, ScenarioError};
use super::plan::{FaultRule, Plan, WorkloadTable};
use super::source::Source;
use super::tolerant::{Doubts, Tolerant};
use super::{entries, locate, rules, translate};

/// The text of a scenario, right or not.
#[derive(Clone, Debug)]
pub struct Draft {
    source: Source,
    /// Why it could not be read from disk.
    pub(super) problems: Arc<[Diagnostic]>,
}

/// What one look at a draft found.
pub(super) struct Reading {
    /// What could be read, if anything made sense. It may be wrong if there are problems.
    pub plan: Option<Plan>,
    /// All that is wrong.
    pub problems: Vec<Diagnostic>,
    /// What is not known because of that.
    pub doubts: Doubts,
    /// How many alternatives there are to probe.
    pub widest: usize,
}

/// How often to look at a file before it is called right. Only a `one_of` with more alternatives has some that are not
/// read until a seed draws them.
pub(super) const MOST_PROBES: usize = 64;

impl Draft {
    /// This text.
    pub fn new(source: Source) -> Draft {
        Draft { source, problems: Arc::from([]) }
    }

    /// Reads a scenario file. That it cannot be read is a problem that [`super::examine()`] reports.
    pub fn load(path: &Path) -> Draft {
        let (source, problems) = Source::read(path);
        Draft { source, problems: problems.into() }
    }

    /// The name of the system that it is about, and where it stands, if that much can be read.
    pub fn system(&self) -> Option<(String, Range<usize>)> {
        let tree = self.tree();
        let name = tree.get("system")?.get_ref().get("name")?;
        Some((name.get_ref().as_str()?.to_owned(), name.span()))
    }

    /// The file.
    pub fn source(&self) -> &Source {
        &self.source
    }

    pub(super) fn error(&self, problems: Vec<Diagnostic>) -> ScenarioError {
        ScenarioError::new(self.source.clone(), problems)
    }

    /// Makes the choices, and reads on after each mistake.
    pub(super) fn read(&self, choices: Choices) -> Reading {
        let nothing = |problems| Reading { plan: None, problems, doubts: Doubts::default(), widest: 1 };
        if !self.problems.is_empty() {
            return nothing(self.problems.to_vec());
        }
        let (mut tree, problems) = parse(self.source.text());
        if !problems.is_empty() {
            return nothing(problems);
        }
        let mut tolerant = Tolerant::default();
        let draws;
        loop {
            match draw::make(&mut tree, choices) {
                Ok(made) => {
                    draws = made;
                    break;
                }
                Err(problems) => {
                    if !tolerant.without(&mut tree, problems) {
                        return nothing(tolerant.problems);
                    }
                }
            }
        }
        let made = draw::apply(&mut tree, &draws);
        let phases = entries::phases(&tree);
        tolerant.problems.extend(entries::settle(&mut tree));
        let mut plan = tolerant.read(&mut tree);
        let Tolerant { mut problems, doubts, .. } = tolerant;
        if let Some(plan) = &mut plan {
            plan.draws = made;
            plan.phases = phases;
            let judged = rules::problems(plan, &tree, &doubts);
            problems.extend(judged.into_iter().filter(|it| it.span.as_ref().is_none_or(|span| !doubts.covers(span))));
        }
        Reading { plan, problems, doubts, widest: draws.widest }
    }

    /// The tree of the text, before any draw.
    pub(super) fn tree(&self) -> DeTable<'_> {
        parse(self.source.text()).0
    }

    /// An error that arose when a table of a file was read without its spans: the message tells the key.
    pub(super) fn in_table(&self, table: Range<usize>, error: &toml::de::Error) -> Diagnostic {
        let keys = keys(error);
        let mut keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let unknown = unknown_key(error);
        let root = self.tree();
        let place = locate::table_at(&root, &table).and_then(|table| match unknown {
            Some(name) => {
                keys.push(name);
                locate::key_at(table, &keys)
            }
            None => locate::value_at(table, &keys).map(toml::Spanned::span),
        });
        translate::message(error.message()).at(place.unwrap_or(table))
    }
}

/// The tree of a text, and why the text is no TOML.
fn parse(text: &str) -> (DeTable<'_>, Vec<Diagnostic>) {
    let (tree, errors) = DeTable::parse_recoverable(text);
    let mut lines = BTreeSet::new();
    let mut problems: Vec<Diagnostic> = errors.iter().map(translate::syntax).collect();
    problems.retain(|problem| {
        let start = problem.span.as_ref().map_or(0, |span| span.start);
        // What follows on the same line is the parser finding its way back.
        lines.insert(text.as_bytes()[..start.min(text.len())].iter().filter(|&&b| b == b'\n').count())
    });
    (tree.into_inner(), problems)
}

/// The keys that lead to an error in a table that was read without its spans.
pub(super) fn keys(error: &toml::de::Error) -> Vec<String> {
    let text = error.to_string();
    let keys = text.lines().find_map(|line| line.strip_prefix("in `")?.strip_suffix('`')).unwrap_or_default();
    keys.split('.').filter(|key| !key.is_empty()).map(str::to_owned).collect()
}

/// The key that such a table should not have.
pub(super) fn unknown_key(error: &toml::de::Error) -> Option<&str> {
    error.message().strip_prefix("unknown field `").and_then(|rest| rest.split('`').next())
}

/// A scenario whose form is right. Cheap to clone and to share among threads.
#[derive(Clone, Debug)]
pub struct Scenario {
    draft: Draft,
    system: Arc<str>,
    description: Arc<str>,
}

impl Scenario {
    /// Parses the text of a scenario; `path` is what errors call it.
    ///
    /// # Errors
    ///
    /// Everything that is wrong whatever the seed: text that is no TOML, unknown keys, values of the wrong kind in any
    /// alternative of any draw, rules that contradict themselves. Names that only the system knows are for
    /// [`super::check()`].
    pub fn parse(path: &str, source: &str) -> Result<Scenario, ScenarioError> {
        Scenario::of(&Draft::new(Source::new(path, source)))
    }

    /// Reads a scenario file.
    ///
    /// # Errors
    ///
    /// As [`Scenario::parse`], and if the file cannot be read.
    pub fn load(path: &Path) -> Result<Scenario, ScenarioError> {
        Scenario::of(&Draft::load(path))
    }

    /// Looks at a draft often enough to have seen every alternative.
    pub(super) fn of(draft: &Draft) -> Result<Scenario, ScenarioError> {
        let first = draft.read(Choices::Probe(0));
        let mut findings = Findings::default();
        findings.add(first.problems);
        for probe in 1..first.widest.min(MOST_PROBES) {
            findings.add(draft.read(Choices::Probe(probe)).problems);
        }
        match first.plan {
            Some(plan) if findings.all.is_empty() => Ok(Scenario::right(draft, &plan)),
            _ => Err(draft.error(findings.all)),
        }
    }

    /// The scenario of a draft that has nothing wrong.
    pub(super) fn right(draft: &Draft, plan: &Plan) -> Scenario {
        Scenario {
            system: plan.system_name().into(),
            description: plan.description.as_str().into(),
            draft: draft.clone(),
        }
    }

    /// The scenario as it is with a seed: every draw made, every value typed. What its system suggests where it says nothing
    /// is not in it yet: see [`Plan::with_suggested`].
    ///
    /// # Errors
    ///
    /// If what the seed drew does not go together, such as a range whose ends are drawn apart.
    pub fn plan(&self, seed: u64) -> Result<Plan, ScenarioError> {
        let reading = self.draft.read(Choices::Seed(seed));
        match reading.plan {
            Some(plan) if reading.problems.is_empty() => Ok(plan),
            _ => Err(self.error(reading.problems)),
        }
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
        self.draft.source.path()
    }

    /// The text of the file.
    pub fn source(&self) -> &str {
        self.draft.source.text()
    }

    /// Its text, as it can be examined.
    pub fn draft(&self) -> &Draft {
        &self.draft
    }

    /// What the system found wrong with its parameters, with a caret.
    pub fn system_error(&self, plan: &Plan, error: &toml::de::Error) -> ScenarioError {
        self.error(vec![self.draft.in_table(plan.system.span(), error)])
    }

    /// What the system found wrong with the arguments of a workload, with a caret.
    pub fn workload_error(&self, workload: &WorkloadTable, error: &toml::de::Error) -> ScenarioError {
        self.error(vec![self.draft.in_table(args_span(workload), error)])
    }

    /// What the system found wrong with the parameters that a fault would give it, with a caret.
    pub fn action_error(&self, rule: &FaultRule, error: &toml::de::Error) -> ScenarioError {
        self.error(vec![self.draft.in_table(rule.what.span(), error)])
    }

    pub(super) fn error(&self, problems: Vec<Diagnostic>) -> ScenarioError {
        self.draft.error(problems)
    }
}

/// Problems of several looks at one draft. What stands at one place is said once: drawn values make it read differently
/// each time.
#[derive(Default)]
pub(super) struct Findings {
    /// All so far.
    pub all: Vec<Diagnostic>,
}

impl Findings {
    /// Adds what another look found.
    pub fn add(&mut self, problems: Vec<Diagnostic>) {
        let known = |problem: &Diagnostic| match &problem.span {
            Some(span) => self.all.iter().any(|known| known.span.as_ref() == Some(span)),
            None => self.all.iter().any(|known| known.title == problem.title),
        };
        let new: Vec<Diagnostic> = problems.into_iter().filter(|problem| !known(problem)).collect();
        self.all.extend(new);
    }
}

/// Where the arguments of a workload stand.
pub(super) fn args_span(workload: &WorkloadTable) -> Range<usize> {
    workload.args.as_ref().map_or(workload.name.span(), toml::Spanned::span)
}
