//! Exit codes, and their derivation from errors.

use std::fmt;
use std::process::ExitCode;

use owo_colors::OwoColorize;
use sim::scenario::ScenarioError;

use crate::console::Console;
use crate::text;

/// The exit code of a command, in increasing precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// 0: no bug was found.
    Held = 0,
    /// 1: a bug was found, or a check gave up, so that the verdict of a run is unknown.
    BugFound = 1,
    /// 2: bad input or usage.
    BadInput = 2,
    /// 3: the harness itself failed: nondeterminism, I/O.
    HarnessFailed = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// An invalid command line.
#[derive(Debug)]
pub struct Usage(pub clap::Error);

/// An input that does not exist or is invalid.
#[derive(Debug)]
pub struct BadInput {
    /// The mistake, in one line.
    pub title: String,
    /// The remedy.
    pub help: String,
}

/// Invalid scenario files.
#[derive(Debug)]
pub struct BadScenarios(pub Vec<ScenarioError>);

impl BadInput {
    /// An error with help.
    pub fn error(title: impl Into<String>, help: impl Into<String>) -> anyhow::Error {
        BadInput { title: title.into(), help: help.into() }.into()
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)
    }
}

impl fmt::Display for BadScenarios {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be run", text::count(self.0.len() as u64, "scenario"))
    }
}

impl std::error::Error for Usage {}
impl std::error::Error for BadInput {}
impl std::error::Error for BadScenarios {}

impl From<ScenarioError> for BadScenarios {
    fn from(error: ScenarioError) -> BadScenarios {
        BadScenarios(vec![error])
    }
}

/// Prints an error to stderr and returns its exit code.
pub fn explain(error: &anyhow::Error, console: &Console) -> Exit {
    let (text, exit) = if let Some(Usage(usage)) = error.downcast_ref() {
        (usage.render().ansi().to_string(), Exit::BadInput)
    } else if let Some(BadScenarios(errors)) = error.downcast_ref() {
        let each: Vec<String> = errors.iter().map(|error| error.render(true) + "\n").collect();
        (each.join("\n"), Exit::BadInput)
    } else if let Some(BadInput { title, help }) = error.downcast_ref() {
        (format!("{} {title}\n  {} {help}\n", "error:".red().bold(), "help:".cyan().bold()), Exit::BadInput)
    } else {
        (format!("{} {error:#}\n", "harness error:".red().bold()), Exit::HarnessFailed)
    };
    console.say(&text);
    exit
}
