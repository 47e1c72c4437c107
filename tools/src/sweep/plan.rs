//! Which runs a sweep makes, and in which order: seed by seed, each with every scenario in turn.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::shard::Shard;
use crate::cli::SweepArgs;

/// How long a sweep goes on when nobody says.
const DEFAULT_TIME: Duration = Duration::from_secs(60);

/// The runs of a sweep, numbered from 0. What the n-th one is does not depend on how many run at once.
#[derive(Clone, Debug)]
pub struct Plan {
    scenarios: usize,
    seeds: Range<u64>,
    has_seeds: bool,
    shard: Option<Shard>,
    budget: Option<Duration>,
    began: Instant,
}

impl Plan {
    /// The plan that was asked for, beginning now.
    pub fn new(args: &SweepArgs, scenarios: usize) -> Plan {
        let default = args.seeds.is_none().then_some(DEFAULT_TIME);
        Plan {
            scenarios,
            seeds: args.seeds.clone().unwrap_or(0..u64::MAX),
            has_seeds: args.seeds.is_some(),
            shard: args.shard,
            budget: args.lasts.or(default),
            began: Instant::now(),
        }
    }

    /// How many runs there are, if time does not end them first.
    pub fn total(&self) -> u64 {
        let all = (self.seeds.end - self.seeds.start).saturating_mul(self.scenarios as u64);
        self.shard.map_or(all, |shard| shard.part_of(all))
    }

    /// The n-th run: which scenario, and which seed.
    pub fn run(&self, index: u64) -> (usize, u64) {
        let scenarios = self.scenarios as u64;
        let index = self.number(index);
        ((index % scenarios) as usize, self.seeds.start + index / scenarios)
    }

    /// How many seeds a scenario has seen when its run `index` is done.
    pub fn seeds_until(&self, index: u64) -> u64 {
        self.number(index) / self.scenarios as u64 + 1
    }

    /// The number that the n-th run would have in a sweep without shards.
    fn number(&self, index: u64) -> u64 {
        self.shard.map_or(index, |shard| shard.number(index))
    }

    /// Whether to begin the n-th run now. Every scenario has its first seed, however late it is.
    pub fn goes_on(&self, index: u64) -> bool {
        let in_time = || self.budget.is_none_or(|budget| self.began.elapsed() < budget);
        index < self.total() && (index < self.scenarios as u64 || in_time())
    }

    /// The time that it may take, if that is limited.
    pub fn budget(&self) -> Option<Duration> {
        self.budget
    }

    /// The seeds that were asked for, if any were.
    pub fn seeds(&self) -> Option<&Range<u64>> {
        self.has_seeds.then_some(&self.seeds)
    }

    /// Which part of a sweep this is, if it is not the whole.
    pub fn shard(&self) -> Option<Shard> {
        self.shard
    }

    /// Since it began.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(seeds: Range<u64>, budget: Option<Duration>) -> Plan {
        Plan { scenarios: 3, seeds, has_seeds: true, shard: None, budget, began: Instant::now() }
    }

    #[test]
    fn seeds_are_taken_in_turn() {
        let plan = plan(10..12, None);
        let runs: Vec<_> = (0..plan.total()).map(|index| plan.run(index)).collect();
        assert_eq!(runs, [(0, 10), (1, 10), (2, 10), (0, 11), (1, 11), (2, 11)]);
        assert!(plan.goes_on(5) && !plan.goes_on(6));
        assert_eq!((plan.seeds_until(2), plan.seeds_until(3)), (1, 2));
    }

    #[test]
    fn every_scenario_runs_once_when_time_is_up_at_once() {
        let plan = plan(0..u64::MAX, Some(Duration::ZERO));
        assert!(plan.goes_on(2) && !plan.goes_on(3));
    }
}
