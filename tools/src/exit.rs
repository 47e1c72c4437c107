//! What the exit code says, and how an error becomes one.

use std::fmt;
use std::process::ExitCode;

use owo_colors::OwoColorize;
use sim::scenario::ScenarioError;

use crate::console::Console;
use crate::text;

/// How a command ended. Ordered by what takes precedence when several apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// 0: all held.
    Held = 0,
    /// 1: a bug was found, or nothing is known of a run because a check gave up.
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

/// What was typed is no command.
#[derive(Debug)]
pub struct Usage(pub clap::Error);

/// What was asked for is not there or makes no sense.
#[derive(Debug)]
pub struct BadInput {
    /// What is wrong, in one line.
    pub title: String,
    /// What to do next.
    pub help: String,
}

/// Scenario files with errors in them.
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

/// Says on stderr what went wrong, and what that means for the exit code.
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
