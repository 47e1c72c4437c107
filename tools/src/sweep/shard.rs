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
            systems: _,
            counts,
            virtual_ns,
            wall_seconds,
            cpu_seconds,
            jobs,
            interrupted,
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
            bad_scenario,
        } = other;
        self.counts += counts;
        self.virtual_ns += virtual_ns;
        self.virtual_seconds = seconds(self.virtual_ns);
        // They ran side by side, as the jobs of one sweep do.
        self.wall_seconds = self.wall_seconds.max(wall_seconds);
        self.cpu_seconds += cpu_seconds;
        self.jobs += jobs;
        self.interrupted |= interrupted;
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
        // Each shard ended at its first: the first of all is where one sweep would have ended.
        let place = |path: &str, seed: u64| (seed, order.iter().position(|known| *known == path));
        let wrong = self.bad_scenario.take().into_iter().chain(bad_scenario);
        self.bad_scenario = wrong.min_by_key(|wrong| place(&wrong.scenario, wrong.seed));
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
        self.run_seconds += other.run_seconds;
        add(&mut self.dose, other.dose);
        if let Some(other) = &other.histograms {
            self.histograms.get_or_insert_default().add(other);
        }
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

    /// A summary with only what a test is about.
    fn summary(index: u64, about: serde_json::Value) -> Summary {
        let row = |path: &str| {
            serde_json::json!({
                "path": path, "hash": "", "system": "kv", "planted": [], "runs": 1, "passed": 1, "failed": 0,
                "unknown": 0, "harness_failures": 0, "virtual_seconds": 0.0, "virtual_ns": 1, "run_seconds": 0.0, "dose": {}, "expect": {}, "metrics": crate::metrics::Figures::default(),
                "fails": [],
            })
        };
        let mut all = serde_json::json!({
            "type": "summary", "version": "", "build": { "commit": "", "executable": "" }, "seeds": [0, 1],
            "shard": { "index": index, "of": 2 }, "runs": 2, "passed": 2, "failed": 0, "unknown": 0,
            "virtual_seconds": 0.0, "virtual_ns": 2, "wall_seconds": index as f64, "cpu_seconds": 0.0, "jobs": 1, "interrupted": false, "complete": true,
            "failures": [], "only_later": [], "dose": {}, "sometimes": {}, "never": [], "not_yet": [],
            "scenarios": [row("b.toml"), row("a.toml")], "systems": {}, "planted": [], "nondeterministic": 0, "harness_failures": 0,
            "harness": [], "bad_scenario": null,
        });
        for (key, value) in about.as_object().expect("an object") {
            all[key] = value.clone();
        }
        serde_json::from_value(all).expect("a summary")
    }

    fn sum(one: serde_json::Value, two: serde_json::Value) -> Summary {
        Summary::merge(vec![summary(1, one), summary(2, two)]).expect("two shards")
    }

    fn failure(signature: &str, scenario: &str, seed: u64, events: u64) -> serde_json::Value {
        serde_json::json!({
            "signature": signature, "system": "kv", "count": 1, "scenario": scenario, "seed": seed, "at_ns": 0,
            "events": events, "explanation": "", "replay": "", "scenarios": { scenario: 1 }, "bundle": null,
            "examples": [{ "scenario": scenario, "seed": seed }],
        })
    }

    #[test]
    fn the_cheapest_run_stands_for_a_bug_and_on_a_tie_the_first() {
        let one = serde_json::json!({ "failures": [failure("x", "a.toml", 7, 10), failure("y", "a.toml", 7, 10)] });
        let two = serde_json::json!({ "failures": [failure("x", "b.toml", 7, 10), failure("y", "b.toml", 3, 11)] });
        for sum in [sum(one.clone(), two.clone()), sum(two, one)] {
            let best = |signature: &str| {
                let failure = sum.failures.iter().find(|failure| failure.signature == signature).expect("there");
                let examples: Vec<u64> = failure.examples.iter().map(|example| example.seed).collect();
                (failure.scenario.clone(), failure.seed, failure.count, examples, failure.scenarios.len())
            };
            // The scenarios are taken in turn in the order of their rows.
            assert_eq!(best("x"), ("b.toml".to_owned(), Some(7), 2, vec![7, 7], 2));
            assert_eq!(best("y"), ("a.toml".to_owned(), Some(7), 2, vec![3, 7], 2));
        }
    }

    #[test]
    fn what_was_a_first_violation_in_any_shard_is_not_only_a_later_one() {
        let later = |signature: &str| serde_json::json!({ "system": "kv", "signature": signature, "count": 2 });
        let one = serde_json::json!({ "failures": [failure("x", "a.toml", 7, 10)], "only_later": [later("z")] });
        let two = serde_json::json!({ "only_later": [later("x"), later("z")] });
        let sum = sum(one, two);
        let only_later: Vec<_> = sum.only_later.iter().map(|later| (later.signature.as_str(), later.count)).collect();
        assert_eq!(only_later, [("z", 4)]);
    }

    #[test]
    fn what_held_in_any_shard_did_hold() {
        let never = |name: &str| serde_json::json!({ "name": name, "kind": "sometimes", "at": "x.rs:1" });
        let one = serde_json::json!({ "sometimes": { "p": 2 }, "never": [never("q"), never("r")] });
        let two = serde_json::json!({ "sometimes": { "q": 1 }, "never": [never("p"), never("r")] });
        let names: Vec<String> = sum(one, two).never.into_iter().map(|never| never.name).collect();
        assert_eq!(names, ["r"]);
    }

    #[test]
    fn of_harness_failures_the_first_few_are_kept() {
        let harness = |seeds: &[u64], kind: &str| -> Vec<_> {
            let one = |seed: &u64| serde_json::json!({ "kind": kind, "scenario": "a.toml", "seed": seed, "what": "", "replay": "" });
            seeds.iter().map(one).collect()
        };
        let one = [harness(&[2, 4, 6, 8, 10], "nondeterministic"), harness(&[1], "broken")].concat();
        let two = [harness(&[1, 3, 5], "nondeterministic"), harness(&[0], "broken")].concat();
        let sum = sum(serde_json::json!({ "harness": one }), serde_json::json!({ "harness": two }));
        let kept: Vec<u64> = sum.harness.iter().map(|harness| harness.fault.seed).collect();
        assert_eq!(kept, [1, 2, 3, 4, 5, 0, 1]);
    }
}
