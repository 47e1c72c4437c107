//! Shards: a sweep in several parts, each with a summary of its own, and their sum.
//!
//! The n-th of N shards makes every N-th run of the plan, the n-th first. What the sum says is what one sweep over all
//! runs would have said: counts are added, of examples the cheapest or the first are kept, and expectations on the whole
//! sweep are judged only here.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::bugs::EXAMPLES;
use super::planted::Search;
use super::summary::{Failure, HarnessKind, Later, ScenarioRow, Summary, seconds};
use super::tally::{Counts, KEPT};

/// One of several parts of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Which one, from 1.
    pub index: u64,
    /// Of how many.
    pub of: u64,
}

impl Shard {
    /// The number that this shard's n-th run has in the plan.
    pub fn number(self, nth: u64) -> u64 {
        nth.saturating_mul(self.of).saturating_add(self.index - 1)
    }

    /// How many of `total` runs are this shard's.
    pub fn part_of(self, total: u64) -> u64 {
        total / self.of + u64::from(total % self.of >= self.index)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Shard, String> {
        let parts = text.strip_prefix("slice:").and_then(|parts| parts.split_once('/'));
        let numbers = parts.and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        match numbers {
            Some((index, of)) if (1..=of).contains(&index) => Ok(Shard { index, of }),
            Some((index, of)) => Err(format!("there is no part {index} of {of}: parts are counted from 1")),
            None => Err("expected slice:I/N, such as slice:1/4".to_owned()),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shard {} of {}", self.index, self.of)
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.runs += other.runs;
        self.passed += other.passed;
        self.failed += other.failed;
        self.unknown += other.unknown;
    }
}

impl Summary {
    /// Adds up the shards of one sweep. They must be all there are, each once.
    pub fn merge(shards: Vec<Summary>) -> Option<Summary> {
        let mut shards = shards.into_iter();
        let mut sum = Summary { shard: None, ..shards.next()? };
        for shard in shards {
            sum.add(shard);
        }
        let known = &sum.failures;
        let is_first = |later: &Later| known.iter().any(|bug| bug.is(&later.system, &later.signature));
        sum.only_later.retain(|later| !is_first(later));
        sum.only_later.sort_by(|a, b| (&a.system, &a.signature).cmp(&(&b.system, &b.signature)));
        let held = &sum.sometimes;
        sum.never.retain(|never| !held.contains_key(&never.name));
        sum.never.sort();
        sum.never.dedup();
        sum.judge();
        Some(sum)
    }

    fn add(&mut self, other: Summary) {
        // All fields, so that a new one is not forgotten here.
        let Summary {
            // The same in all shards, or made when the sum is judged.
            kind: _,
            version: _,
            build: _,
            seeds: _,
            shard: _,
            virtual_seconds: _,
            not_yet: _,
            counts,
            virtual_ns,
            wall_seconds,
            jobs,
            complete,
            failures,
            only_later,
            dose,
            sometimes,
            never,
            scenarios,
            planted,
            nondeterministic,
            harness_failures,
            harness,
        } = other;
        self.counts += counts;
        self.virtual_ns += virtual_ns;
        self.virtual_seconds = seconds(self.virtual_ns);
        // They ran side by side, as the jobs of one sweep do.
        self.wall_seconds = self.wall_seconds.max(wall_seconds);
        self.jobs += jobs;
        self.complete &= complete;
        for (row, other) in self.scenarios.iter_mut().zip(scenarios) {
            row.add(other);
        }
        let order: Vec<&str> = self.scenarios.iter().map(|row| row.path.as_str()).collect();
        for failure in failures {
            match self.failures.iter_mut().find(|known| known.is(&failure.system, &failure.signature)) {
                Some(known) => known.add(failure, &order),
                None => self.failures.push(failure),
            }
        }
        for (search, other) in self.planted.iter_mut().zip(planted) {
            search.add(other, &order);
        }
        for later in only_later {
            let is_it = |known: &&mut Later| known.system == later.system && known.signature == later.signature;
            match self.only_later.iter_mut().find(is_it) {
                Some(known) => known.count += later.count,
                None => self.only_later.push(later),
            }
        }
        add(&mut self.dose, dose);
        add(&mut self.sometimes, sometimes);
        self.never.extend(never);
        self.nondeterministic += nondeterministic;
        self.harness_failures += harness_failures;
        self.harness.extend(harness);
        let place = |path: &str, seed: u64| (seed, order.iter().position(|known| *known == path));
        self.harness.sort_by_key(|harness| (harness.kind, place(&harness.fault.scenario, harness.fault.seed)));
        for kind in [HarnessKind::Nondeterministic, HarnessKind::Broken] {
            let mut kept = 0;
            self.harness.retain(|harness| {
                kept += usize::from(harness.kind == kind);
                harness.kind != kind || kept <= KEPT
            });
        }
    }
}

impl ScenarioRow {
    fn add(&mut self, other: ScenarioRow) {
        self.counts += other.counts;
        self.harness_failures += other.harness_failures;
        self.virtual_ns += other.virtual_ns;
        self.virtual_seconds = seconds(self.virtual_ns);
        add(&mut self.dose, other.dose);
    }
}

impl Failure {
    fn is(&self, system: &str, signature: &str) -> bool {
        self.system == system && self.signature == signature
    }

    /// Adds the runs of another shard that show the same bug. `order` has the scenarios as they are taken in turn.
    fn add(&mut self, other: Failure, order: &[&str]) {
        let place = |path: &str| order.iter().position(|known| *known == path);
        let cost = |failure: &Failure| (failure.events, failure.seed, place(&failure.scenario));
        let mut examples = std::mem::take(&mut self.examples);
        examples.extend(other.examples.iter().cloned());
        examples.sort_by_key(|example| (example.seed, place(&example.scenario)));
        examples.truncate(EXAMPLES);
        let mut scenarios = std::mem::take(&mut self.scenarios);
        add(&mut scenarios, other.scenarios.clone());
        let count = self.count + other.count;
        if cost(&other) < cost(self) {
            *self = other;
        }
        *self = Failure { examples, scenarios, count, ..std::mem::take(self) };
    }
}

impl Search {
    /// Takes what another shard found, if it came sooner.
    fn add(&mut self, other: Search, order: &[&str]) {
        let soon = |search: &Search| {
            let place = |path: &str| order.iter().position(|known| *known == path);
            let first = search.first.as_ref().map(|hit| (hit.seed, place(&hit.scenario)));
            (!search.found, first.is_none(), first)
        };
        if soon(&other) < soon(self) {
            *self = other;
        }
    }
}

fn add(sum: &mut BTreeMap<String, u64>, other: BTreeMap<String, u64>) {
    for (name, count) in other {
        *sum.entry(name).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_part_the_runs_among_them() {
        for (total, of) in [(10, 3), (3, 5), (12, 4), (0, 2)] {
            let mut all: Vec<u64> = Vec::new();
            for index in 1..=of {
                let shard = Shard { index, of };
                all.extend((0..shard.part_of(total)).map(|nth| shard.number(nth)));
            }
            all.sort_unstable();
            assert_eq!(all, (0..total).collect::<Vec<_>>(), "{total} runs, {of} shards");
        }
    }

    #[test]
    fn a_shard_is_a_slice_counted_from_one() {
        assert_eq!("slice:2/4".parse(), Ok(Shard { index: 2, of: 4 }));
        for text in ["2/4", "slice:2", "slice:0/4", "slice:5/4", "slice:a/4", "slice:1/0", ""] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
