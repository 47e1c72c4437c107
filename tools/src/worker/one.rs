//! One run.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use sim::{DynSystem, RunError, RunOptions, Scenario};

use super::Ran;

/// A scenario to run, with any seed.
pub struct Task<'a> {
    /// The scenario.
    pub scenario: Scenario,
    /// Its system.
    pub system: &'a dyn DynSystem,
    /// The known bugs that are on.
    pub planted: Vec<String>,
}

/// Runs a seed, with the known bugs of the task on.
pub fn run(task: &Task<'_>, seed: u64, options: RunOptions) -> Ran {
    let options = RunOptions { planted: task.planted.clone(), ..options };
    match catch_unwind(AssertUnwindSafe(|| sim::run(task.system, &task.scenario, seed, options))) {
        Ok(Ok(report)) => Ran::Ended(Box::new(report)),
        Ok(Err(RunError::Scenario(error))) => Ran::BadScenario(error),
        Ok(Err(error)) => Ran::Broken(error.to_string()),
        Err(payload) => Ran::Broken(format!("the harness panicked: {}", message(payload.as_ref()))),
    }
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("its message is above")
}
