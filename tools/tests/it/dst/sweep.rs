//! `dst sweep`

use std::collections::BTreeSet;

use serde_json::Value;
use sim::DynSystem;
use tools::Exit;

use super::system::Misdeclared;
use super::{Ended, dst, dst_of};

/// The sweep without what depends on the machine.
fn redacted(ended: &Ended) -> String {
    let lines = ended.out.lines().map(|line| if line.contains(" runs/s, ") { "[throughput]" } else { line });
    lines.collect::<Vec<_>>().join("\n")
}

/// The summary without what depends on the machine.
pub fn lasting(ended: &Ended) -> Value {
    let mut summary = ended.last();
    for field in ["wall_seconds", "cpu_seconds", "jobs"] {
        assert!(summary.as_object_mut().unwrap().remove(field).is_some());
    }
    for row in summary["scenarios"].as_array_mut().unwrap() {
        assert!(row.as_object_mut().unwrap().remove("run_seconds").is_some());
    }
    summary
}

#[test]
fn the_screen_says_what_broke_and_how_to_replay_it() {
    let ended = dst("sweep tests/scenarios --seeds 20").expect(Exit::BugFound);
    insta::assert_snapshot!(redacted(&ended));
}

#[test]
fn when_all_holds_the_exit_code_says_so() {
    let ended = dst("sweep tests/scenarios/calm.toml --seeds 5 --verify").expect(Exit::Held);
    assert!(ended.out.ends_with("5 runs, 5 passed, 0 failed, 0 unknown\n"), "{}", ended.out);
}

#[test]
fn the_replay_line_of_a_failure_shows_it() {
    let ended = dst("sweep tests/scenarios/crash.toml --seeds 20 --json").expect(Exit::BugFound);
    let failure = &ended.last()["failures"][0];
    let replay = failure["replay"].as_str().unwrap().strip_prefix("cargo dst ").unwrap();
    let run = dst(&format!("{replay} --json")).expect(Exit::BugFound).last();
    for field in ["signature", "seed", "scenario", "at_ns", "explanation"] {
        assert_eq!(run[field], failure[field], "{field}");
    }
}

#[test]
fn the_summary_keeps_its_contract() {
    let ended = dst("sweep tests/scenarios --seeds 20 --json").expect(Exit::BugFound);
    let lines = ended.json();
    let summary = lines.last().unwrap();
    assert_eq!(summary["type"], "summary");
    assert_eq!(summary["runs"], 60);
    assert_eq!(summary["complete"], true);
    let count = |field: &str| summary[field].as_u64().unwrap();
    assert_eq!(count("passed") + count("failed") + count("unknown"), 60);
    assert!(summary["virtual_seconds"].as_f64().unwrap() > 60.0);
    assert!(summary["wall_seconds"].as_f64().unwrap() > 0.0);
    assert!(summary["dose"]["crash"].as_u64().unwrap() > 0);
    assert_eq!(summary["sometimes"]["forgetful.has-value"], 60);
    assert_eq!(summary["never"][0]["name"], "forgetful.is-negative");
    assert_eq!(summary["scenarios"].as_array().unwrap().len(), 3);
    assert_eq!(summary["scenarios"][0]["hash"].as_str().unwrap().len(), 32);
    let failure = &summary["failures"][0];
    assert_eq!(failure["signature"], "linearizable");
    assert_eq!(failure["scenario"], "tests/scenarios/crash.toml");
    assert_eq!(failure["count"], count("failed"));
    assert!(failure["seed"].is_u64() && failure["at_ns"].is_u64());
    // Each failing run has a line of its own, in order, and the best example is the cheapest of them.
    let failures = &lines[..lines.len() - 1];
    assert_eq!(failures.len() as u64, count("failed"));
    assert!(failures.iter().all(|line| line["type"] == "failure"));
    assert!(failures.is_sorted_by_key(|line| line["seed"].as_u64()));
    let cheapest = failures.iter().min_by_key(|line| line["events"].as_u64()).unwrap();
    assert_eq!(cheapest["seed"], failure["seed"]);
}

