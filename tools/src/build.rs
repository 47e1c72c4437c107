//! Which build this is: shards of a sweep are added up only if they come from the same one.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

/// What a commit or an executable is called that could not be found out.
const UNKNOWN: &str = "unknown";

/// Two programs with the same one do the same with the same seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// The git commit of this crate; with `-dirty` if there were changes that are not in it, `unknown` without git.
    pub commit: String,
    /// XXH3-128 of the file that runs.
    pub executable: String,
}

impl Build {
    /// The program that is running.
    pub fn this() -> Build {
        static EXECUTABLE: LazyLock<String> = LazyLock::new(|| executable().unwrap_or_else(|_| UNKNOWN.to_owned()));
        Build { commit: env!("DST_COMMIT").to_owned(), executable: EXECUTABLE.clone() }
    }

    /// Whether the commit alone identifies the build.
    fn is_committed(&self) -> bool {
        self.commit != UNKNOWN && !self.commit.ends_with("-dirty")
    }

    /// Why the other is not the same build, or cannot be told to be.
    pub fn difference(&self, other: &Build) -> Option<String> {
        if self.commit != other.commit {
            return Some(format!("expected commit {}, found {}", self.commit, other.commit));
        }
        if self.is_committed() {
            return None;
        }
        if self.executable == UNKNOWN || other.executable == UNKNOWN {
            return Some(format!("commit {} does not say what was built, and the executable is unknown", self.commit));
        }
        (self.executable != other.executable).then(|| {
            let Build { commit, executable } = self;
            format!("at commit {commit}, expected the executable {executable}, found {}", other.executable)
        })
    }
}

fn executable() -> io::Result<String> {
    // The path may lead to another file by now, after a new build; this leads to the one that runs.
    let running = PathBuf::from("/proc/self/exe");
    let mut file = File::open(if running.exists() { running } else { std::env::current_exe()? })?;
    let mut hasher = Xxh3::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(format!("{:032x}", hasher.digest128())),
            read => hasher.update(&buffer[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(commit: &str, executable: &str) -> Build {
        Build { commit: commit.to_owned(), executable: executable.to_owned() }
    }

    #[test]
    fn a_clean_commit_is_enough() {
        assert_eq!(build("c1", "e1").difference(&build("c1", "e2")), None);
        assert_eq!(build("c1", UNKNOWN).difference(&build("c1", "e2")), None);
        assert!(build("c1", "e1").difference(&build("c2", "e1")).unwrap().contains("expected commit c1, found c2"));
    }

    #[test]
    fn without_one_the_executables_must_be_the_same() {
        for commit in ["c1-dirty", UNKNOWN] {
            assert_eq!(build(commit, "e1").difference(&build(commit, "e1")), None);
            assert!(build(commit, "e1").difference(&build(commit, "e2")).unwrap().contains("executable e1, found e2"));
            assert!(build(commit, UNKNOWN).difference(&build(commit, UNKNOWN)).is_some());
        }
        assert!(build("c1", "e1").difference(&build("c1-dirty", "e1")).is_some());
    }

    #[test]
    fn the_running_program_has_a_hash() {
        let build = Build::this();
        assert_eq!(build.executable.len(), 32, "{build:?}");
        assert_eq!(build, Build::this());
    }
}
