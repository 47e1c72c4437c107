//! Ctrl-C, SIGTERM and SIGHUP.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use super::{Sweep, launch, program, scenarios, sweep};

const ENDLESS: &str = "--seeds 1000 --jobs 1 --timeout 1h";

/// A sweep that hangs in seed 5.
fn hanging(others: &str, flags: &str) -> (tempfile::TempDir, Sweep) {
    let folder = scenarios(&[("s", &format!("seeds = {{ hang = [5], {others} }}"))]);
    let mut running = sweep(&folder, &format!("{ENDLESS} {flags}"));
    running.wait_for("about to misbehave with seed 5");
    (folder, running)
}

#[test]
fn an_interrupted_sweep_says_what_was_done() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let (_folder, running) = hanging("", "--json");
        running.signal(signal);
        let summary = running.end().expect(3).summary();
        assert_eq!((&summary["runs"], &summary["passed"]), (&5.into(), &5.into()));
        assert_eq!((&summary["interrupted"], &summary["complete"]), (&true.into(), &false.into()));
        assert_eq!(summary["harness_failures"], 0);
    }
}

#[test]
fn a_hangup_that_is_ignored_counts_for_nothing() {
    let folder = scenarios(&[("s", "seeds = { hang = [5] }")]);
    let mut nohup = Command::new("sh");
    nohup.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(program());
    let mut running = launch(nohup, &folder, &format!("sweep . {ENDLESS}"), "");
    running.wait_for("about to misbehave with seed 5");
    running.signal(Signal::SIGHUP);
    // Were it the second signal, it would kill.
    running.signal(Signal::SIGINT);
    running.end().expect(3);
}

#[test]
fn an_interrupted_sweep_is_no_failure_of_the_harness_to_a_reader() {
    let (folder, running) = hanging("", "--markdown page.md --junit page.xml");
    running.signal(Signal::SIGINT);
    let ended = running.end().expect(3);
    let verdict = "NO VERDICT: interrupted: 5 runs, 5 passed, 0 failed, 0 unknown, of 1000 asked for";
    assert!(ended.out.contains(verdict), "{}", ended.out);
    let page = std::fs::read_to_string(folder.path().join("page.md")).unwrap();
    assert!(page.starts_with("# Interrupted: no verdict\n\ninterrupted: 5 runs"), "{page}");
}

#[test]
fn a_bug_that_was_found_before_is_still_found() {
    let (_folder, running) = hanging("abort = [2]", "");
    running.signal(Signal::SIGINT);
    let ended = running.end().expect(1);
    assert!(ended.out.contains("process:abort"), "{}", ended.out);
    let verdict = "FAIL, 1 distinct bug: interrupted: 5 runs, 4 passed, 1 failed, 0 unknown, of";
    assert!(ended.out.contains(verdict), "{}", ended.out);
}

#[test]
fn the_second_signal_ends_it_at_once() {
    let (_folder, mut running) = hanging("", "");
    while running.child.try_wait().unwrap().is_none() {
        let _ = kill(running.pid(), Signal::SIGINT);
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(running.end().status.signal(), Some(Signal::SIGINT as i32));
}

#[test]
fn workers_die_with_their_parent() {
    let (_folder, running) = hanging("", "");
    running.signal(Signal::SIGKILL);
    // It returns when they are gone.
    assert_eq!(running.end().status.signal(), Some(Signal::SIGKILL as i32));
}
