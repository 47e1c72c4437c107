//! The order of runs: the scenarios in turn, or with limited time the scenario with the least time so far.
//!
//! In turn, the n-th run depends only on its number. With limited time the results depend on the machine anyhow. Each scenario
//! then gets the same share of time, not of runs, so that a scenario with long runs does not starve the others.

use std::time::Duration;

use super::plan::Plan;
use crate::worker::Run;

/// A run with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// The sweep's runs are numbered from 0.
    pub index: u64,
    /// What to run.
    pub run: Run,
}

/// Hands out the runs of a plan.
pub struct Schedule<'a> {
    plan: &'a Plan,
    begun: u64,
    shares: Vec<Share>,
}

/// What a scenario has had.
#[derive(Clone, Default)]
struct Share {
    begun: u64,
    ended: u64,
    used: Duration,
}

impl Share {
    /// The time that it has had, with what its runs in flight will probably take.
    fn charged(&self) -> Duration {
        let in_flight = u32::try_from(self.begun - self.ended).unwrap_or(u32::MAX);
        match u32::try_from(self.ended).unwrap_or(u32::MAX) {
            // Nothing is known of it yet: it waits for its first run.
            0 if in_flight > 0 => Duration::MAX,
            0 => Duration::ZERO,
            ended => self.used.saturating_add(self.used / ended * in_flight),
        }
    }
}

impl<'a> Schedule<'a> {
    /// Nothing has begun yet.
    pub fn new(plan: &'a Plan) -> Schedule<'a> {
        Schedule { plan, begun: 0, shares: vec![Share::default(); plan.scenarios()] }
    }

    /// The next run, if there is one to begin now. Every scenario has its first seed, however late it is.
    pub fn next(&mut self) -> Option<Job> {
        let run = if self.plan.budget().is_some() { self.neediest()? } else { self.in_turn()? };
        self.shares[run.scenario].begun += 1;
        self.begun += 1;
        Some(Job { index: self.begun - 1, run })
    }

    fn in_turn(&self) -> Option<Run> {
        (self.begun < self.plan.total()).then(|| self.plan.run(self.begun))
    }

    /// The next seed of the scenario that has had the least time; of those that are equal the first.
    fn neediest(&self) -> Option<Run> {
        let open = self.shares.iter().enumerate().filter(|(_, share)| share.begun < self.plan.seeds_each());
        let (scenario, share) = open.min_by_key(|(_, share)| (share.charged(), share.begun))?;
        let late = share.begun > 0 && self.plan.is_late();
        (!late).then(|| Run { scenario, seed: self.plan.seed(share.begun) })
    }

    /// A run has ended, and took this long.
    pub fn ended(&mut self, job: Job, took: Duration) {
        let share = &mut self.shares[job.run.scenario];
        share.ended += 1;
        share.used += took;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::Range;

    fn plan(seeds: Range<u64>, budget: Option<Duration>) -> Plan {
        Plan::of(3, seeds, budget)
    }

    fn all(schedule: &mut Schedule<'_>) -> Vec<(usize, u64)> {
        std::iter::from_fn(|| schedule.next()).map(|job| (job.run.scenario, job.run.seed)).collect()
    }

    #[test]
    fn seeds_are_taken_in_turn() {
        let plan = plan(10..12, None);
        assert_eq!(all(&mut Schedule::new(&plan)), [(0, 10), (1, 10), (2, 10), (0, 11), (1, 11), (2, 11)]);
    }

    #[test]
    fn every_scenario_runs_once_when_time_is_up_at_once() {
        let plan = plan(0..u64::MAX, Some(Duration::ZERO));
        assert_eq!(all(&mut Schedule::new(&plan)), [(0, 0), (1, 0), (2, 0)]);
    }

    const HOUR: Duration = Duration::from_secs(3600);

    /// Runs of the scenarios take 1, 10 and 100 milliseconds; `jobs` at the same time, always the shortest ends first.
    fn used(jobs: usize, runs: u64) -> Vec<u64> {
        let plan = plan(0..u64::MAX, Some(HOUR));
        let mut schedule = Schedule::new(&plan);
        let took = |job: &Job| 10_u64.pow(job.run.scenario as u32);
        let (mut used, mut now) = (vec![0; 3], 0);
        let mut running: Vec<(u64, Job)> = Vec::new();
        for _ in 0..runs {
            while running.len() < jobs {
                let job = schedule.next().unwrap();
                running.push((now + took(&job), job));
            }
            running.sort_by_key(|(end, job)| (*end, job.index));
            let (end, job) = running.remove(0);
            now = end;
            used[job.run.scenario] += took(&job);
            schedule.ended(job, Duration::from_millis(took(&job)));
        }
        used
    }

    #[test]
    fn limited_time_is_shared_fairly() {
        for jobs in [1, 2, 7] {
            let used = used(jobs, 20_000);
            let (least, most) = (used.iter().min().unwrap(), used.iter().max().unwrap());
            assert!(most - least <= 100 * (jobs as u64 + 1), "{used:?} with {jobs} jobs");
        }
    }

    #[test]
    fn with_seeds_and_time_the_fair_sweep_ends_with_the_seeds() {
        let plan = plan(5..7, Some(HOUR));
        let mut runs = all(&mut Schedule::new(&plan));
        runs.sort_unstable();
        assert_eq!(runs, [(0, 5), (0, 6), (1, 5), (1, 6), (2, 5), (2, 6)]);
    }
}
