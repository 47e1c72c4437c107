//! `dst sweep --junit FILE --markdown FILE`

use std::fs;
use std::path::Path;

use tools::Exit;

use super::dst;

/// Sweeps, and returns both pages without what depends on the machine.
fn pages(flags: &str, exit: Exit) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let (junit, markdown) = (folder.path().join("report.xml"), folder.path().join("summary.md"));
    // What is there is replaced.
    fs::write(&junit, "old").unwrap();
    dst(&format!("sweep {flags} --junit {} --markdown {}", junit.display(), markdown.display())).expect(exit);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left beside them");
    let text = |file: &Path| fs::read_to_string(file).unwrap();
    let is_time = |word: &str| word.starts_with("time=\"");
    let junit = text(&junit);
    let junit: Vec<String> = junit
        .lines()
        .map(|line| line.split(' ').map(|word| if is_time(word) { "time=[time]" } else { word }).collect::<Vec<_>>())
        .map(|words| words.join(" "))
        .collect();
    let commit = format!("commit `{}`", tools::build::Build::this().commit);
    (junit.join("\n"), text(&markdown).replace(&commit, "commit [commit]"))
}

#[test]
fn a_sweep_that_found_bugs() {
    let flags = "tests/scenarios tests/others/vacuous.toml tests/others/unmet.toml --seeds 20";
    let (junit, markdown) = pages(flags, Exit::BugFound);
    insta::assert_snapshot!("bugs.xml", junit);
    insta::assert_snapshot!("bugs.md", markdown);
}

#[test]
fn a_sweep_with_planted_bugs() {
    let (junit, markdown) =
        pages("tests/scenarios --seeds 3 --planted forgetful.harmless --planted forgetful.stale", Exit::BugFound);
    insta::assert_snapshot!("planted.xml", junit);
    insta::assert_snapshot!("planted.md", markdown);
}

#[test]
fn a_sweep_in_which_the_harness_failed() {
    let (junit, markdown) =
        pages("tests/others/leaky.toml tests/scenarios/calm.toml --seeds 3 --verify", Exit::HarnessFailed);
    assert!(junit.contains("<error message=\"the harness failed in 3 runs\" type=\"harness\">"), "{junit}");
    assert!(junit.contains("errors=\"1\" failures=\"0\""), "{junit}");
    assert!(junit.contains("cargo dst replay tests/others/leaky.toml 0\n"), "{junit}");
    assert!(markdown.starts_with("# The harness failed\n"), "{markdown}");
    assert!(markdown.contains("3 seeds ran differently the second time"), "{markdown}");
}

#[test]
fn a_scenario_that_turns_out_to_be_wrong_is_an_error() {
    let (junit, markdown) = pages("tests/others/seldom-wrong.toml --seeds 100", Exit::BadInput);
    assert!(junit.contains("errors=\"1\" failures=\"0\"") && junit.contains("type=\"bad-scenario\""), "{junit}");
    assert!(markdown.starts_with("# A scenario is wrong\n") && markdown.contains("`writes`"), "{markdown}");
}

#[test]
fn a_scenario_that_had_no_run_is_skipped() {
    let (junit, _) = pages("tests/others/vacuous.toml tests/scenarios --seeds 3 --fail-fast", Exit::BugFound);
    assert_eq!(junit.matches("<skipped ").count(), 3, "{junit}");
}

#[test]
fn merged_shards_have_the_same_pages() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    for index in [1, 2] {
        let ended = dst(&format!("sweep tests/scenarios --seeds 8 --shard slice:{index}/2 --json"));
        fs::write(file(&index.to_string()), ended.out).unwrap();
    }
    dst(&format!("merge {} {} --markdown {}", file("1"), file("2"), file("sum.md")));
    dst(&format!("sweep tests/scenarios --seeds 8 --markdown {}", file("whole.md")));
    assert_eq!(fs::read_to_string(file("sum.md")).unwrap(), fs::read_to_string(file("whole.md")).unwrap());
}

#[test]
fn a_place_that_cannot_be_written_is_bad_input_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere/x").display().to_string();
    let is_folder = folder.path().display().to_string();
    for (flags, says) in [
        (format!("--junit {nowhere}"), "there is no folder"),
        (format!("--markdown {nowhere}"), "there is no folder"),
        (format!("--markdown {is_folder}"), "is a folder"),
        ("--junit /dev/null".to_owned(), "is no ordinary file"),
    ] {
        let ended = dst(&format!("sweep tests/scenarios --seeds 1000000 {flags}")).expect(Exit::BadInput);
        assert!(ended.err.contains(says), "{}", ended.err);
        assert_eq!(ended.out, "");
    }
}
