//! `dst replay`

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::Value;
use tools::Exit;

use super::dst;

/// The first seed with which the crash in `crash.toml` shows.
fn failing() -> u64 {
    static SEED: LazyLock<u64> = LazyLock::new(|| {
        let ended = dst("sweep tests/scenarios/crash.toml --seeds 100 --fail-fast --json").expect(Exit::BugFound);
        ended.last()["failures"][0]["seed"].as_u64().unwrap()
    });
    *SEED
}

fn records(line: &str) -> Vec<Value> {
    let lines = dst(line).json();
    lines.into_iter().filter(|line| line["type"] == "record").collect()
}

#[test]
fn it_shows_header_faults_verdict_and_digests() {
    let ended = dst(&format!("replay tests/scenarios/crash.toml {}", failing())).expect(Exit::BugFound);
    let hidden = |line: &str| match line.split_at_checked(7) {
        Some((what @ ("digest " | "world  "), _)) => format!("{what}[digest]"),
        _ => line.to_owned(),
    };
    insta::assert_snapshot!(ended.out.lines().map(hidden).collect::<Vec<_>>().join("\n"));
    assert_eq!(ended.err, "");
}

#[test]
fn a_trace_has_one_aligned_line_for_each_event() {
    let ended = dst("replay tests/scenarios/plain.toml 7 --trace --until 60ms").expect(Exit::Held);
    let (trace, _) = ended.out.split_once("\n\nno fault happened").unwrap();
    insta::assert_snapshot!(trace);
}

#[test]
fn the_last_line_keeps_its_contract() {
    let ended = dst(&format!("replay tests/scenarios/crash.toml {} --json", failing())).expect(Exit::BugFound);
    assert_eq!(ended.json().len(), 1);
    let run = ended.last();
    assert_eq!(run["type"], "run");
    assert_eq!(run["scenario"], "tests/scenarios/crash.toml");
    assert_eq!(run["seed"], failing());
    assert_eq!(run["verdict"], "fail");
    assert_eq!(run["signature"], "linearizable");
    for digest in ["digest", "world"] {
        assert_eq!(run[digest].as_str().unwrap().len(), 32);
    }
    for number in ["at_ns", "virtual_ns", "events"] {
        assert!(run[number].as_u64().unwrap() > 0, "{number}");
    }
    let run = dst("replay tests/scenarios/calm.toml 7 --json").expect(Exit::Held).last();
    assert_eq!((&run["verdict"], &run["signature"]), (&"pass".into(), &Value::Null));
}

#[test]
fn a_trace_does_not_change_the_run() {
    let without = dst("replay tests/scenarios/calm.toml 7 --json").last();
    let with = dst("replay tests/scenarios/calm.toml 7 --json --trace");
    assert!(with.json().len() > 100);
    assert_eq!(with.last(), without);
}

#[test]
fn flags_choose_what_a_trace_shows() {
    let scenario = format!("replay tests/scenarios/crash.toml {} --json", failing());
    let all = records(&format!("{scenario} --trace"));
    let matching = |wanted: &dyn Fn(&Value) -> bool| {
        let some: Vec<Value> = all.iter().filter(|record| wanted(record)).cloned().collect();
        assert!(!some.is_empty() && some.len() < all.len());
        some
    };
    let early = matching(&|record| record["at_ns"].as_u64().unwrap() <= 500_000_000);
    assert_eq!(records(&format!("{scenario} --until 500ms")), early);
    let server = matching(&|record| record["node"] == "server-0");
    assert_eq!(records(&format!("{scenario} --node server-0")), server);
    let kinds = matching(&|record| record["kind"] == "op" || record["kind"] == "fault");
    assert_eq!(records(&format!("{scenario} --kind op --kind fault")), kinds);
    let both = matching(&|record| record["kind"] == "recv" && record["node"] == "client-1");
    assert_eq!(records(&format!("{scenario} --kind recv --node client-1")), both);
    let ended = dst(&format!("{scenario} --node server-1")).expect(Exit::BadInput);
    assert!(ended.err.contains("did you mean `server-0`?"), "{}", ended.err);
}

#[test]
fn a_scenario_needs_a_seed() {
    let ended = dst("replay tests/scenarios/calm.toml").expect(Exit::BadInput);
    assert!(ended.err.contains("which seed?"), "{}", ended.err);
    assert!(ended.err.contains("cargo dst replay tests/scenarios/calm.toml 17"), "{}", ended.err);
    assert!(ended.err.contains("cargo dst sweep tests/scenarios/calm.toml"), "{}", ended.err);
}

#[test]
fn the_largest_seed_is_a_seed() {
    let run = dst(&format!("replay tests/scenarios/calm.toml {} --json", u64::MAX)).expect(Exit::Held).last();
    assert_eq!(run["seed"], u64::MAX);
}

fn frozen(folder: &Path, flags: &str) -> String {
    let file = folder.join("bug.toml").display().to_string();
    let line = format!("replay tests/scenarios/crash.toml {} --freeze {file} {flags}", failing());
    dst(&line).expect(Exit::BugFound);
    file
}

