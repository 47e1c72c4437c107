//! One run of a sweep, or two when they are compared.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sim::scenario::ScenarioError;
use sim::{Report, RunError, RunOptions};

use super::Target;

/// What became of it.
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
}

/// Runs a seed; twice, with `verify`.
pub fn run(target: &Target<'_>, seed: u64, verify: bool) -> Ran {
    let once = || {
        let options = RunOptions { planted: target.planted.clone(), ..RunOptions::default() };
        let run = || sim::run(target.loaded.entry.system, &target.loaded.scenario, seed, options);
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(report)) => Ok(Box::new(report)),
            Ok(Err(RunError::Scenario(error))) => Err(Ran::BadScenario(error)),
            Ok(Err(RunError::Harness(error))) => Err(Ran::Broken(error.to_string())),
            Err(_) => Err(Ran::Broken("the harness panicked; the panic's message is above".to_owned())),
        }
    };
    match (once(), verify.then(once)) {
        (Err(ran), _) | (_, Some(Err(ran))) => ran,
        (Ok(first), Some(Ok(again))) if first != again => Ran::Differs { how: difference(&first, &again), first },
        (Ok(first), _) => Ran::Ended(first),
    }
}

/// What two reports of the same seed disagree about, the most telling first.
fn difference(first: &Report, again: &Report) -> String {
    let what = if first.world != again.world {
        ("what happened", &first.world, &again.world)
    } else if first.digest != again.digest {
        ("what was planned", &first.digest, &again.digest)
    } else {
        return "what happened is the same, but it was judged or counted differently".to_owned();
    };
    format!("{} is not the same: digest {}, then {}", what.0, what.1, what.2)
}
