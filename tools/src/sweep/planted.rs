//! Known bugs that were switched on: whether the sweep found them, and how soon.

use serde::{Deserialize, Serialize};
use sim::Report;

use super::Target;
use super::plan::Plan;
use crate::text;

/// What became of the search for one known bug.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Search {
    /// The known bug.
    pub name: String,
    /// Whether an oracle that it declares in `breaks` reported it.
    pub found: bool,
    /// After how many seeds of a scenario that was.
    pub after_seeds: Option<u64>,
    /// The run that found it; if none did, the first that failed in another way.
    pub first: Option<Hit>,
}

/// A run that failed while the bug was on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hit {
    /// The scenario.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
    /// How it failed.
    pub signature: String,
    /// The command that shows it.
    pub replay: String,
}

impl Search {
    /// Nothing found yet.
    pub fn new(name: &str) -> Search {
        Search { name: name.to_owned(), found: false, after_seeds: None, first: None }
    }

    /// Looks at a run.
    pub fn see(&mut self, plan: &Plan, target: &Target<'_>, report: &Report) {
        // Where no planted line was reached, the failure is something else's doing.
        let is_reached = report.dose.get("planted").is_some_and(|&count| count > 0);
        if self.found || !is_reached || !target.planted.contains(&self.name) {
            return;
        }
        let Some(info) = target.loaded.entry.planted_info(&self.name) else { return };
        let hit = |signature: &str| Hit {
            scenario: report.scenario.clone(),
            seed: report.seed,
            signature: signature.to_owned(),
            replay: text::replay_line(&report.scenario, report.seed, &target.planted),
        };
        if let Some(failure) = report.violations().find(|failure| info.is_broken_by(&failure.signature)) {
            self.found = true;
            self.after_seeds = Some(plan.seeds_until(report.seed));
            self.first = Some(hit(&failure.signature));
        } else if let (Some(failure), None) = (report.violations().next(), &self.first) {
            self.first = Some(hit(&failure.signature));
        }
    }
}
