//! Worker processes make the runs of a sweep and of the corpus, so that a run that hangs, aborts, overflows its stack or
//! exhausts its memory costs one run instead of the command.
//!
//! | module | contents |
//! |---|---|
//! | `one` | makes one run; every run goes through it |
//! | `team` | makes the runs of a command in worker processes or in this process |
//! | `keep` | makes a run and writes everything about it to files |
//! | `here` | makes runs in this process |
//! | `serve` | the worker, `dst worker`: makes runs like `here` and sends the results |
//! | `protocol` | the messages between a worker and its parent |
//! | `process` | the parent's handle of a worker |
//! | `remote` | makes runs in a worker, and replaces a worker that died |
//! | `death` | turns the death of a worker into the failure of its run |
//! | `output` | the output of a worker |
//!
//! A worker is another process of the same program. The two exchange messages over a socket, which is the worker's stdin. The
//! worker's stdout and stderr are a pipe, so output of the code under test is never mistaken for a message.

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

/// The place where a command makes its runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// Processes that run this program's `worker` command.
    Processes,
    /// Threads of this process, for callers of [`crate::run_from`], whose program is not `dst`.
    Threads,
}

/// A run: a scenario and a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The index of the scenario.
    pub scenario: usize,
    /// The seed.
    pub seed: u64,
}

/// The result of a run.
#[derive(Debug)]
pub enum Ran {
    /// The run ended with a report, passed or failed.
    Ended(Box<Report>),
    /// The second execution of the run differed from the first.
    Differs {
        /// The report of the first execution.
        first: Box<Report>,
        /// The difference.
        how: String,
    },
    /// The scenario is invalid with this seed.
    BadScenario(Box<ScenarioError>),
    /// The harness failed.
    Broken(String),
    /// No worker can be started, so no run can be made.
    NoWorker(String),
}

/// Makes runs, one at a time.
pub trait Maker {
    /// Makes a run and returns its result and its real time. `None` if the sweep was stopped during the run.
    fn make(&mut self, run: Run) -> Option<(Ran, Duration)>;

    /// Repeats a run and keeps its trace. Returns a hash of each line.
    ///
    /// # Errors
    ///
    /// If the run cannot be made.
    fn record(&mut self, run: Run) -> Result<Vec<u64>, String>;

    /// Repeats a run and writes its trace, history, report and frozen file to a folder.
    ///
    /// # Errors
    ///
    /// If the run cannot be made, or a file cannot be written.
    fn keep(&mut self, run: Run, folder: &Path) -> Result<Report, String>;

    /// Returns lines of the last trace that [`Maker::record`] kept.
    ///
    /// # Errors
    ///
    /// If the trace is lost, because its worker died.
    fn lines(&mut self, range: Range<usize>) -> Result<Vec<String>, String>;
}

/// Makes a run and returns its report, for callers that need only the report.
///
/// # Errors
///
/// If the scenario is invalid with this seed, or the harness fails.
pub(crate) fn report(maker: &mut dyn Maker, run: Run) -> Result<Box<Report>> {
    match maker.make(run).map(|(ran, _)| ran) {
        Some(Ran::Ended(report)) => Ok(report),
        Some(Ran::BadScenario(error)) => Err(BadScenarios::from(*error).into()),
        Some(Ran::Broken(why) | Ran::NoWorker(why) | Ran::Differs { how: why, .. }) => Err(anyhow!(why)),
        None => Err(anyhow!("interrupted")),
    }
}
