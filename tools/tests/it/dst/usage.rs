//! What is said to those who type something wrong, and to those who ask.

use std::io::{self, Write};

use tools::{Console, Exit};

use super::{dst, system};

#[test]
fn help_teaches_by_example() {
    for (line, example) in [
        ("--help", "cargo dst sweep "),
        ("list --help", "cargo dst list --json | jq"),
        ("sweep --help", "cargo dst sweep scenarios/kv --seeds 1000"),
        ("replay --help", "--trace | less"),
        ("check --help", "cargo dst check --deny-warnings"),
        ("new --help", "cargo dst new scenario kv slow-leader"),
        ("new scenario --help", "cargo dst new scenario kv slow-leader"),
        ("merge --help", "cargo dst merge 1.json 2.json"),
        ("corpus --help", "cargo dst corpus run"),
        ("corpus add --help", "--planted rsm.executes-again"),
        ("corpus run --help", "cargo dst corpus run rsm.executes-again"),
        ("corpus prune --help", "cargo dst corpus prune --yes"),
    ] {
        let ended = dst(line).expect(Exit::Held);
        assert!(ended.out.contains("Examples:"), "{}", ended.out);
        assert!(ended.out.contains(example), "{}", ended.out);
        assert_eq!(ended.err, "");
    }
}

#[test]
fn what_is_no_command_is_bad_input() {
    for (line, says) in [
        ("", "Usage"),
        ("swep", "'sweep'"),
        ("sweep --sedes 7", "'--seeds'"),
        ("sweep --seeds x", "expected A..B or N"),
        ("sweep --seeds 5..5", "range has no seed"),
        ("sweep --jobs 0", "1..=1024"),
        ("sweep --for soon", "expected a duration"),
        ("sweep --max-failures 0", "--max-failures"),
        ("sweep --fail-fast --max-failures 2", "cannot be used with"),
        ("sweep --seeds 4 --shard 1/2", "expected slice:I/N"),
        ("sweep --seeds 4 --shard slice:3/2", "there is no part 3 of 2"),
        ("sweep --shard slice:1/2", "--seeds"),
        ("sweep --seeds 4 --for 1s --shard slice:1/2", "cannot be used with"),
        ("merge", "<FILE>..."),
        ("corpus", "Usage"),
        ("replay tests/scenarios/calm.toml minus", "invalid digit"),
        ("replay tests/scenarios/calm.toml 1 --kind fautl", "'fault'"),
        ("replay tests/scenarios/calm.toml 1 --force", "--freeze"),
        ("new scenario plain", "<NAME>"),
    ] {
        let ended = dst(line).expect(Exit::BadInput);
        assert!(ended.err.contains(says), "{line}: {}", ended.err);
        assert_eq!(ended.out, "");
    }
}

#[test]
fn files_that_are_not_there_are_bad_input() {
    for (line, says) in [
        ("sweep tests/nowhere", "no such scenario or folder: `tests/nowhere`"),
        ("sweep src", "no scenario in the folder `src`"),
        ("sweep src tests/it/dst", "no scenario in these folders"),
        ("sweep", "there is no folder `scenarios` here"),
        ("replay tests/nowhere.toml 1", "cannot read the scenario"),
        ("replay tests/scenarios 1", "`tests/scenarios` is a folder"),
        ("list tests/nowhere", "no such scenario or folder"),
        ("check tests/nowhere", "no such scenario or folder"),
    ] {
        let ended = dst(line).expect(Exit::BadInput);
        assert!(ended.err.contains(says), "{line}: {}", ended.err);
        assert_eq!(ended.out, "");
    }
}

#[test]
fn an_unknown_planted_bug_is_bad_input() {
    for line in ["sweep tests/scenarios", "replay tests/scenarios/calm.toml 1"] {
        let ended = dst(&format!("{line} --planted forgetful.stal")).expect(Exit::BadInput);
        assert!(ended.err.contains("unknown planted bug `forgetful.stal`"), "{}", ended.err);
        assert!(ended.err.contains("did you mean `forgetful.stale`?"), "{}", ended.err);
    }
    // Known, but not here.
    let ended = dst("sweep tests/scenarios/plain.toml --planted forgetful.stale").expect(Exit::BadInput);
    assert!(ended.err.contains("it is a bug of forgetful"), "{}", ended.err);
    let ended = dst("replay tests/scenarios/plain.toml 1 --planted forgetful.stale").expect(Exit::BadInput);
    assert!(ended.err.contains("`plain` has no planted bug `forgetful.stale`"), "{}", ended.err);
}

#[test]
fn all_that_is_wrong_with_scenarios_is_said_before_anything_runs() {
    let files = "tests/others/unknown-system.toml tests/others/unknown-target.toml";
    let ended = dst(&format!("sweep tests/scenarios {files} --seeds 1")).expect(Exit::BadInput);
    assert_eq!(ended.out, "");
    insta::assert_snapshot!(ended.err);
}

#[test]
fn a_panic_outside_of_runs_is_the_harness_failing() {
    let ended = dst("sweep tests/others/panics.toml --seeds 1").expect(Exit::HarnessFailed);
    assert!(ended.err.contains("harness error: a panic outside of any run"), "{}", ended.err);
}

/// Stdout after `| head` has gone, or on a full disk.
struct Fails(io::ErrorKind);

impl Write for Fails {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_closed_pipe_does_not_change_the_verdict_but_a_full_disk_does() {
    for (line, exit) in [
        ("list tests/scenarios", Exit::Held),
        ("sweep tests/scenarios/calm.toml --seeds 3", Exit::Held),
        ("sweep tests/scenarios/crash.toml --seeds 8 --json", Exit::BugFound),
        ("replay tests/scenarios/calm.toml 1 --trace", Exit::Held),
    ] {
        let run = |kind| {
            let console = Console::new(Fails(kind), io::sink());
            tools::run_from(std::iter::once("dst").chain(line.split_whitespace()), &system::all(), &console)
        };
        assert_eq!(run(io::ErrorKind::BrokenPipe), exit, "{line}");
        assert_eq!(run(io::ErrorKind::StorageFull), Exit::HarnessFailed, "{line}");
    }
}
