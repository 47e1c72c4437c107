//! What is shown of every system in the same way: its scenarios hold, each known bug is found as it is declared, and a frozen
//! run is the same run.

use std::collections::BTreeSet;

use sim::system::{PlantedInfo, Search};
use sim::{DynSystem, Outcome, Report, RunOptions, Scenario, run};

/// A system and its scenarios.
pub struct Swept {
    pub system: &'static dyn DynSystem,
}

impl Swept {
    fn path(&self) -> std::path::PathBuf {
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios").join(self.system.description().name)
    }

    pub fn scenario(&self, name: &str) -> Scenario {
        Scenario::load(&self.path().join(format!("{name}.toml"))).unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn report(&self, scenario: &Scenario, seed: u64) -> Report {
        self.run(scenario, seed, RunOptions::default())
    }

    fn run(&self, scenario: &Scenario, seed: u64, options: RunOptions) -> Report {
        run(self.system, scenario, seed, options).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Every scenario of the folder holds with so many seeds. In these runs every event of the system happens, but for those that
    /// are named: an event that the system never reports must not be listed for it.
    pub fn every_scenario_holds(&self, seeds: u64, rare_events: &[&str]) {
        let mut names: Vec<String> = std::fs::read_dir(self.path())
            .expect("the scenarios are beside the crate")
            .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()))
            .collect();
        names.sort();
        assert!(!names.is_empty(), "no scenarios in {}", self.path().display());
        let events = self.system.description().events;
        let mut unseen: BTreeSet<&str> = events.iter().map(|event| event.name.as_str()).collect();
        for name in names {
            let scenario = self.scenario(&name);
            for seed in 0..seeds {
                let report = self.report(&scenario, seed);
                assert_eq!(report.verdict, Outcome::Pass, "{name} seed {seed}: {:?}", report.failure);
                unseen.retain(|event| !report.dose.contains_key(*event));
            }
        }
        assert_eq!(unseen, rare_events.iter().copied().collect(), "events that never happened");
    }

    /// Each known bug is found as it is declared: by each scenario that it names, one of which is the swarm. Searches that may
    /// take more than so many seeds are left to `dst corpus run`.
    pub fn every_known_bug_is_found(&self, most: u64) {
        let description = self.system.description();
        assert_eq!(description.mistakes(), [""; 0]);
        assert!(!description.planted.is_empty());
        for bug in &description.planted {
            let scenarios: Vec<&str> = bug.found_by.iter().map(|search| search.scenario.as_str()).collect();
            assert!(scenarios.contains(&"swarm"), "{}: not by the swarm, but by {scenarios:?}", bug.name);
            for Search { scenario, within } in &bug.found_by {
                if *within <= most {
                    self.is_found(bug, scenario, *within);
                } else {
                    // It is there, at least.
                    self.scenario(scenario);
                }
            }
        }
    }

    /// One of the first seeds reports the bug by an oracle that it declares.
    fn is_found(&self, bug: &PlantedInfo, name: &str, within: u64) {
        let scenario = self.scenario(name);
        let seed = (0..within).find(|&seed| {
            let options = RunOptions { planted: vec![bug.name.clone()], ..RunOptions::default() };
            self.run(&scenario, seed, options).violations().any(|failure| bug.is_broken_by(&failure.signature))
        });
        println!("{} by {name}: seed {seed:?} of {within}", bug.name);
        assert!(seed.is_some(), "{} was not found by {name} within {within} seeds", bug.name);
    }

    /// A frozen run of the swarm has the same world digest and failure, with `bug` in every other run, so that failing runs
    /// are frozen too.
    pub fn frozen_runs_are_the_same(&self, seeds: u64, bug: &str) {
        let swarm = self.scenario("swarm");
        for seed in 0..seeds {
            let planted: Vec<String> = (seed % 2 == 1).then(|| bug.to_owned()).into_iter().collect();
            let original = self.run(&swarm, seed, RunOptions { planted, freeze: true, ..RunOptions::default() });
            let text = original.frozen.clone().expect("a frozen text was asked for");
            let frozen = Scenario::parse("frozen.toml", &text).unwrap_or_else(|error| panic!("seed {seed}:\n{error}"));
            let again = self.report(&frozen, 0);
            assert_eq!(again.world, original.world, "seed {seed}");
            assert_eq!(again.failure, original.failure, "seed {seed}");
        }
    }
}
