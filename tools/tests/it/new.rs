//! `dst new` for the systems of this workspace, each in a folder of its own.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn dst(folder: &Path, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dst")).current_dir(folder).args(line.split_whitespace()).output().unwrap()
}

/// What was printed, if it ended with that code.
#[track_caller]
fn ended(folder: &Path, line: &str, code: i32) -> String {
    let output = dst(folder, line);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(code), "{line}\n{out}\n{err}");
    out + &err
}

/// As the program says: what this one links would be in the catalogue of the system in [`super::dst`] too.
fn systems() -> Vec<String> {
    let listing: Value = serde_json::from_str(&ended(Path::new("."), "list --json", 0)).unwrap();
    let systems = listing["systems"].as_array().unwrap();
    assert!(!systems.is_empty());
    systems.iter().map(|system| system["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_new_scenario_is_right_and_runs_green_and_its_fault_happens() {
    for system in systems() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let path = format!("scenarios/{system}/first.toml");
        let said = ended(folder, &format!("new scenario {system} first"), 0);
        for next in ["check", "replay", "sweep"] {
            assert!(said.contains(&format!("cargo dst {next} {path}")), "{said}");
        }
        assert_eq!(ended(folder, &format!("check {path} --deny-warnings"), 0), "1 scenario: all right\n");
        let swept = ended(folder, &format!("sweep {path} --seeds 10 --json"), 0);
        let summary: Value = serde_json::from_str(swept.lines().last().unwrap()).unwrap();
        assert_eq!(summary["passed"], 10, "{swept}");
        assert!(summary["dose"]["crash"].as_u64().unwrap() >= 10, "{swept}");
    }
}

#[test]
fn the_ideas_in_its_comments_are_right_too() {
    for system in systems() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        ended(folder, &format!("new scenario {system} first"), 0);
        let named = format!("scenarios/{system}/first.toml");
        let path = folder.join(&named);
        let text = fs::read_to_string(&path).unwrap();
        let is_toml = |line: &str| line.strip_prefix('#').is_some_and(|rest| !rest.starts_with(' '));
        assert!(text.lines().filter(|line| is_toml(line)).count() > 8, "{text}");
        let all: String = text
            .lines()
            .map(|line| if is_toml(line) { &line[1..] } else { line })
            .flat_map(|line| [line, "\n"])
            .collect();
        fs::write(&path, all).unwrap();
        assert_eq!(ended(folder, &format!("check {named} --deny-warnings"), 0), "1 scenario: all right\n");
    }
}

#[test]
fn the_shipped_scenarios_have_no_warnings() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    assert!(ended(&root, "check --deny-warnings", 0).ends_with("scenarios: all right\n"));
}

#[test]
fn it_replaces_nothing_and_writes_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    ended(folder, "new scenario primary_backup first", 0);
    let path = folder.join("scenarios/primary_backup/first.toml");
    fs::write(&path, "mine").unwrap();
    for name in ["first", "first.toml"] {
        assert!(ended(folder, &format!("new scenario primary_backup {name}"), 2).contains("is there already"));
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    for name in ["../x", "a/b", ".hidden", ".toml", "x\\y"] {
        assert!(ended(folder, &format!("new scenario primary_backup {name}"), 2).contains("not a plain name"));
    }
    let said = ended(folder, "new scenario primary_backop x", 2);
    assert!(
        said.contains("unknown system `primary_backop`") && said.contains("did you mean `primary_backup`?"),
        "{said}"
    );
    let files = fs::read_dir(folder.join("scenarios/primary_backup")).unwrap().count();
    assert_eq!(files, 1, "nothing is left lying around");
}
