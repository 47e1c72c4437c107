//! The same results from any processes, and the event that is not.

use serde_json::Value;

use super::{scenarios, sweep};

#[test]
fn the_result_is_the_same_with_any_number_of_workers() {
    let folder = scenarios(&[("a", "seeds = { abort = [3], panic = [4, 5] }"), ("b", "seeds = { exit = [0, 6] }")]);
    for flags in ["--seeds 20", "--seeds 20 --max-failures 3", "--seeds 20 --verify"] {
        let lasting = |jobs| {
            let mut lines = sweep(&folder, &format!("{flags} --json --jobs {jobs}")).end().expect(1).json();
            let summary = lines.last_mut().unwrap().as_object_mut().unwrap();
            for field in ["wall_seconds", "cpu_seconds", "jobs"] {
                assert!(summary.remove(field).is_some());
            }
            for row in summary["scenarios"].as_array_mut().unwrap() {
                assert!(row.as_object_mut().unwrap().remove("run_seconds").is_some());
            }
            lines
        };
        let (one, four) = (lasting(1), lasting(4));
        assert!(one.len() > 3, "{one:?}");
        assert_eq!(one, four, "{flags}");
    }
}

#[test]
fn what_depends_on_the_process_is_found_and_named() {
    let folder = scenarios(&[("s", "seeds = { differ = [3] }")]);
    let summary = sweep(&folder, "--seeds 5 --json").end().expect(0).summary();
    assert_eq!(summary["nondeterministic"], 0, "one run shows nothing");
    let ended = sweep(&folder, "--seeds 5 --verify --json --jobs 1").end().expect(3);
    let summary = ended.summary();
    assert_eq!((&summary["runs"], &summary["nondeterministic"]), (&5.into(), &1.into()));
    let harness: &Value = &summary["harness"][0];
    assert_eq!(harness["seed"], 3);
    assert_eq!(harness["replay"], "cargo dst replay ./s.toml 3");
    let what: Vec<&str> = harness["what"].as_str().unwrap().lines().collect();
    assert!(what[0].starts_with("what happened is not the same: digest "), "{what:#?}");
    assert!(what[1].starts_with("the first event that differs is the one after "), "{what:#?}");
    // The last events of both, then the one that each has alone.
    let is = |line: &str, side: &str, op: &str| line.starts_with(side) && line.contains(op);
    assert!(what[2..what.len() - 2].iter().all(|line| line.starts_with("  both    ")), "{what:#?}");
    let [.., first, second] = what[..] else { panic!("{what:#?}") };
    assert!(is(first, "  first   ", "value: ") && is(second, "  second  ", "value: "), "{what:#?}");
    assert_ne!(first.split_once("value: ").unwrap().1, second.split_once("value: ").unwrap().1);
}

#[test]
fn what_a_run_leaves_behind_is_found() {
    for (how, jobs) in [("count", 1), ("count", 2), ("zone", 1)] {
        let folder = scenarios(&[("s", &format!("seeds = {{ {how} = [0, 1, 2, 3, 4] }}"))]);
        for seeds in 1..=5 {
            let flags = format!("--seeds {seeds} --verify --json --jobs {jobs}");
            let summary = sweep(&folder, &flags).end().expect(3).summary();
            assert_eq!(summary["nondeterministic"], seeds, "{how} {flags}");
            let what = summary["harness"][0]["what"].as_str().unwrap();
            assert!(what.contains("the first event that differs") && what.contains("value: "), "{what}");
        }
    }
}

#[test]
fn what_differs_in_its_polls_alone_is_found_and_named() {
    let folder = scenarios(&[("s", "seeds = { poll = [3] }")]);
    let summary = sweep(&folder, "--seeds 5 --verify --json --jobs 1").end().expect(3).summary();
    assert_eq!(summary["nondeterministic"], 1);
    let what = summary["harness"][0]["what"].as_str().unwrap();
    assert!(what.contains("the first event that differs") && what.contains("  first   "), "{what}");
    assert!(what.lines().last().unwrap().contains(" poll "), "{what}");
}

#[test]
fn a_failing_seed_that_does_not_repeat_in_a_fresh_process_has_no_replay_line() {
    let folder = scenarios(&[("s", "seeds = { panic = [1], panic-later = [3] }")]);
    let ended = sweep(&folder, "--seeds 5 --jobs 1 --json").end().expect(3);
    let summary = ended.summary();
    assert_eq!((&summary["failed"], &summary["nondeterministic"]), (&2.into(), &1.into()));
    let repeats: Vec<_> = summary["failures"].as_array().unwrap().iter().map(|failure| &failure["repeats"]).collect();
    assert_eq!(repeats, [true, false]);
    let what = summary["harness"][0]["what"].as_str().unwrap();
    assert!(what.starts_with("it does not repeat: in the sweep it failed with panic:"), "{what}");
    assert!(what.contains("in a fresh process it passed\nthe first event that differs"), "{what}");

    let screen = sweep(&folder, "--seeds 5 --jobs 1").end().expect(3).out;
    assert!(screen.contains("dst replay ./s.toml 1"), "{screen}");
    assert!(screen.contains("    it does not repeat in a fresh process"), "{screen}");
}

#[test]
fn what_differs_only_sometimes_is_said_to() {
    let folder = scenarios(&[("s", "seeds = { differ-once = [3] }")]);
    let summary = sweep(&folder, "--seeds 5 --verify --json --jobs 1").end().expect(3).summary();
    assert_eq!(summary["nondeterministic"], 1);
    let what = summary["harness"][0]["what"].as_str().unwrap();
    assert!(what.contains("it differs only sometimes"), "{what}");
}

#[test]
fn who_dies_twice_in_the_same_way_is_no_difference() {
    let folder = scenarios(&[("s", "seeds = { abort = [1] }")]);
    let summary = sweep(&folder, "--seeds 3 --verify --json").end().expect(1).summary();
    assert_eq!(summary["failures"][0]["signature"], "process:abort");
    assert_eq!(summary["nondeterministic"], 0);
}
