//! Each way in which a run can take its process with it.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::{Ended, dst, scenarios, sweep, sweep_with};

/// Sweeps seeds 0 to 9, one of which ends like this, and checks that it alone does, with one job and with several.
fn costs_one_seed(params: &str, flags: &str, signature: &str) -> Value {
    let (bad, good) = (scenarios(&[("s", params)]), scenarios(&[("s", "seeds = {}")]));
    let reference = sweep(&good, "--seeds 10 --json").end().expect(0).summary();
    assert_eq!(reference["passed"], 10);
    let run = |jobs| sweep(&bad, &format!("--seeds 10 --json --jobs {jobs} {flags}")).end().expect(1);
    let (one, several) = (run(1), run(3));
    let failures = |lines: Vec<Value>| lines.into_iter().filter(|line| line["type"] == "failure").collect::<Vec<_>>();
    // A loop may be interrupted at any of its lines, and in the middle of one that it prints.
    let without_place = |mut failure: Value| {
        let text = failure["explanation"].as_str().unwrap().to_owned();
        failure["explanation"] = text.split("it is at ").next().into();
        failure
    };
    let of = |ended: &Ended| failures(ended.json()).into_iter().map(without_place).collect::<Vec<_>>();
    assert_eq!(of(&one), of(&several));
    for ended in [one, several] {
        let summary = ended.summary();
        assert_eq!((&summary["runs"], &summary["passed"], &summary["failed"]), (&10.into(), &9.into(), &1.into()));
        let failure = &summary["failures"][0];
        assert_eq!(failure["signature"], signature, "{failure}");
        assert_eq!(failure["seed"], 3);
        assert_eq!(failure["replay"], "cargo dst replay ./s.toml 3");
        assert_eq!(summary["complete"], true);
        assert_eq!(summary["interrupted"], false);
        assert_eq!(summary["harness_failures"], 0);
        let ops = |summary: &Value| summary["dose"]["ops_ok"].as_u64().unwrap();
        assert_eq!(ops(&summary), ops(&reference) / 10 * 9, "the dose of the other nine");
    }
    let all = failures(sweep(&bad, &format!("--seeds 10 --json {flags}")).end().json());
    let failure = all.into_iter().next().unwrap();
    assert_eq!(failure["at_ns"], Value::Null, "nobody saw when");
    failure
}

#[test]
fn an_abort() {
    let failure = costs_one_seed("seeds = { abort = [3] }", "", "process:abort");
    // What the run said last is in the explanation, and nothing of any other run.
    let explanation = failure["explanation"].as_str().unwrap();
    assert!(explanation.ends_with("its last output:\n  about to misbehave with seed 3"), "{explanation}");
}

#[test]
fn an_overflow_of_the_stack() {
    costs_one_seed("seeds = { overflow = [3] }", "", "process:stack-overflow");
}

#[test]
fn more_memory_than_allowed() {
    costs_one_seed("seeds = { allocate = [3] }", "--memory 512MiB", "process:out-of-memory");
}

#[test]
fn an_exit() {
    let failure = costs_one_seed("seeds = { exit = [3] }", "", "process:exit-7");
    let text = failure["explanation"].as_str().unwrap();
    assert!(text.starts_with("client-0, in the task spawned at "), "{text}");
    assert!(text.contains(" called exit(7) at tools/examples/misbehaving.rs:"), "{text}");
}

#[test]
fn an_exit_with_success() {
    let failure = costs_one_seed("seeds = { succeed = [3] }", "", "process:exit-0");
    assert!(failure["explanation"].as_str().unwrap().contains(" called exit(0) at "), "{failure}");
}

#[test]
fn a_hang() {
    let failure = costs_one_seed("seeds = { hang = [3] }", "--timeout 5s", "process:hang");
    assert!(failure["explanation"].as_str().unwrap().contains("did not end within 5s"), "{failure}");
    names_the_place(&failure);
}

