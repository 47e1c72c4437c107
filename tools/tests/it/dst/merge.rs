//! `dst sweep --shard` and `dst merge`

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use tools::Exit;

use super::sweep::lasting;
use super::{Ended, dst};

/// Sweeps in shards, each with its output in a file of its own.
fn shards(flags: &str, of: u64) -> (TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let files = (1..=of).map(|index| {
        let file = folder.path().join(format!("{index}.json"));
        fs::write(&file, dst(&format!("sweep {flags} --shard slice:{index}/{of} --json")).out).unwrap();
        file
    });
    let files = files.collect();
    (folder, files)
}

fn merge(files: &[PathBuf], flags: &str) -> Ended {
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    dst(&format!("merge {} {flags}", files.join(" ")))
}

/// Changes the summary in a file.
fn edit(file: &Path, change: impl FnOnce(&mut Value)) {
    let text = fs::read_to_string(file).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    let mut summary: Value = serde_json::from_str(lines.pop().unwrap()).unwrap();
    change(&mut summary);
    let summary = summary.to_string();
    lines.push(&summary);
    fs::write(file, lines.join("\n")).unwrap();
}

#[test]
fn the_sum_of_the_shards_is_what_one_sweep_says() {
    for flags in [
        "tests/scenarios --seeds 20",
        "tests/scenarios --seeds 7..19 --planted forgetful.stale --planted forgetful.panics",
        "tests/scenarios/calm.toml --seeds 9 --planted forgetful.harmless",
        "tests/others/unmet.toml tests/others/vacuous.toml --seeds 5",
        "tests/others/leaky.toml tests/others/vacuous.toml --seeds 12 --verify",
    ] {
        let whole = dst(&format!("sweep {flags} --json"));
        for of in [1, 2, 3, 7] {
            let (_folder, mut files) = shards(flags, of);
            files.reverse();
            let sum = merge(&files, "--json");
            assert_eq!(sum.exit, whole.exit, "{flags}: {}", sum.err);
            let (mut sum, mut whole) = (lasting(&sum), lasting(&whole));
            for summary in [&mut sum, &mut whole] {
                // What is different between two runs of such a seed is different in every sweep.
                for harness in summary["harness"].as_array_mut().unwrap() {
                    harness["what"] = Value::Null;
                }
            }
            assert_eq!(sum, whole, "{flags}, {of} shards");
        }
    }
}

