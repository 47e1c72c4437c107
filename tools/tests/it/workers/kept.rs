//! What is kept of runs, when these take their process with them: the corpus and bundles.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use super::{Ended, dst, scenarios, sweep};

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
    assert_eq!(
        all,
        [".dst-bundle", "README.md", "frozen.toml", "history.jsonl", "report.json", "scenario.toml", "trace.txt"]
    );
    let (some, readme) = files("only after other runs");
    assert_eq!(some, [".dst-bundle", "README.md", "scenario.toml"]);
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

/// A folder in which the scenario is that finds the known bugs, unless its system is another.
fn with_known_bugs(system: &str) -> TempDir {
    let folder = scenarios(&[("s", "seeds = {}")]);
    let own = folder.path().join("scenarios/misbehaving");
    fs::create_dir_all(&own).unwrap();
    let text = fs::read_to_string(folder.path().join("s.toml")).unwrap();
    fs::write(own.join("calm.toml"), text.replace("name = \"misbehaving\"", &format!("name = \"{system}\""))).unwrap();
    folder
}

#[test]
fn a_planted_bug_is_searched_for_as_it_is_declared() {
    let folder = with_known_bugs("misbehaving");
    // It needs no corpus.
    let ended = dst(&folder, "corpus run misbehaving.forgets").end().expect(0);
    let found =
        "held     misbehaving.forgets in scenarios/misbehaving/calm.toml  found by linearizable after 3 seeds of 4\n";
    let replay = "cargo dst replay scenarios/misbehaving/calm.toml 2 --planted misbehaving.forgets\n";
    assert!(ended.out.starts_with(&format!("{found}         {replay}")), "{}", ended.out);
    let replay = replay.trim().strip_prefix("cargo dst ").unwrap();
    assert!(dst(&folder, replay).end().expect(1).out.contains("FAIL linearizable"));
    // What fails by another oracle has not been found.
    let ended = dst(&folder, "corpus run misbehaving.panics").end().expect(1);
    assert!(ended.out.contains("not found within 2 seeds: runs failed otherwise: panic:"), "{}", ended.out);
    let sweep = "cargo dst sweep scenarios/misbehaving/calm.toml --seeds 2 --planted misbehaving.panics\n";
    assert!(ended.out.contains(sweep), "{}", ended.out);

    // Without a name, all runs and all searches.
    dst(&folder, "corpus add s.toml 1 --name one").end().expect(0);
    let ended = dst(&folder, "corpus run --json").end().expect(1);
    let lines = ended.json();
    let of = |line: &Value| (line["entry"].clone(), line["status"].clone(), line["within"].clone());
    let found: Vec<_> = lines[..3].iter().map(of).collect();
    let expected = [
        ("seeds/one.toml".into(), "held".into(), Value::Null),
        ("misbehaving.forgets".into(), "held".into(), 4.into()),
        ("misbehaving.panics".into(), "broken".into(), 2.into()),
    ];
    assert_eq!(found, expected, "{}", ended.out);
    assert_eq!((&lines[1]["found_seed"], &lines[2]["found_seed"]), (&2.into(), &Value::Null));
    assert_eq!((&lines[3]["entries"], &lines[3]["broken"]), (&3.into(), &1.into()));
    // A folder of entries is these and no search.
    assert!(dst(&folder, "corpus run seeds").end().expect(0).out.ends_with("1 entry: 1 held, 0 drifted, 0 broken\n"));
}

#[test]
fn a_search_that_cannot_be_made_is_bad_input() {
    let folder = with_known_bugs("misbehaving");
    for (line, says) in [
        ("misbehaving.forgot", "did you mean `misbehaving.forgets`?"),
        ("nowhere", "no such entry, folder or planted bug: `nowhere`"),
        ("misbehaving.harmless", "no scenario is declared to find the planted bug `misbehaving.harmless`"),
        ("nowhere.toml", "no such entry or folder: `nowhere.toml`"),
    ] {
        let ended = dst(&folder, &format!("corpus run {line}")).end().expect(2);
        assert!(ended.err.iter().any(|text| text.contains(says)), "{line}: {:?}", ended.err);
    }
    assert!(dst(&folder, "check").end().expect(0).out.contains("1 scenario: all right"));

    fs::rename(
        folder.path().join("scenarios/misbehaving/calm.toml"),
        folder.path().join("scenarios/misbehaving/clam.toml"),
    )
    .unwrap();
    let says = "the planted bug `misbehaving.forgets` is to be found by `scenarios/misbehaving/calm.toml`, which is";
    for line in ["corpus run", "corpus run misbehaving.forgets", "check"] {
        let Ended { out, err, .. } = dst(&folder, line).end().expect(2);
        assert!(out.contains(says) || err.join("\n").contains(says), "{line}: {out}{err:?}");
    }
    assert!(dst(&folder, "check").end().out.contains("did you mean `clam`?"));
}

#[test]
fn a_system_whose_scenarios_are_elsewhere_is_not_searched() {
    let folder = scenarios(&[("s", "seeds = {}")]);
    let ended = dst(&folder, "corpus run").end().expect(2);
    assert!(ended.err.iter().any(|line| line.contains("`misbehaving` is left out")), "{:?}", ended.err);
    assert!(ended.err.iter().any(|line| line.contains("no such entry or folder: `seeds`")), "{:?}", ended.err);
}
