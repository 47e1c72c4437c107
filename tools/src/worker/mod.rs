//! Worker processes: the runs of a sweep and of the corpus happen in processes of their own, so that one that hangs,
//! aborts, overflows its stack or takes all memory costs one run and not the command.
//!
//! | module | what |
//! |---|---|
//! | `one` | a run: the only place where one is made |
//! | `team` | who makes the runs of a command: worker processes, or this one |
//! | `keep` | a run with everything about it written down |
//! | `here` | runs made in this process |
//! | `serve` | the worker, `dst worker`: it makes runs as `here` does, and answers |
//! | `protocol` | what a worker and its parent say to each other |
//! | `process` | a worker as its parent sees it |
//! | `remote` | runs made by a worker, and by another one if that dies |
//! | `death` | what the death of a worker says about the run that it made |
//! | `output` | what a worker prints |
//!
//! A worker is this program again. The two talk over a socket that the worker finds as its stdin; its stdout and stderr
//! are one pipe. So whatever the code under test prints is output and never an answer.

pub(crate) mod death;
pub(crate) mod here;
pub(crate) mod keep;
pub(crate) mod one;
mod output;
pub(crate) mod process;
mod protocol;
pub(crate) mod remote;
pub(crate) mod serve;
pub(crate) mod team;

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, anyhow};
use sim::Report;
use sim::scenario::ScenarioError;

use crate::exit::BadScenarios;

/// Who makes the runs of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// Processes that run this program's `worker` command.
    Processes,
    /// Threads of this process, where the program is not a `dst`: a test that calls [`crate::run_from`].
    Threads,
}

/// Which run: a scenario by its index, and a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The scenario.
    pub scenario: usize,
    /// The seed.
    pub seed: u64,
}

/// What became of a run.
#[derive(Debug)]
pub enum Ran {
    /// It ended, one way or the other.
    Ended(Box<Report>),
    /// It ended otherwise the second time.
    Differs {
        /// The first time.
        first: Box<Report>,
        /// What is different about the second.
        how: String,
    },
    /// The scenario is wrong, with this seed at least.
    BadScenario(Box<ScenarioError>),
    /// The harness failed.
    Broken(String),
    /// There is nobody to make it, nor any other.
    NoWorker(String),
}

/// Makes runs, one after the other.
pub trait Maker {
    /// Makes a run, and says how long that took. None if the sweep ended meanwhile.
    fn make(&mut self, run: Run) -> Option<(Ran, Duration)>;

    /// Makes a run once more and keeps its trace. Returns a hash for each line.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    fn record(&mut self, run: Run) -> Result<Vec<u64>, String>;

    /// Makes a run once more, and writes all there is to know of it to a folder.
    ///
    /// # Errors
    ///
    /// If it cannot be made, or a file cannot be written.
    fn keep(&mut self, run: Run, folder: &Path) -> Result<Report, String>;

    /// Lines of the trace that was kept last.
    ///
    /// # Errors
    ///
    /// If nobody has it any more.
    fn lines(&mut self, range: Range<usize>) -> Result<Vec<String>, String>;
}

/// Makes a run, for who wants nothing but its report.
///
/// # Errors
///
/// If the scenario is wrong, with this seed at least, or the harness fails.
pub(crate) fn report(maker: &mut dyn Maker, run: Run) -> Result<Box<Report>> {
    match maker.make(run).map(|(ran, _)| ran) {
        Some(Ran::Ended(report)) => Ok(report),
        Some(Ran::BadScenario(error)) => Err(BadScenarios::from(*error).into()),
        Some(Ran::Broken(why) | Ran::NoWorker(why) | Ran::Differs { how: why, .. }) => Err(anyhow!(why)),
        None => Err(anyhow!("interrupted")),
    }
}