#[test]
fn the_summary_has_the_metrics_of_each_scenario_and_of_each_system() {
    let summary = dst("sweep tests/scenarios --seeds 20 --json").expect(Exit::BugFound).last();
    let row = |name: &str| {
        let is_it = |row: &&Value| row["path"].as_str().unwrap().ends_with(name);
        summary["scenarios"].as_array().unwrap().iter().find(is_it).unwrap()["metrics"].clone()
    };
    let (crash, calm) = (row("crash.toml"), row("calm.toml"));
    let times = &crash["recovery"]["crash"]["time_ns"];
    let at = |percentile: &str| times[percentile].as_u64().unwrap();
    // Down for 200 milliseconds; then the next write, of which there is one each 50 milliseconds, and half of all are lost
    // for 20 milliseconds more.
    assert!(
        (200_000_000..280_000_000).contains(&at("p50")) && at("p50") <= at("p99") && at("p99") <= at("max"),
        "{crash}"
    );
    assert_eq!(summary["dose"]["crash"], at("count") + crash["recovery"]["crash"]["unrecovered"].as_u64().unwrap());
    assert_eq!(calm["recovery"], serde_json::json!({}));
    // One server has all the work, and nobody says when a write is visible.
    assert_eq!(calm["balance"]["max_over_mean"]["max"], 1.0);
    assert_eq!((&calm["balance"]["variation"]["count"], &calm["consistency"]), (&20.into(), &Value::Null));
    let system = &summary["systems"]["forgetful"]["metrics"];
    assert_eq!((&system["recovery"], &system["balance"]["max_over_mean"]["count"]), (&crash["recovery"], &40.into()));
    // Only who is to be added up has whole histograms.
    let has = |summary: &Value| summary["scenarios"][0].get("histograms").is_some();
    let shard = dst("sweep tests/scenarios --seeds 20 --shard slice:1/2 --json").expect(Exit::BugFound).last();
    assert!(has(&shard) && !has(&summary));
}

#[test]
fn the_result_is_the_same_with_any_number_of_jobs() {
    for flags in ["--seeds 20", "--seeds 20 --max-failures 3", "--seeds 20 --planted forgetful.stale --fail-fast"] {
        let sweep = |jobs| dst(&format!("sweep tests/scenarios {flags} --jobs {jobs} --json")).expect(Exit::BugFound);
        let (one, four) = (sweep(1), sweep(4));
        assert_eq!(lasting(&one), lasting(&four), "{flags}");
        // The digests are in these.
        let failures = |ended: &Ended| ended.json().into_iter().filter(|line| line["type"] == "failure").collect();
        let (one, four): (Vec<Value>, Vec<Value>) = (failures(&one), failures(&four));
        assert!(!one.is_empty() && one[0]["digest"].is_string());
        assert_eq!(one, four, "{flags}");
    }
}

#[test]
fn it_stops_after_enough_failures() {
    for (flag, failures) in [("--fail-fast", 1), ("--max-failures 3", 3)] {
        let ended = dst(&format!("sweep tests/scenarios/crash.toml --seeds 1000 --json {flag}")).expect(Exit::BugFound);
        let summary = ended.last();
        assert_eq!(summary["failed"], failures);
        assert_eq!(summary["complete"], false);
        assert!(summary["runs"].as_u64().unwrap() < 100);
    }
}

#[test]
fn a_range_of_seeds_is_that_range() {
    let ended = dst("sweep tests/others/vacuous.toml --seeds 40..43 --json").expect(Exit::BugFound);
    let seeds: Vec<_> = ended.json().iter().filter_map(|line| line["seed"].as_u64()).collect();
    assert_eq!(seeds, [40, 41, 42]);
}

#[test]
fn a_run_in_which_nothing_happened_is_a_failure() {
    let ended = dst("sweep tests/others/vacuous.toml --seeds 2 --json").expect(Exit::BugFound);
    assert!(ended.last()["failures"][0]["signature"].as_str().unwrap().starts_with("vacuous:"));
}

#[test]
fn time_limits_a_sweep_after_every_scenario_ran_once() {
    let ended = dst("sweep tests/scenarios --for 0s --json").expect(Exit::Held);
    assert_eq!(ended.last()["runs"], 3);
    let rows = ended.last()["scenarios"].as_array().unwrap().clone();
    assert!(rows.iter().all(|row| row["runs"] == 1));
    let ended = dst("sweep tests/scenarios/calm.toml --for 300ms --json").expect(Exit::Held);
    assert!(ended.last()["runs"].as_u64().unwrap() > 1);
}

