//! The `dst` binary as a process: its exit codes and its colours.

use std::process::{Command, Output, Stdio};

fn dst(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dst")).args(args).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn it_lists_the_systems_of_this_workspace() {
    let output = dst(&["list", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let listing: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(!listing["systems"].as_array().unwrap().is_empty());
}

#[test]
fn bad_input_is_2_and_colourless_in_a_pipe() {
    let output = dst(&["replay", "nowhere.toml", "1"]);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("nowhere.toml"), "{error}");
    assert!(!error.contains('\x1b'), "{error}");
}

#[test]
fn a_worker_that_no_sweep_started_is_bad_input() {
    let output = dst(&["worker"]);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("is started by `dst sweep`"), "{error}");
    assert!(!String::from_utf8(dst(&["--help"]).stdout).unwrap().contains("worker"));
}