fn names_the_place(failure: &Value) {
    let text = failure["explanation"].as_str().unwrap();
    assert!(text.contains("client-0, in "), "{text}");
    assert!(text.contains("does not return to the simulator: it is at tools/examples/misbehaving.rs:"), "{text}");
}

#[test]
fn a_time_that_no_run_can_keep() {
    let folder = scenarios(&[("s", "seeds = {}\nwork = 3_000_000")]);
    let summary = sweep(&folder, "--seeds 5 --json --timeout 5ms").end().expect(1).summary();
    assert_eq!((&summary["failed"], &summary["failures"][0]["signature"]), (&5.into(), &"process:hang".into()));
}

#[test]
fn a_time_that_never_ends() {
    let folder = scenarios(&[("s", "seeds = {}")]);
    sweep(&folder, "--seeds 2 --json --verify --timeout 5000000h").end().expect(0);
    sweep(&folder, "--seeds 2 --json --timeout 18446744073709551615s").end().expect(2);
}

#[test]
fn a_flood_of_output() {
    let failure = costs_one_seed("seeds = { flood = [3] }", "--timeout 5s", "process:hang");
    assert!(failure["explanation"].as_str().unwrap().len() < 10_000, "{failure}");
}

#[test]
fn output_that_is_no_text() {
    let failure = costs_one_seed("seeds = { garbage = [3] }", "", "process:abort");
    assert!(failure["explanation"].as_str().unwrap().contains('\u{fffd}'), "{failure}");
    let folder = scenarios(&[("s", "seeds = { garbage = [3] }")]);
    sweep(&folder, "--seeds 4 --junit page.xml --markdown page.md").end().expect(1);
    let junit = std::fs::read_to_string(folder.path().join("page.xml")).unwrap();
    let is_allowed = |c: char| c == '\n' || c == '\t' || !c.is_control();
    assert!(junit.contains("process:abort") && junit.chars().all(is_allowed), "XML has no place for it: {junit:?}");
}

#[test]
fn a_destructor_that_blocks() {
    let failure = costs_one_seed("seeds = { block-in-drop = [3] }", "--timeout 5s", "process:hang");
    names_the_place(&failure);
}

#[test]
fn a_destructor_that_waits_for_the_lock_of_another_task() {
    let failure = costs_one_seed("seeds = { lock-in-drop = [3] }", "--timeout 5s", "process:hang");
    names_the_place(&failure);
}

#[test]
fn a_worker_that_is_killed_from_outside_again_and_again() {
    let folder = scenarios(&[("s", "seeds = { hang = [3] }")]);
    let mut running = sweep(&folder, "--seeds 10 --json --jobs 1 --timeout 1h");
    for _ in 0..2 {
        running.wait_for("about to misbehave with seed 3");
        for worker in &running.workers {
            let _ = kill(Pid::from_raw(*worker), Signal::SIGKILL);
        }
    }
    let summary = running.end().expect(1).summary();
    assert_eq!((&summary["runs"], &summary["passed"]), (&10.into(), &9.into()));
    assert_eq!(summary["failures"][0]["signature"], "process:signal-9");
    assert_eq!(summary["failures"][0]["seed"], 3);
}

#[test]
fn a_run_that_was_killed_from_outside_once_is_no_bug() {
    let folder = scenarios(&[("s", "seeds = { slow = [3] }")]);
    let mut running = sweep(&folder, "--seeds 10 --json --jobs 1");
    running.wait_for("about to misbehave with seed 3");
    let [worker] = running.workers.iter().copied().collect::<Vec<_>>()[..] else { panic!("one job has one worker") };
    kill(Pid::from_raw(worker), Signal::SIGKILL).unwrap();
    running.wait_for("about to misbehave with seed 3");
    let summary = running.end().expect(0).summary();
    assert_eq!((&summary["passed"], &summary["harness_failures"]), (&10.into(), &0.into()));
}

