//! The extent of a sweep: the number of seeds, or the time.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::shard::Shard;
use crate::cli::SweepArgs;
use crate::worker::Run;

/// The default duration of a sweep.
const DEFAULT_TIME: Duration = Duration::from_secs(60);

/// How many runs a sweep makes, and how long it goes on.
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

    /// A plan of its own, for tests.
    #[cfg(test)]
    pub fn of(scenarios: usize, seeds: Range<u64>, budget: Option<Duration>) -> Plan {
        Plan { scenarios, seeds, has_seeds: true, shard: None, budget, began: Instant::now() }
    }

    /// How many runs there are, if time does not end them first.
    pub fn total(&self) -> u64 {
        let all = self.seeds_each().saturating_mul(self.scenarios as u64);
        self.shard.map_or(all, |shard| shard.part_of(all))
    }

    /// The n-th run, if they are taken in turn: seed by seed, each with every scenario.
    pub fn run(&self, nth: u64) -> Run {
        let number = self.shard.map_or(nth, |shard| shard.number(nth));
        let scenarios = self.scenarios as u64;
        Run { scenario: (number % scenarios) as usize, seed: self.seed(number / scenarios) }
    }

    /// How many scenarios there are.
    pub fn scenarios(&self) -> usize {
        self.scenarios
    }

    /// How many seeds each scenario may have.
    pub fn seeds_each(&self) -> u64 {
        self.seeds.end - self.seeds.start
    }

    /// The n-th seed of a scenario.
    pub fn seed(&self, n: u64) -> u64 {
        self.seeds.start + n
    }

    /// How many seeds a scenario has seen when it has seen this one.
    pub fn seeds_until(&self, seed: u64) -> u64 {
        seed - self.seeds.start + 1
    }

    /// Whether no further run is to begin.
    pub fn is_late(&self) -> bool {
        self.budget.is_some_and(|budget| self.began.elapsed() >= budget)
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
