//! Worker processes: the runs of a sweep happen in processes of their own, so that one that hangs, aborts, overflows
//! its stack or takes all memory costs one seed and not the sweep.
//!
//! | module | what |
//! |---|---|
//! | `one` | a run: the only place where one is made |
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
pub(crate) mod one;
mod output;
pub(crate) mod process;
mod protocol;
pub(crate) mod remote;
pub(crate) mod serve;

use std::ops::Range;
use std::time::Duration;

use sim::Report;
use sim::scenario::ScenarioError;

/// Who makes the runs of a sweep.
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

    /// Lines of the trace that was kept last.
    ///
    /// # Errors
    ///
    /// If nobody has it any more.
    fn lines(&mut self, range: Range<usize>) -> Result<Vec<String>, String>;
}