#[test]
fn an_expectation_on_the_sweep_is_judged_when_the_sweep_is_complete() {
    let ended = dst("sweep tests/others/unmet.toml --seeds 3 --json").expect(Exit::BugFound);
    let failure = &ended.last()["failures"][0];
    assert_eq!(failure["signature"], "dose:partition");
    assert_eq!(failure["seed"], Value::Null);
    assert_eq!(failure["replay"], "cargo dst sweep tests/others/unmet.toml --seeds 0..3");
    assert_eq!(ended.last()["failed"], 0);
    // Nor does it count beside runs that failed.
    let ended = dst("sweep tests/scenarios/crash.toml --seeds 1 --planted forgetful.panics").expect(Exit::BugFound);
    assert!(
        ended.out.contains("1 distinct bug\n") && ended.out.contains("crash expected at least 1 times, found 0"),
        "{}",
        ended.out
    );
    // It is only said when it is not.
    for limited in ["--for 0s", "--seeds 1000000 --for 0s"] {
        let ended = dst(&format!("sweep tests/others/unmet.toml {limited}")).expect(Exit::Held);
        assert!(ended.out.contains("partition expected at least 7 times, found 0"), "{}", ended.out);
    }
}

#[test]
fn what_happens_too_often_fails_a_sweep_that_is_not_complete_too() {
    for limited in ["--seeds 3", "--seeds 1000000 --for 0s"] {
        let ended = dst(&format!("sweep tests/others/too-often.toml {limited} --json")).expect(Exit::BugFound);
        let failure = &ended.last()["failures"][0];
        assert_eq!(failure["signature"], "dose:ops_ok");
        let said = failure["explanation"].as_str().unwrap();
        assert!(said.starts_with("expected `ops_ok` at most 2 times over all seeds, found "), "{said}");
    }
}

#[test]
fn a_planted_bug_is_found_by_the_check_that_it_breaks() {
    let ended = dst("sweep tests/scenarios/calm.toml --seeds 20 --planted forgetful.stale --json");
    let summary = ended.expect(Exit::BugFound).last();
    let search = &summary["planted"][0];
    assert_eq!(search["found"], true);
    assert_eq!(search["after_seeds"].as_u64().unwrap(), search["first"]["seed"].as_u64().unwrap() + 1);
    let replay = search["first"]["replay"].as_str().unwrap();
    assert!(replay.ends_with(" --planted forgetful.stale"), "{replay}");
    dst(replay.strip_prefix("cargo dst ").unwrap()).expect(Exit::BugFound);
}

#[test]
fn a_planted_bug_is_found_by_a_failure_that_the_scenario_declares() {
    let flags = "tests/others/declared.toml --seeds 20 --planted forgetful.stale";
    let ended = dst(&format!("sweep {flags}")).expect(Exit::Held);
    assert!(ended.out.contains("FOUND after"), "{}", ended.out);
    assert!(ended.out.contains("failed as declared: linearizable"), "{}", ended.out);
    let summary = dst(&format!("sweep {flags} --json")).expect(Exit::Held).last();
    assert_eq!((&summary["passed"], &summary["planted"][0]["found"]), (&20.into(), &true.into()));
    let replay = summary["planted"][0]["first"]["replay"].as_str().unwrap();
    let ended = dst(replay.strip_prefix("cargo dst ").unwrap()).expect(Exit::Held);
    assert!(ended.out.contains("PASS: as declared, it failed with linearizable at "), "{}", ended.out);
    assert!(ended.out.contains("not linearizable from"), "{}", ended.out);
}

#[test]
fn a_sweep_without_a_declared_failure_says_so() {
    let ended = dst("sweep tests/others/declared.toml --seeds 3").expect(Exit::BugFound);
    assert!(
        ended.out.contains("the scenario declares that it fails with linearizable, and no run did"),
        "{}",
        ended.out
    );
}

#[test]
fn a_planted_bug_that_another_check_reports_is_not_found() {
    let flags = "--planted forgetful.panics --planted forgetful.harmless --planted forgetful.harmless";
    let ended = dst(&format!("sweep tests/scenarios --seeds 2 {flags}")).expect(Exit::BugFound);
    assert!(ended.err.contains("1 scenario left out"), "{}", ended.err);
    assert!(ended.out.contains("forgetful.panics    NOT FOUND as itself, only panic:"), "{}", ended.out);
    let ended = dst("sweep tests/scenarios/calm.toml --seeds 2 --planted forgetful.harmless").expect(Exit::Held);
    assert!(ended.out.contains("forgetful.harmless  NOT FOUND: no run failed"), "{}", ended.out);
}