#[test]
fn a_frozen_run_is_the_same_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = frozen(folder.path(), "--planted forgetful.stale");
    let line = format!("replay tests/scenarios/crash.toml {} --planted forgetful.stale --json", failing());
    let (original, again) = (dst(&line).last(), dst(&format!("replay {file} --json")).expect(Exit::BugFound).last());
    for field in ["world", "seed", "signature", "at_ns", "events", "planted"] {
        assert_eq!(again[field], original[field], "{field}");
    }
    assert_eq!(again["drift"], Value::Null);
    // Nothing is left beside it.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_frozen_run_takes_no_seed_and_no_planted_bug() {
    let folder = tempfile::tempdir().unwrap();
    let file = frozen(folder.path(), "");
    let ended = dst(&format!("replay {file} 3")).expect(Exit::BadInput);
    assert!(ended.err.contains("it takes no seed"), "{}", ended.err);
    assert!(ended.err.contains("cargo dst replay tests/scenarios/crash.toml 3"), "{}", ended.err);
    let ended = dst(&format!("replay {file} --planted forgetful.stale")).expect(Exit::BadInput);
    assert!(ended.err.contains("a frozen run takes no --planted"), "{}", ended.err);
    let ended = dst(&format!("sweep {file} --seeds 3")).expect(Exit::BadInput);
    assert!(ended.err.contains("is one frozen run"), "{}", ended.err);
}

#[test]
fn a_frozen_run_that_is_another_now_is_a_run_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let file = frozen(folder.path(), "");
    let text = fs::read_to_string(&file).unwrap();
    let line = text.lines().find(|line| line.starts_with("world = ")).unwrap();
    fs::write(&file, text.replace(line, "world = \"00ff\"")).unwrap();
    let ended = dst(&format!("replay {file}")).expect(Exit::BugFound);
    assert!(ended.err.contains("note: this is not the run that was frozen"), "{}", ended.err);
    let ended = dst(&format!("replay {file} --json")).expect(Exit::BugFound);
    assert!(ended.last()["drift"].as_str().unwrap().contains("00ff"));
    // Without its only fault it does not fail: what the original expects of faults is not in the file.
    let (head, _) = text.split_once("\n[[fault]]").unwrap();
    fs::write(&file, head).unwrap();
    dst(&format!("replay {file}")).expect(Exit::Held);
}

#[test]
fn a_file_is_only_replaced_by_force() {
    let folder = tempfile::tempdir().unwrap();
    let file = frozen(folder.path(), "");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, "mine").unwrap();
    let ended = dst(&format!("replay tests/scenarios/crash.toml {} --freeze {file}", failing())).expect(Exit::BadInput);
    assert!(ended.err.contains("is there already"), "{}", ended.err);
    assert_eq!(ended.out, "", "it said so before it ran");
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    frozen(folder.path(), "--force");
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    let nowhere = folder.path().join("nowhere/bug.toml").display().to_string();
    let ended = dst(&format!("replay tests/scenarios/calm.toml 1 --freeze {nowhere}")).expect(Exit::BadInput);
    assert!(ended.err.contains("there is no folder"), "{}", ended.err);
}

#[test]
fn a_picture_shows_what_is_not_linearizable() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("why.html");
    let line = format!("replay tests/scenarios/crash.toml {} --picture {}", failing(), file.display());
    let ended = dst(&line).expect(Exit::BugFound);
    assert!(ended.out.contains(&format!("picture: {}", file.display())), "{}", ended.out);
    let page = fs::read_to_string(&file).unwrap();
    assert!(page.contains("class=\"stuck\"") && page.contains("class=\"point\""), "{page}");
    assert!(page.contains("the operations on the register are not linearizable"), "{page}");
    let ended = dst(&line).expect(Exit::BadInput);
    assert!(ended.err.contains("is there already") && ended.out.is_empty(), "{}", ended.err);
    let run = dst(&format!("{line} --force --json")).expect(Exit::BugFound).last();
    assert_eq!(run["picture"], file.display().to_string());
    assert_eq!(run["linearization"]["model"], "register");
    assert_eq!(fs::read_to_string(&file).unwrap(), page);
}

#[test]
fn a_run_that_is_linearizable_has_no_picture() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("why.html");
    let line = format!("replay tests/scenarios/calm.toml 7 --picture {}", file.display());
    let ended = dst(&line).expect(Exit::Held);
    assert!(ended.out.contains("no picture") && !file.exists(), "{}", ended.out);
    let run = dst(&format!("{line} --json")).expect(Exit::Held).last();
    assert_eq!((&run["picture"], run.get("linearization")), (&Value::Null, None));
    let ended = dst("replay tests/scenarios/calm.toml 7 --force").expect(Exit::BadInput);
    assert!(ended.err.contains("--freeze"), "{}", ended.err);
}
