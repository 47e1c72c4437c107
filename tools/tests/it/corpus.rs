//! The corpus of this repository holds: every entry does what it is kept for. That every planted bug is found is shown by the
//! tests of its system.

use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn every_entry_of_the_repository_holds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_dst"))
        .current_dir(root)
        .args(["corpus", "run", "seeds", "--json"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let (summary, entries) = lines.split_last().unwrap();
    assert_eq!(summary["type"], "corpus");
    assert!(entries.len() >= 9, "{}", entries.len());
    for entry in entries.iter().filter(|entry| entry["status"] == "drifted") {
        println!("drifted: {entry}");
    }
}

/// The examples of the format are entries of this repository: they may have drifted, but they must hold.
#[test]
fn the_examples_of_the_format_hold() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let reference = fs::read_to_string(root.join("seeds/README.md")).unwrap();
    let examples = reference.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let folder = tempfile::tempdir().unwrap();
    for (i, example) in examples.enumerate() {
        fs::write(folder.path().join(format!("{i}.toml")), example).unwrap();
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let mut command = Command::new(env!("CARGO_BIN_EXE_dst"));
    let output = command.current_dir(root).args(["corpus", "run"]).arg(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}{}", String::from_utf8_lossy(&output.stdout), reference);
}
