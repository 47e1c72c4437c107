//! Known bugs that were switched on: whether the sweep found them, and how soon.

use serde::{Deserialize, Serialize};
use sim::system::PlantedInfo;
use sim::{Failure, Report};

use super::Target;
use super::plan::Plan;
use crate::text;
use crate::worker::death;

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
        if self.found || !target.planted.contains(&self.name) {
            return;
        }
        let Some(info) = target.loaded.entry.planted_info(&self.name) else { return };
        let hit = |signature: &str| Hit {
            scenario: report.scenario.clone(),
            seed: report.seed,
            signature: signature.to_owned(),
            replay: text::replay_line(&report.scenario, report.seed, &target.planted),
        };
        if let Some(failure) = shown_by(info, report) {
            self.found = true;
            self.after_seeds = Some(plan.seeds_until(report.seed));
            self.first = Some(hit(&failure.signature));
        } else if let (Some(failure), None) = (report.violations().next(), &self.first) {
            self.first = Some(hit(&failure.signature));
        }
    }
}

/// The failure by which a run shows a bug that was on. Where no planted line was reached, a failure is something else's doing; of
/// a run that took its process with it nobody knows what it reached.
pub fn shown_by<'r>(bug: &PlantedInfo, report: &'r Report) -> Option<&'r Failure> {
    let is_reached = report.dose.get("planted").is_some_and(|&count| count > 0) || death::is_death(report);
    report.violations().find(|failure| is_reached && bug.is_broken_by(&failure.signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(signature: &str, planted: u64) -> Report {
        let mut report = Report::new("a.toml", "kv", 1);
        report.failure = Some(Failure::new(signature.to_owned(), 0, String::new()));
        report.dose.insert("planted".to_owned(), planted);
        report
    }

    #[test]
    fn a_bug_is_shown_where_its_line_was_reached_or_the_process_ended() {
        let breaks = ["linearizable", "process"].map(str::to_owned).into();
        let bug = PlantedInfo { name: "kv.stale".to_owned(), breaks, found_by: Vec::new() };
        let shown = |signature, planted| shown_by(&bug, &report(signature, planted)).is_some();
        assert!(shown("linearizable", 3));
        assert!(!shown("linearizable", 0), "no line of a bug was reached");
        assert!(!shown("vacuous:nothing", 3), "another oracle");
        assert!(shown("process:hang", 0), "nobody knows what it reached");
    }
}
