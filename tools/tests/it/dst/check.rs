//! `dst check`.

use tools::Exit;

use super::dst;

#[test]
fn what_is_right_is_one_line() {
    let ended = dst("check tests/scenarios").expect(Exit::Held);
    assert_eq!((ended.out.as_str(), ended.err.as_str()), ("3 scenarios: all right\n", ""));
    let ended = dst("check tests/scenarios/calm.toml --json").expect(Exit::Held);
    assert_eq!(ended.json().len(), 1);
}

#[test]
fn all_errors_and_warnings_of_all_files_are_shown() {
    let files = "tests/others/broken.toml tests/others/in-vain.toml tests/others/unknown-system.toml tests/scenarios";
    let ended = dst(&format!("check {files}")).expect(Exit::BadInput);
    assert_eq!(ended.err, "");
    insta::assert_snapshot!(ended.out);
}

#[test]
fn a_plan_shows_what_a_seed_will_do() {
    let ended = dst("check --plan tests/others/planned.toml --seed 4").expect(Exit::Held);
    insta::assert_snapshot!(ended.out);
    let line = dst("check --plan tests/others/planned.toml --seed 4 --json").expect(Exit::Held).last();
    // The file says neither.
    assert_eq!(line["workloads"], serde_json::json!([{ "name": "mixed", "phase": "main" }]));
    assert_eq!(line["quiet_ns"], 15_000_000_000u64);
    assert_eq!(
        (&line["type"], &line["seed"], &line["main_ns"]),
        (&"plan".into(), &4.into(), &2_000_000_000_u64.into())
    );
    let timeline = line["timeline"].as_array().unwrap();
    assert_eq!(
        timeline.len(),
        ended.out.lines().filter(|line| line.contains("crash ") || line.contains("pause ")).count()
    );
    assert!(timeline.iter().any(|planned| planned["at_ns"].is_null() && planned["waits_for"].is_string()));
    // Another seed, another plan; and what it says is what happens.
    let other = dst("check --plan tests/others/planned.toml --seed 5 --json").expect(Exit::Held).last();
    assert_ne!(other["timeline"], line["timeline"]);
    let run = dst("replay tests/others/planned.toml 4 --json").expect(Exit::Held).last();
    let happened = run["faults"].as_array().unwrap();
    for planned in timeline.iter().filter(|planned| planned["rule"] == "stalls") {
        let at = planned["at_ns"].as_u64().unwrap();
        let stamp = format!("{}.{:09}s stalls: ", at / 1_000_000_000, at % 1_000_000_000);
        assert!(happened.iter().any(|line| line.as_str().unwrap().starts_with(&stamp)), "{stamp} {happened:?}");
    }
}

#[test]
fn a_plan_is_about_one_scenario() {
    let ended = dst("check --plan tests/scenarios").expect(Exit::BadInput);
    assert!(ended.err.contains("--plan is about one scenario"), "{}", ended.err);
    dst("check tests/scenarios --seed 3").expect(Exit::BadInput);
}

#[test]
fn warnings_fail_only_when_they_are_denied() {
    let file = "tests/others/in-vain.toml";
    let ended = dst(&format!("check {file}")).expect(Exit::Held);
    assert!(ended.out.ends_with("1 scenario: 2 warnings in 1\n"), "{}", ended.out);
    let ended = dst(&format!("check {file} --deny-warnings")).expect(Exit::BadInput);
    assert!(ended.err.contains("--deny-warnings"), "{}", ended.err);
    dst("check tests/scenarios --deny-warnings").expect(Exit::Held);
    // Nobody else minds, or mentions them.
    let ended = dst(&format!("replay {file} 1")).expect(Exit::Held);
    assert!(!ended.out.contains("warning") && !ended.err.contains("warning"), "{}{}", ended.out, ended.err);
}

#[test]
fn as_json_each_is_an_object_and_the_last_sums_up() {
    let ended = dst("check tests/others/broken.toml tests/others/in-vain.toml --json").expect(Exit::BadInput);
    let lines = ended.json();
    assert_eq!(lines.len(), 5 + 2 + 1);
    let first = &lines[0];
    assert_eq!(first["type"], "diagnostic");
    assert_eq!((&first["path"], &first["scenario"]), (&"tests/others/broken.toml".into(), &first["path"]));
    assert_eq!((first["line"].as_u64(), first["column"].as_u64()), (Some(7), Some(1)));
    assert_eq!((first["level"].as_str(), first["title"].as_str()), (Some("error"), Some("unknown key `mian`")));
    assert!(first["label"].is_string() && first["help"].as_str().unwrap().contains("did you mean `main`?"));
    assert_eq!(lines[6]["level"], "warning");
    let expected = serde_json::json!({
        "type": "check", "scenarios": 2, "errors": 5, "with_errors": 1, "warnings": 2, "with_warnings": 1,
    });
    assert_eq!(ended.last(), expected);
}

#[test]
fn what_cannot_run_is_not_right() {
    let folder = tempfile::tempdir().unwrap();
    let text = |clients: &str| format!("[system]\nname = \"forgetful\"\nclients = {clients}\n\n[run]\nmain = \"1s\"\n");
    for clients in ["70000", "100000000", "100000000000"] {
        let file = folder.path().join("many.toml");
        std::fs::write(&file, text(clients)).unwrap();
        let ended = dst(&format!("check {}", file.display())).expect(Exit::BadInput);
        assert!(
            ended.out.contains("this makes a cluster of ") && ended.out.contains("the most are 65534"),
            "{}",
            ended.out
        );
    }
}

#[test]
fn a_pipe_in_a_folder_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("calm.toml"), include_str!("../../scenarios/calm.toml")).unwrap();
    nix::unistd::mkfifo(&folder.path().join("pipe.toml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let ended = dst(&format!("check {}", folder.path().display())).expect(Exit::Held);
    assert_eq!(ended.out, "1 scenario: all right\n");
}

#[test]
fn a_time_has_a_unit_that_is_known() {
    let ended = dst("sweep tests/scenarios/calm.toml --for 1M").expect(Exit::BadInput);
    assert!(ended.err.contains("`M` is none of the units ns, us, ms, s, m, h"), "{}", ended.err);
}