#[test]
fn the_screen_of_the_sum_is_the_screen_of_one_sweep() {
    let without_speed = |ended: &Ended| {
        let lines = ended.out.lines().filter(|line| !line.contains(" runs/s, "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let whole = dst("sweep tests/scenarios tests/others/unmet.toml --seeds 20").expect(Exit::BugFound);
    let (_folder, files) = shards("tests/scenarios tests/others/unmet.toml --seeds 20", 3);
    let sum = merge(&files, "").expect(Exit::BugFound);
    assert_eq!(without_speed(&sum), without_speed(&whole));
    assert_eq!(sum.err, "");
}

#[test]
fn shards_together_find_a_planted_bug_or_not() {
    let merged = |bug: &str| {
        let (_folder, files) = shards(&format!("tests/scenarios/calm.toml --seeds 20 --planted {bug}"), 2);
        merge(&files, "--json --expect-found").exit
    };
    assert_eq!(merged("forgetful.stale"), Exit::Held);
    assert_eq!(merged("forgetful.harmless"), Exit::BugFound);
    let (_folder, files) = shards("tests/scenarios/calm.toml --seeds 2", 2);
    let ended = merge(&files, "--expect-found").expect(Exit::BadInput);
    assert!(ended.err.contains("these shards searched for no planted bug"), "{}", ended.err);
    dst("sweep --seeds 2 --shard slice:1/2 --planted forgetful.stale --expect-found").expect(Exit::BadInput);
}

#[test]
fn a_shard_makes_every_nth_run_and_judges_no_whole() {
    let ended = dst("sweep tests/others/unmet.toml --seeds 5 --shard slice:2/2 --json").expect(Exit::Held);
    let summary = ended.last();
    assert_eq!((&summary["runs"], &summary["complete"]), (&json!(2), &json!(true)));
    assert_eq!(summary["shard"], json!({ "index": 2, "of": 2 }));
    assert_eq!(summary["seeds"], json!([0, 5]));
    assert_eq!(summary["build"]["executable"].as_str().unwrap().len(), 32);
    assert!(summary["build"]["commit"].is_string());
    let ended = dst("sweep tests/others/vacuous.toml --seeds 10..20 --shard slice:3/4 --json").expect(Exit::BugFound);
    let seeds: Vec<u64> = ended.json().iter().filter_map(|line| line["seed"].as_u64()).collect();
    assert_eq!(seeds, [12, 16]);
    let ended = dst("sweep tests/scenarios/calm.toml --seeds 4 --shard slice:1/2").expect(Exit::Held);
    assert!(ended.out.contains("shard 1 of 2"), "{}", ended.out);
    assert!(ended.out.contains("`cargo dst merge`"), "{}", ended.out);
}

#[test]
fn shards_that_do_not_belong_together_are_refused() {
    let (folder, files) = shards("tests/scenarios/calm.toml tests/scenarios/crash.toml --seeds 4", 2);
    let first = files[0].clone();
    let refuse = |files: &[PathBuf], says: &str| {
        let ended = merge(files, "").expect(Exit::BadInput);
        assert_eq!(ended.out, "");
        assert_eq!(ended.err.lines().count(), 2, "one error with help: {}", ended.err);
        assert!(ended.err.contains(says), "expected {says}\n{}", ended.err);
    };
    refuse(&files[..1], "shard 2 of 2 is missing: expected 2 shards, found 1 file");
    refuse(&[first.clone(), files[1].clone(), first.clone()], "expected each shard once, found shard 1 of 2");
    let other = folder.path().join("other.json");
    type Change = fn(&mut Value);
    let changes: [(Change, &str); 10] = [
        (|sum| sum["build"]["commit"] = json!("c0ffee"), "it comes from another build"),
        (|sum| sum["seeds"] = json!([0, 5]), "expected seeds 0..4"),
        (|sum| sum["shard"]["of"] = json!(3), "expected one of 2 shards"),
        (|sum| sum["shard"] = Value::Null, "expected a part of a sweep, found a whole one"),
        (|sum| sum["scenarios"][1]["path"] = json!("a.toml"), "expected the scenario `tests/scenarios/crash.toml`"),
        (|sum| drop(sum["scenarios"].as_array_mut().unwrap().pop()), "expected the scenario `tests/scenarios/crash"),
        (|sum| sum["scenarios"][0]["hash"] = json!("00"), "expected `tests/scenarios/calm.toml` with the hash"),
        (
            |sum| sum["planted"] = json!([{ "name": "x", "found": false, "after_seeds": null, "first": null }]),
            "expected no planted bug as in",
        ),
        (|sum| drop(sum.as_object_mut().unwrap().remove("dose")), "expected a summary of this version"),
        (
            |sum| drop(sum["scenarios"][0].as_object_mut().unwrap().remove("histograms")),
            "expected `histograms` in the row",
        ),
    ];
    for (change, says) in changes {
        fs::copy(&files[1], &other).unwrap();
        edit(&other, change);
        refuse(&[first.clone(), other.clone()], says);
        refuse(&[first.clone(), other.clone()], "other.json`");
    }
    // The same commit says nothing if there were changes on top of it.
    let dirty = |sum: &mut Value| sum["build"]["commit"] = json!("c0ffee-dirty");
    fs::copy(&files[1], &other).unwrap();
    let one = folder.path().join("one.json");
    fs::copy(&first, &one).unwrap();
    edit(&one, dirty);
    edit(&other, dirty);
    merge(&[one.clone(), other.clone()], "").expect(Exit::BugFound);
    edit(&other, |sum| sum["build"]["executable"] = json!("00"));
    refuse(&[one, other], "expected the executable");
}

#[test]
fn files_that_are_no_shards_are_refused() {
    let (folder, files) = shards("tests/others/vacuous.toml --seeds 4", 2);
    let text = fs::read_to_string(&files[1]).unwrap();
    let other = folder.path().join("other.json");
    let only_failures = text.lines().next().unwrap().to_owned() + "\n";
    for (text, says) in [
        (&text[..text.len() - 10], "expected a JSON object in line 3"),
        (&only_failures, "expected a summary in its last line, found a failure: it may be cut short"),
        ("", "expected lines of JSON, found nothing"),
        ("7\n", "found JSON of another kind"),
        ("2 runs, 2 passed\n", "expected a JSON object in line 1"),
    ] {
        fs::write(&other, text).unwrap();
        let ended = merge(&[files[0].clone(), other.clone()], "").expect(Exit::BadInput);
        assert!(ended.err.contains("other.json` is not a shard") && ended.err.contains(says), "{says}: {}", ended.err);
    }
    let ended = merge(&[folder.path().join("nowhere.json")], "").expect(Exit::BadInput);
    assert!(ended.err.contains("cannot read the shard"), "{}", ended.err);
}

#[test]
fn an_incomplete_shard_is_no_pass() {
    // A shard that stopped early with a bug: the sum has the bug, and says that it is not all.
    let (_folder, files) = shards("tests/others/vacuous.toml --seeds 9 --fail-fast", 2);
    let sum = merge(&files, "").expect(Exit::BugFound);
    assert!(sum.err.contains("not complete: shard 1 of 2 ("), "{}", sum.err);
    assert!(sum.err.contains("made 1 of its 5 runs"), "{}", sum.err);
    // One that says of itself that it is not complete, and has no bug.
    let (_folder, files) = shards("tests/others/unmet.toml --seeds 4", 2);
    edit(&files[1], |sum| sum["complete"] = json!(false));
    let sum = merge(&files, "--json").expect(Exit::HarnessFailed);
    assert_eq!(sum.last()["complete"], false);
    assert_eq!(sum.last()["not_yet"][0]["name"], "partition");
}
