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

/// What it is made from is an example of this crate, which is built with the tests.
fn first_lock(line: &str) -> (Option<i32>, String) {
    let program = Path::new(env!("CARGO_BIN_EXE_dst")).with_file_name("examples/first_lock");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/first_lock");
    let output = Command::new(program).current_dir(folder).args(line.split(' ')).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_system_of_a_new_crate_holds_and_its_known_bug_is_found() {
    assert_eq!(first_lock("check --deny-warnings scenarios"), (Some(0), "2 scenarios: all right\n".to_owned()));
    let (code, out) = first_lock("sweep --seeds 50");
    assert_eq!(code, Some(0), "{out}");
    let (code, out) = first_lock("sweep --seeds 20 --planted first_lock.token-in-memory");
    assert!(code == Some(1) && out.contains("first_lock.token-in-memory  FOUND after 1 seed"), "{out}");
}

/// With the lock file of this workspace, so that it needs no network.
#[test]
fn a_new_crate_compiles() {
    let folder = tempfile::tempdir().unwrap();
    let said = ended(folder.path(), "new system my_lock", 0);
    let crate_folder = folder.path().join("my_lock");
    assert!(said.contains("wrote my_lock") && said.contains("--planted my_lock.token-in-memory"), "{said}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::copy(root.join("Cargo.lock"), crate_folder.join("Cargo.lock")).unwrap();
    let target = Path::new(env!("CARGO_BIN_EXE_dst")).ancestors().nth(2).unwrap();
    let checked = Command::new(env!("CARGO"))
        .args(["check", "--offline", "--quiet"])
        .current_dir(&crate_folder)
        .env("CARGO_TARGET_DIR", target)
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    assert!(crate_folder.join("scenarios/my_lock/swarm.toml").exists());
    let text = fs::read_to_string(crate_folder.join("src/main.rs")).unwrap();
    assert!(text.contains("struct MyLock;") && !text.contains("first_lock") && !text.contains("FirstLock"));
}

#[test]
fn a_new_system_replaces_nothing_and_has_a_name_of_a_crate() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("there")).unwrap();
    assert!(ended(folder, "new system there", 2).contains("`there` is there already"));
    for name in ["My", "self", "a-b", "../x"] {
        assert!(ended(folder, &format!("new system {name}"), 2).contains("cannot be the name of a system"));
    }
    let said = ended(folder, "new system lock --source .", 2);
    assert!(said.contains("the source of the harness is not where this program was built"), "{said}");
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1, "nothing half-written");
    ended(folder, "new system lock --into deep/er", 0);
    assert!(folder.join("deep/er/scenarios/lock/swarm.toml").exists());
}
