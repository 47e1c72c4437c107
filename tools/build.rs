//! Records which commit the program is built from, so that the shards of a sweep can be told to be of one build.
//!
//! Without git, or outside of a repository, the commit is `unknown`; `-dirty` is appended if what the program is built from
//! is not what was committed. Scenario files do not count: each has a hash of its own in every summary.

use std::path::Path;
use std::process::Command;

/// What goes into the program, from this folder.
const SOURCES: [&str; 10] = [
    "../Cargo.toml",
    "../Cargo.lock",
    "../.cargo",
    "../sim/Cargo.toml",
    "../sim/src",
    "../systems/Cargo.toml",
    "../systems/src",
    "Cargo.toml",
    "build.rs",
    "src",
];

fn main() {
    let commit = git(&["rev-parse", "HEAD"]);
    let changed = git(&[&["status", "--porcelain", "--"][..], &SOURCES].concat());
    let commit = match (commit, changed) {
        (Some(commit), Some(changed)) if changed.is_empty() => commit,
        (Some(commit), _) => format!("{commit}-dirty"),
        (None, _) => "unknown".to_owned(),
    };
    println!("cargo::rustc-env=DST_COMMIT={commit}");
    // The log is written to by everything that moves HEAD; where there is none, HEAD itself is the best there is. The index
    // is not asked: what is staged and what is not makes no difference here.
    let log = [git(&["rev-parse", "--git-path", "logs/HEAD"]), git(&["rev-parse", "--git-path", "HEAD"])];
    for path in log.iter().flatten().map(String::as_str).chain(SOURCES).filter(|path| Path::new(path).exists()) {
        println!("cargo::rerun-if-changed={path}");
    }
}

/// What git prints, if there is one and it succeeds.
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
