//! What is shown of every system in the same way: its scenarios hold, each known bug is found by the scenario made for it and
//! by the generic swarm, and a frozen run is the same run.

use sim::{DynSystem, Outcome, Report, RunOptions, Scenario, run};

/// A system and its scenarios.
pub struct Swept {
    pub system: &'static dyn DynSystem,
    /// The folder of its scenarios.
    pub folder: &'static str,
    /// The scenario made for each known bug.
    pub made_for: &'static [(&'static str, &'static str)],
}

impl Swept {
    fn path(&self) -> std::path::PathBuf {
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios").join(self.folder)
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

    /// Every scenario of the folder holds with so many seeds.
    pub fn every_scenario_holds(&self, seeds: u64) {
        let mut names: Vec<String> = std::fs::read_dir(self.path())
            .expect("the scenarios are beside the crate")
            .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()))
            .collect();
        names.sort();
        assert!(!names.is_empty(), "no scenarios in {}", self.path().display());
        for name in names {
            let scenario = self.scenario(&name);
            for seed in 0..seeds {
                let report = self.report(&scenario, seed);
                assert_eq!(report.verdict, Outcome::Pass, "{name} seed {seed}: {:?}", report.failure);
            }
        }
    }

    /// Each known bug has a scenario, which finds it within so many seeds.
    pub fn every_known_bug_is_found_by_its_scenario(&self, within: u64) {
        let known: Vec<String> = self.system.description().planted.into_iter().map(|planted| planted.name).collect();
        assert_eq!(known.len(), self.made_for.len());
        for bug in known {
            let (_, name) = self.made_for.iter().find(|(of, _)| *of == bug).expect("each bug has a scenario");
            self.is_found(&bug, name, within);
        }
    }

    /// The swarm finds each known bug within so many seeds; but for those that are too rare for a test.
    pub fn every_known_bug_is_found_by_the_swarm(&self, within: u64, rare: &[&str]) {
        assert!(rare.iter().all(|rare| self.made_for.iter().any(|(bug, _)| bug == rare)), "{rare:?}");
        for (bug, _) in self.made_for.iter().filter(|(bug, _)| !rare.contains(bug)) {
            self.is_found(bug, "swarm", within);
        }
    }

    /// One of the first seeds reports the bug by an oracle that it declares.
    fn is_found(&self, bug: &str, name: &str, within: u64) {
        let mut planted = self.system.description().planted.into_iter();
        let planted = planted.find(|planted| planted.name == bug).expect("the system declares it");
        let scenario = self.scenario(name);
        let seed = (0..within).find(|&seed| {
            let options = RunOptions { planted: vec![bug.to_owned()], ..RunOptions::default() };
            let failure = self.run(&scenario, seed, options).failure;
            failure.is_some_and(|failure| planted.is_broken_by(&failure.signature))
        });
        println!("{bug} by {name}: seed {seed:?}");
        assert!(seed.is_some(), "{bug} was not found by {name}");
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
