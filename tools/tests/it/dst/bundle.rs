//! `dst sweep --out DIR`

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tools::Exit;

use super::dst;

fn files(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_bundle_has_all_about_the_run() {
    let out = tempfile::tempdir().unwrap();
    let dir = out.path().join("made/on/demand");
    let line = format!("sweep tests/scenarios --seeds 20 --out {}", dir.display());
    let failure = dst(&format!("{line} --json")).expect(Exit::BugFound).last()["failures"][0].clone();
    let bundle = Path::new(failure["bundle"].as_str().unwrap()).to_owned();
    assert_eq!(files(&dir).len(), 1, "one folder for one bug, and nothing else");
    assert!(bundle.file_name().unwrap().to_str().unwrap().starts_with("linearizable-"));
    let expected =
        [".dst-bundle", "README.md", "frozen.toml", "history.jsonl", "report.json", "scenario.toml", "trace.txt"]
            .map(str::to_owned);
    let drawn = ["linearization.html", "linearization.json"].map(str::to_owned);
    assert_eq!(files(&bundle), expected.into_iter().chain(drawn).collect());
    let text = |name: &str| fs::read_to_string(bundle.join(name)).unwrap();

    assert_eq!(text("scenario.toml"), fs::read_to_string("tests/scenarios/crash.toml").unwrap());
    let replay = failure["replay"].as_str().unwrap();
    assert!(text("README.md").contains(replay), "{}", text("README.md"));

    let report: Value = serde_json::from_str(&text("report.json")).unwrap();
    let frozen = format!("replay {}", bundle.join("frozen.toml").display());
    let again = dst(&format!("{frozen} --json")).expect(Exit::BugFound).last();
    for field in ["world", "signature", "seed", "at_ns", "events"] {
        assert_eq!(again[field], report[field], "{field}");
    }
    assert!(text("README.md").contains(&format!("cargo dst {frozen}")), "{}", text("README.md"));

    // What is not linearizable is there as data and as a picture: the ones that a replay gives.
    let details: Value = serde_json::from_str(&text("linearization.json")).unwrap();
    assert_eq!((&report["linearization"], &details["at_ns"]), (&details, &report["at_ns"]));
    assert!(
        details["operations"].as_array().unwrap().iter().any(|step| step["place"].is_null() && step["why"].is_string())
    );
    let drawn = out.path().join("drawn.html");
    dst(&format!("{frozen} --picture {}", drawn.display())).expect(Exit::BugFound);
    assert_eq!(fs::read_to_string(drawn).unwrap(), text("linearization.html"));
    assert!(text("README.md").contains("`linearization.html`"), "{}", text("README.md"));

    // The trace is the one that a replay prints.
    let traced = dst(&format!("{} --trace", replay.strip_prefix("cargo dst ").unwrap())).expect(Exit::BugFound);
    assert!(text("trace.txt").lines().count() > 100);
    assert!(traced.out.contains(&text("trace.txt")));

    let history: Vec<Value> = text("history.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ended = |how: &str| history.iter().filter(|op| op["outcome"] == how).count() as u64;
    assert_eq!(ended("ok"), report["dose"]["ops_ok"].as_u64().unwrap());
    assert!(history.is_sorted_by_key(|op| op["invoked_ns"].as_u64()));
    let read = history.iter().find(|op| op["input"] == "Read" && op["outcome"] == "ok").unwrap();
    assert!(read["output"].as_str().unwrap().starts_with("Value("), "{read}");
    assert!(read["node"].as_str().unwrap().starts_with("client-"));
    assert!(read["process"].as_u64().unwrap() > 0 && read["ended_ns"].as_u64() > read["invoked_ns"].as_u64());

    // Made again, it is the same, and nothing of an older one is left.
    let before: Vec<String> = files(&bundle).iter().map(|name| text(name)).collect();
    fs::write(bundle.join("stale"), "").unwrap();
    let ended = dst(&line).expect(Exit::BugFound);
    assert!(ended.out.contains(&format!("everything about it: {}", bundle.display())), "{}", ended.out);
    assert_eq!(files(&bundle).iter().map(|name| text(name)).collect::<Vec<_>>(), before);
    assert_eq!(files(&dir).len(), 1);
}

#[test]
fn what_only_a_whole_sweep_shows_has_no_run_to_keep() {
    let out = tempfile::tempdir().unwrap();
    let ended = dst(&format!("sweep tests/others/unmet.toml --seeds 3 --json --out {}", out.path().display()));
    let bundle = ended.expect(Exit::BugFound).last()["failures"][0]["bundle"].as_str().unwrap().to_owned();
    assert_eq!(
        files(Path::new(&bundle)),
        BTreeSet::from([".dst-bundle", "README.md", "scenario.toml"].map(str::to_owned))
    );
    assert!(fs::read_to_string(Path::new(&bundle).join("README.md")).unwrap().contains("there is no run to keep"));
}

#[test]
fn a_run_that_does_not_fail_again_is_the_harness_failing() {
    let out = tempfile::tempdir().unwrap();
    let line = format!("sweep tests/others/once.toml --seeds 1 --out {}", out.path().display());
    let ended = dst(&line).expect(Exit::HarnessFailed);
    assert!(ended.err.contains("when it was made again the run did not fail"), "{}", ended.err);
    let bundle = fs::read_dir(out.path()).unwrap().next().unwrap().unwrap().path();
    let readme = fs::read_to_string(bundle.join("README.md")).unwrap();
    assert!(readme.contains("it depends on more than its seed"), "{readme}");
}

#[test]
fn nothing_is_left_where_nothing_failed() {
    let out = tempfile::tempdir().unwrap();
    dst(&format!("sweep tests/scenarios/calm.toml --seeds 2 --out {}", out.path().display())).expect(Exit::Held);
    assert_eq!(files(out.path()).len(), 0);
}

#[test]
fn what_an_earlier_sweep_made_is_removed_and_nothing_else() {
    let out = tempfile::tempdir().unwrap();
    let sweep =
        |scenario: &str| dst(&format!("sweep tests/{scenario} --seeds 20 --json --out {}", out.path().display()));
    sweep("others/unmet.toml").expect(Exit::BugFound);
    let stale = files(out.path());
    assert_eq!(stale.len(), 1);
    sweep("scenarios/calm.toml --shard slice:1/2").expect(Exit::Held);
    assert_eq!(files(out.path()), stale, "a shard replaces nothing");
    fs::create_dir(out.path().join("mine")).unwrap();
    fs::write(out.path().join("notes.txt"), "mine").unwrap();
    let last = sweep("scenarios/crash.toml").expect(Exit::BugFound).last();
    let bundle = Path::new(last["failures"][0]["bundle"].as_str().unwrap()).to_owned();
    let name = bundle.file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(files(out.path()), BTreeSet::from([name, "mine".to_owned(), "notes.txt".to_owned()]));
    sweep("scenarios/calm.toml").expect(Exit::Held);
    assert_eq!(files(out.path()), BTreeSet::from(["mine", "notes.txt"].map(str::to_owned)));
    // Not even one that is in the way.
    fs::create_dir(&bundle).unwrap();
    fs::write(bundle.join("notes.txt"), "mine").unwrap();
    let ended = sweep("scenarios/crash.toml").expect(Exit::HarnessFailed);
    assert!(ended.err.contains("is there already, and no sweep made it"), "{}", ended.err);
    assert_eq!(files(&bundle), BTreeSet::from(["notes.txt".to_owned()]));
}

#[test]
fn a_place_without_room_for_folders_is_bad_input() {
    let ended = dst("sweep tests/scenarios --seeds 1000000 --out Cargo.toml").expect(Exit::BadInput);
    assert!(ended.err.contains("cannot make folders in `Cargo.toml`"), "{}", ended.err);
    assert_eq!(ended.out, "");
}