#[test]
fn memory_that_other_runs_took_is_no_bug_of_a_run() {
    let leaks = "seeds = { leak = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19] }";
    let folder = scenarios(&[("s", leaks)]);
    let summary = sweep(&folder, "--seeds 20 --json --jobs 1 --memory 512MiB").end().expect(0).summary();
    assert_eq!((&summary["passed"], &summary["nondeterministic"]), (&20.into(), &0.into()));
}

#[test]
fn a_death_may_be_declared() {
    let folder = scenarios(&[("s", "seeds = { abort = [1, 2], exit = [3] }")]);
    let file = folder.path().join("s.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text + "[expect]\nfails = [\"process:abort\"]\n").unwrap();
    for flags in ["", "--verify"] {
        let summary = sweep(&folder, &format!("--seeds 4 --json {flags}")).end().expect(1).summary();
        assert_eq!((&summary["passed"], &summary["dose"]["declared_failures"]), (&3.into(), &2.into()));
        assert_eq!(summary["failures"][0]["signature"], "process:exit-7");
        assert_eq!(summary["nondeterministic"], 0);
    }
}

#[test]
fn every_run_may_die() {
    let folder = scenarios(&[("s", "seeds = { abort = [0, 1, 2, 3, 4], exit = [5, 6], panic = [7] }")]);
    let summary = sweep(&folder, "--seeds 8 --json --jobs 2").end().expect(1).summary();
    assert_eq!((&summary["runs"], &summary["failed"]), (&8.into(), &8.into()));
    let found = summary["failures"].as_array().unwrap().iter();
    let found: Vec<_> = found.map(|failure| (failure["signature"].as_str().unwrap(), &failure["count"])).collect();
    assert_eq!(found[..2], [("process:abort", &5.into()), ("process:exit-7", &2.into())]);
    assert!(found[2].0.starts_with("panic:") && found.len() == 3, "{found:?}");
}

#[test]
fn after_enough_failures_nobody_waits_for_a_run_that_hangs() {
    let folder = scenarios(&[("s", "seeds = { abort = [0], hang = [1] }")]);
    let summary = sweep(&folder, "--seeds 8 --json --jobs 2 --fail-fast --timeout 1h").end().expect(1).summary();
    assert_eq!((&summary["runs"], &summary["failed"]), (&1.into(), &1.into()));
}

#[test]
fn what_a_run_prints_is_not_between_the_lines_of_a_replay() {
    let folder = scenarios(&[("s", "seeds = { print = [3] }")]);
    for line in ["replay s.toml 3 --json", "replay s.toml 3 --json --trace"] {
        let ended = dst(&folder, line).end().expect(0);
        assert_eq!(ended.json().last().unwrap()["verdict"], "pass");
        assert!(ended.err.iter().any(|line| line == "{\"type\":\"summary\",\"runs\":1000000}"), "{:?}", ended.err);
    }
}

#[test]
fn what_a_run_prints_is_no_answer() {
    let folder = scenarios(&[("s", "seeds = { print = [0, 3, 4] }")]);
    let ended = sweep(&folder, "--seeds 10 --json --jobs 2").end().expect(0);
    assert_eq!(ended.json().len(), 1);
    assert_eq!(ended.summary()["passed"], 10);
    assert_eq!(ended.err.iter().filter(|line| line.contains("1000000")).count(), 3, "{:?}", ended.err);
}

#[test]
fn without_a_worker_the_sweep_ends_as_the_harness_failing() {
    let folder = scenarios(&[("s", "seeds = {}")]);
    for (workers, why) in [("absent", "exit status: 4"), ("senseless", "117901063 bytes")] {
        let ended = sweep_with(&folder, "--seeds 1000000 --json --jobs 2", workers).end().expect(3);
        let summary = ended.summary();
        assert_eq!((&summary["runs"], &summary["harness_failures"]), (&0.into(), &1.into()), "{workers}");
        let what = summary["harness"][0]["what"].as_str().unwrap();
        assert!(what.contains("a worker process did not begin to work") && what.contains(why), "{what}");
    }
}
