//! What is kept of runs, when these take their process with them: the corpus and bundles.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use super::{dst, scenarios, sweep};

/// An entry of a run that passed once.
fn entry(folder: &TempDir, name: &str, seed: u64) {
    let digest = "0123456789abcdef".repeat(2);
    let text = format!(
        "scenario = \"s.toml\"\nseed = {seed}\nexpect = \"pass\"\ndigest = \"{digest}\"\nworld = \"{digest}\"\n"
    );
    fs::create_dir_all(folder.path().join("seeds")).unwrap();
    fs::write(folder.path().join(format!("seeds/{name}.toml")), text).unwrap();
}

#[test]
fn an_entry_whose_run_dies_is_broken_and_the_others_are_checked() {
    let folder = scenarios(&[("s", "seeds = { abort = [2], hang = [3], exit = [4] }")]);
    for (name, seed) in [("a-held", 1), ("b-abort", 2), ("c-hang", 3), ("d-exit", 4), ("e-drifted", 5)] {
        entry(&folder, name, seed);
    }
    dst(&folder, "corpus add s.toml 1 --name a-held --force").end().expect(0);
    for jobs in [1, 3] {
        let ended = dst(&folder, &format!("corpus run --json --timeout 5s --jobs {jobs}")).end().expect(1);
        let lines = ended.json();
        let of = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let found: Vec<_> = lines[..5].iter().map(|line| (of(line, "status"), of(line, "found"))).collect();
        let expected = [
            ("held", "pass"),
            ("broken", "process:abort"),
            ("broken", "process:hang"),
            ("broken", "process:exit-7"),
            ("drifted", "pass"),
        ];
        let expected = expected.map(|(status, found)| (status.to_owned(), found.to_owned()));
        assert_eq!(found, expected, "{}", ended.out);
        assert_eq!((&lines[5]["broken"], &lines[5]["errors"]), (&3.into(), &0.into()));
    }
}

#[test]
fn a_run_that_dies_is_no_entry() {
    let folder = scenarios(&[("s", "seeds = { abort = [2] }")]);
    let ended = dst(&folder, "corpus add s.toml 2 --into .").end().expect(2);
    assert!(ended.err.iter().any(|line| line.contains("the run ends with process:abort")), "{:?}", ended.err);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was added");
}

#[test]
fn a_run_that_dies_when_it_is_made_again_costs_its_trace_alone() {
    let folder = scenarios(&[("s", "seeds = { panic = [1], panic-then-abort = [2], exit = [3] }")]);
    let ended = sweep(&folder, "--seeds 4 --json --jobs 1 --out bugs").end().expect(3);
    let summary = ended.summary();
    let failures = summary["failures"].as_array().unwrap();
    let files = |signature: &str| {
        let failure = failures.iter().find(|failure| failure["signature"].as_str().unwrap().contains(signature));
        let bundle = folder.path().join(failure.expect(signature)["bundle"].as_str().unwrap());
        let mut files: Vec<_> = fs::read_dir(&bundle).unwrap().map(|file| file.unwrap().file_name()).collect();
        files.sort();
        (files, fs::read_to_string(bundle.join("README.md")).unwrap())
    };
    let (all, _) = files("a bug");
    assert_eq!(all, ["README.md", "frozen.toml", "history.jsonl", "report.json", "scenario.toml", "trace.txt"]);
    let (some, readme) = files("only the first time");
    assert_eq!(some, ["README.md", "scenario.toml"]);
    assert!(readme.contains("The run could not be made again: the worker died"), "{readme}");
    assert!(ended.err.iter().any(|line| line.contains("could not be made again")), "{:?}", ended.err);
    assert_eq!(fs::read_dir(folder.path().join("bugs")).unwrap().count(), 3, "nothing is left beside the bundles");
}

#[test]
fn after_an_interruption_there_are_still_bundles() {
    let folder = scenarios(&[("s", "seeds = { panic = [1], hang = [3] }")]);
    let mut running = sweep(&folder, "--seeds 9 --json --jobs 1 --out bugs --timeout 1h");
    running.wait_for("about to misbehave with seed 3");
    running.signal(nix::sys::signal::Signal::SIGINT);
    let summary = running.end().expect(1).summary();
    assert_eq!(summary["interrupted"], true);
    let bundle = folder.path().join(summary["failures"][0]["bundle"].as_str().unwrap());
    assert!(fs::metadata(bundle.join("trace.txt")).unwrap().len() > 0);
}