#[test]
fn a_sweep_expects_that_planted_bugs_are_found() {
    let sweep = |flags: &str| dst(&format!("sweep tests/scenarios/calm.toml --seeds 20 --json {flags}"));
    let found = sweep("--planted forgetful.stale --expect-found").expect(Exit::Held).last();
    assert_eq!((&found["planted"][0]["found"], &found["failed"]), (&true.into(), &1.into()));
    let runs = |summary: &serde_json::Value| summary["runs"].as_u64().unwrap();
    assert!(runs(&found) < 20, "it ends when the bug is found");
    let harmless = sweep("--planted forgetful.harmless --expect-found").expect(Exit::BugFound).last();
    assert_eq!((runs(&harmless), &harmless["failed"]), (20, &0.into()), "though no run failed");
    sweep("--planted forgetful.panics --expect-found").expect(Exit::BugFound);
    sweep("--expect-found").expect(Exit::BadInput);
}

#[test]
fn planted_bugs_whose_declaration_is_wrong_are_refused() {
    let systems: [Box<dyn DynSystem>; 1] = [Box::new(Misdeclared)];
    let sweep = |bug: &str| dst_of(&systems, &format!("sweep tests/scenarios/calm.toml --seeds 2 --planted {bug}"));
    let nowhere = sweep("forgetful.nowhere").expect(Exit::BadInput);
    assert!(nowhere.err.contains("is declared, but no line has planted!(\"forgetful.nowhere\")"), "{}", nowhere.err);
    let stale = sweep("forgetful.stale").expect(Exit::BadInput);
    assert!(stale.err.contains("breaks `linearisable`, but the system has no check"), "{}", stale.err);
}

#[test]
fn what_depends_on_more_than_the_seed_is_the_harness_failing() {
    let ended = dst("sweep tests/others/leaky.toml --seeds 9 --verify").expect(Exit::HarnessFailed);
    assert!(ended.out.contains("9 seeds ran differently the second time"), "{}", ended.out);
    assert!(ended.out.contains("cargo dst replay tests/others/leaky.toml 0\n"), "{}", ended.out);
    assert!(ended.out.contains("the first event that differs is the one after "), "{}", ended.out);
    let ended = dst("sweep tests/others/leaky.toml --seeds 9 --verify --json").expect(Exit::HarnessFailed);
    assert_eq!(ended.last()["nondeterministic"], 9);
    assert_eq!(ended.last()["harness"].as_array().unwrap().len(), 5);
    dst("sweep tests/others/leaky.toml --seeds 2").expect(Exit::Held);
}

#[test]
fn a_seed_that_draws_an_error_ends_the_sweep_there() {
    let sweep = |jobs| {
        let ended = dst(&format!("sweep tests/others/seldom-wrong.toml --seeds 100 --jobs {jobs} --json"));
        ended.expect(Exit::BadInput)
    };
    let (one, four) = (sweep(1), sweep(4));
    assert!(one.err.contains("unknown key `writes`") || one.err.contains("unknown field `writes`"), "{}", one.err);
    assert_eq!(lasting(&one), lasting(&four));
    assert_eq!(one.err, four.err);
    let seed = one.last()["runs"].as_u64().unwrap();
    assert_eq!(one.last()["bad_scenario"]["seed"], seed);
    assert!(one.last()["bad_scenario"]["what"].as_str().unwrap().contains("`writes`"));
    // Nobody may take it for a pass.
    let ended = dst("sweep tests/others/seldom-wrong.toml --seeds 100").expect(Exit::BadInput);
    assert!(ended.out.contains(&format!("BAD SCENARIO: {seed} runs, ")), "{}", ended.out);
    assert!(one.err.contains(&format!("with seed {seed} the scenario is invalid")), "{}", one.err);
    dst(&format!("replay tests/others/seldom-wrong.toml {seed}")).expect(Exit::BadInput);
}

#[test]
fn a_scenario_that_is_named_twice_runs_once() {
    let names = "tests/scenarios ./tests/scenarios/calm.toml tests/scenarios/calm.toml";
    let ended = dst(&format!("sweep {names} --seeds 1 --json")).expect(Exit::Held);
    let rows = ended.last()["scenarios"].as_array().unwrap().clone();
    let paths: BTreeSet<_> = rows.iter().map(|row| row["path"].as_str().unwrap().to_owned()).collect();
    assert_eq!((rows.len(), paths.len()), (3, 3));
}

#[test]
fn what_only_worker_processes_can_do_is_not_ignored_without_them() {
    for flag in ["--timeout 5s", "--memory 1GiB", "--memory none"] {
        let ended = dst(&format!("sweep tests/scenarios --seeds 1 {flag}")).expect(Exit::BadInput);
        assert!(ended.err.contains("have no --timeout and no --memory"), "{}", ended.err);
    }
}
