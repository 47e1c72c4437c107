//! Makes the runs of a command, in worker processes with limits or in this process.

use std::time::Duration;

use anyhow::Result;

use super::here::Here;
use super::one::Task;
use super::process::{Launch, Side};
use super::remote::Remote;
use super::{Maker, Workers};
use crate::cli::{Limits, Memory};
use crate::console::Console;
use crate::exit::BadInput;
use crate::stop::Stop;

/// The default limit on the real time of a run. Runs take milliseconds, and slow runs on a busy machine take seconds.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// The default memory limit of a worker: far more than a run needs, and less than a machine has. Only Linux counts address
/// space in a way that makes a limit useful.
const DEFAULT_MEMORY: Memory = Memory(if cfg!(target_os = "linux") { Some(4 << 30) } else { None });

/// Makes runs of these tasks.
pub struct Team<'a> {
    tasks: &'a [Task<'a>],
    launch: Option<Launch>,
}

impl<'a> Team<'a> {
    /// Prepares the workers, without starting one.
    ///
    /// # Errors
    ///
    /// If limits are given but runs in this process cannot be limited, or the tasks cannot be encoded for workers.
    pub fn new(workers: Workers, tasks: &'a [Task<'a>], limits: &Limits, console: &Console) -> Result<Team<'a>> {
        let launch = match workers {
            Workers::Processes => {
                let memory = limits.memory.unwrap_or(DEFAULT_MEMORY).0;
                Some(Launch::new(tasks, memory, limits.timeout.unwrap_or(DEFAULT_TIMEOUT), console)?)
            }
            Workers::Threads if limits.timeout.is_some() || limits.memory.is_some() => {
                let help = "they are for worker processes, which only a `dst` program has: `tools::main`";
                return Err(BadInput::error("runs in this process have no --timeout and no --memory", help));
            }
            Workers::Threads => None,
        };
        Ok(Team { tasks, launch })
    }

    /// One more worker process, if there are any.
    pub fn remote<'b>(&'b self, stop: &'b Stop) -> Option<Remote<'b>> {
        self.launch.as_ref().map(|launch| Remote::new(launch, Side::First, self.tasks, stop))
    }

    /// One more who makes runs.
    pub fn maker<'b>(&'b self, stop: &'b Stop) -> Box<dyn Maker + 'b> {
        self.maker_on(Side::First, stop)
    }

    /// One more, on this side of a comparison.
    pub fn maker_on<'b>(&'b self, side: Side, stop: &'b Stop) -> Box<dyn Maker + 'b> {
        match &self.launch {
            Some(launch) => Box::new(Remote::new(launch, side, self.tasks, stop)),
            None => Box::new(Here::new(self.tasks)),
        }
    }
}
