//! The command line: commands, flags and help.

pub mod corpus;

use std::num::NonZeroU64;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser;
use clap::{ArgGroup, Args, Parser, Subcommand};
use sim::Time;
use sim::trace::record::Kind;

use crate::sweep::shard::Shard;

/// Deterministic simulation testing: one seed is one execution.
#[derive(Debug, Parser)]
#[command(name = "dst", bin_name = "cargo dst", version, max_term_width = 110, after_help = EXAMPLES)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List systems, scenarios and faults
    List(ListArgs),
    /// Run scenarios with many seeds, and report the bugs found
    Sweep(SweepArgs),
    /// Repeat the run of one seed, and explain it
    Replay(ReplayArgs),
    /// Validate scenarios without running them
    Check(CheckArgs),
    /// Write a file to start from
    New(NewArgs),
    /// Merge the shards of a sweep
    Merge(MergeArgs),
    /// Keep runs for regression tests, and run them again
    #[command(subcommand)]
    Corpus(corpus::Command),
    /// Make runs on behalf of a sweep (internal)
    #[command(hide = true)]
    Worker,
}

/// The command by which this program starts its workers.
pub const WORKER: &str = "worker";

const EXAMPLES: &str = "\
Examples:
  cargo dst list                                 list systems, scenarios and faults
  cargo dst sweep                                run all scenarios for a minute
  cargo dst replay scenarios/kv/crash.toml 17    explain the run of seed 17
  cargo dst new scenario kv slow-leader          write a scenario to start from
  cargo dst check                                validate all scenarios
  cargo dst corpus run                           repeat the kept runs, search for known bugs

Exit codes:
  0  no bug found
  1  a bug was found
  2  bad input or usage
  3  the harness itself failed: nondeterminism, I/O

In CI, any of them but 0 fails the step, so these lines are a pipeline:
  cargo dst check --deny-warnings
  cargo dst sweep --seeds 200 --verify --junit dst.xml
A script that does more with a bug than with a mistake asks which one it is: `case $? in 1) ...`.";

/// `dst list`
#[derive(Debug, Args)]
#[command(after_help = LIST_EXAMPLES)]
pub struct ListArgs {
    /// Scenario files, or folders to look for them in [default: scenarios]
    #[arg(value_name = "SCENARIO|FOLDER")]
    pub scenarios: Vec<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

const LIST_EXAMPLES: &str = "\
Examples:
  cargo dst list
  cargo dst list scenarios/kv
  cargo dst list --json | jq -r '.systems[].planted[].name'";

/// `dst sweep`
#[derive(Debug, Args)]
#[command(after_help = SWEEP_EXAMPLES)]
pub struct SweepArgs {
    /// Scenario files, or folders to look for them in; folders named `large` below these are left out [default: scenarios]
    #[arg(value_name = "SCENARIO|FOLDER")]
    pub scenarios: Vec<PathBuf>,
    /// The seeds of each scenario: A to B-1, or 0 to N-1
    #[arg(long, value_name = "A..B|N", value_parser = seeds)]
    pub seeds: Option<Range<u64>>,
    /// Start no run after this time; scenarios share the time equally, and each runs at least once [default: 60s, unless
    /// --seeds is given]
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub lasts: Option<Duration>,
    /// The number of parallel runs, which does not affect the results [default: one per core]
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,
    /// Make only the I-th of every N runs; `cargo dst merge` merges the shards
    #[arg(long, value_name = "slice:I/N", requires = "seeds", conflicts_with = "lasts")]
    pub shard: Option<Shard>,
    /// Switch on a known bug, and report whether it is found; scenarios of systems without the bug are skipped
    #[arg(long, value_name = "NAME")]
    pub planted: Vec<String>,
    /// Stop as soon as every bug of --planted is found; the exit code is 0 if each is, 1 if one is not
    #[arg(long, requires = "planted", conflicts_with_all = ["fail_fast", "max_failures", "shard"])]
    pub expect_found: bool,
    /// Run every seed twice, the second time in another process that differs in all that must not matter, and compare
    #[arg(long)]
    pub verify: bool,
    /// The limits of a run.
    #[command(flatten)]
    pub limits: Limits,
    /// Stop at the first run that does not pass
    #[arg(long, conflicts_with = "max_failures")]
    pub fail_fast: bool,
    /// Stop after N runs that did not pass
    #[arg(long, value_name = "N")]
    pub max_failures: Option<NonZeroU64>,
    /// Print JSON, one object per line; the last is the summary
    #[arg(long)]
    pub json: bool,
    /// Report files.
    #[command(flatten)]
    pub pages: Pages,
    /// Write a folder in DIR for each distinct failure, with everything about its run with the fewest events
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

const SWEEP_EXAMPLES: &str = "\
Examples:
  # all scenarios, for a minute
  cargo dst sweep
  # each scenario of a folder, with seeds 0 to 999
  cargo dst sweep scenarios/kv --seeds 1000
  # one scenario, with as many seeds as ten minutes allow
  cargo dst sweep scenarios/kv/crash.toml --for 10m
  # how many seeds does it take to find this known bug?
  cargo dst sweep scenarios/kv --planted rsm.executes-again --fail-fast
  # in CI: fail unless it is found within 200 seeds
  cargo dst sweep scenarios/kv --planted rsm.executes-again --seeds 200 --expect-found
  # a system with long runs that need much memory
  cargo dst sweep scenarios/kv --timeout 10m --memory 16GiB
  # for CI: each seed twice, with output for machines
  cargo dst sweep --seeds 200 --verify --json
  # for CI: a page, a test report, and a folder with trace and history for each distinct bug
  cargo dst sweep --seeds 200 --markdown summary.md --junit report.xml --out bugs
  # half of the runs; see `cargo dst merge --help`
  cargo dst sweep --seeds 1000 --shard slice:1/2 --json > 1.json

A sweep runs seed 0 of every scenario, then seed 1, and so on. With --for, the scenario with the \
least time so far is next. With --for and without --seeds, unmet `[expect.sweep]` expectations do \
not fail the sweep, because the number of runs depends on the machine.

Worker processes make the runs. A run that hangs, aborts, overflows its stack, exhausts its memory or \
exits costs one seed: the run fails, for example with `process:hang`, which names the place, and has a replay line.
A run that something else killed, or that found no memory in a process that had made other runs, is made once more in a fresh \
process, and what happens there counts. A process that has grown to half of --memory is replaced.

The run that shows a bug best is made once more in a fresh process. If it differs there, it depends on more than its \
seed: it has no replay line, the first event that differs is shown, and the exit code is 3. With --verify the second \
process makes the runs in another order, and has another environment, locale, time zone, folder, number of threads \
and addresses: it also finds what a run leaves behind for the next one, such as a `static` counter.

Ctrl-C, SIGTERM or SIGHUP stops a sweep and prints a summary; the exit code is 3 unless a bug was found. A second Ctrl-C \
stops at once.";

/// `dst merge`
#[derive(Debug, Args)]
#[command(after_help = MERGE_EXAMPLES)]
pub struct MergeArgs {
    /// The outputs of `cargo dst sweep --seeds N --shard slice:I/N --json`, one file per shard
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
    /// Exit with 0 if every planted bug of the sweep was found, and with 1 if one was not
    #[arg(long)]
    pub expect_found: bool,
    /// Report files.
    #[command(flatten)]
    pub pages: Pages,
}

const MERGE_EXAMPLES: &str = "\
Examples:
  # on two machines
  cargo dst sweep --seeds 1000 --shard slice:1/2 --json > 1.json
  cargo dst sweep --seeds 1000 --shard slice:2/2 --json > 2.json
  # on one of them: the summary and the exit code of the whole sweep
  cargo dst merge 1.json 2.json

The files must cover all shards, from the same build, with the same seeds, scenarios and planted bugs. \
`merge` also judges `[expect.sweep]`.";

/// The limits of a run.
#[derive(Debug, Default, Args)]
pub struct Limits {
    /// Fail a run that takes longer than this in real time [default: 60s]
    #[arg(long, value_name = "DURATION", value_parser = timeout)]
    pub timeout: Option<Duration>,
    /// Fail a run that takes more memory than this; `none` for no limit [default: 4GiB on Linux]
    #[arg(long, value_name = "SIZE", value_parser = memory)]
    pub memory: Option<Memory>,
}

/// Files with the summary of a sweep, for other programs.
#[derive(Debug, Args)]
pub struct Pages {
    /// Write a JUnit report, with a test suite per system and a test case per scenario
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write the summary as Markdown
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
}

/// `dst replay`
#[derive(Clone, Debug, Args)]
#[command(after_help = REPLAY_EXAMPLES, group = ArgGroup::new("written").args(["freeze", "picture"]).multiple(true))]
pub struct ReplayArgs {
    /// A scenario file, a frozen run, or an entry of the seed corpus
    #[arg(value_name = "SCENARIO")]
    pub scenario: PathBuf,
    /// The seed; frozen runs and corpus entries have their own
    #[arg(value_name = "SEED")]
    pub seed: Option<u64>,
    /// Switch on a known bug
    #[arg(long, value_name = "NAME")]
    pub planted: Vec<String>,
    /// Print all events
    #[arg(long)]
    pub trace: bool,
    /// Print events up to this virtual time; the run itself continues to its end
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub until: Option<Duration>,
    /// Print only events on this node
    #[arg(long, value_name = "NAME")]
    pub node: Vec<String>,
    /// Print only events of this kind
    #[arg(long, value_name = "KIND", value_parser = kind())]
    pub kind: Vec<Kind>,
    /// Write the run as a frozen file, for `replay FILE`
    #[arg(long, value_name = "FILE")]
    pub freeze: Option<PathBuf>,
    /// Draw a history that is not linearizable, as an HTML file
    #[arg(long, value_name = "FILE")]
    pub picture: Option<PathBuf>,
    /// Let --freeze and --picture replace existing files
    #[arg(long, requires = "written")]
    pub force: bool,
    /// Print JSON, one object per line; the last is the run
    #[arg(long)]
    pub json: bool,
}

impl ReplayArgs {
    /// Whether any flag asks for a trace.
    pub fn wants_trace(&self) -> bool {
        self.trace || self.until.is_some() || !self.node.is_empty() || !self.kind.is_empty()
    }
}

const REPLAY_EXAMPLES: &str = "\
Examples:
  # faults, verdict and explanation
  cargo dst replay scenarios/kv/crash.toml 17
  # every event
  cargo dst replay scenarios/kv/crash.toml 17 --trace | less
  # the events of one node in the first two seconds
  cargo dst replay scenarios/kv/crash.toml 17 --node server-0 --until 2s
  # faults and client operations
  cargo dst replay scenarios/kv/crash.toml 17 --kind fault --kind op
  # freeze the run to a file, and replay the file
  cargo dst replay scenarios/kv/crash.toml 17 --freeze bug.toml
  cargo dst replay bug.toml
  # draw a history that is not linearizable; --json has the same data
  cargo dst replay scenarios/kv/crash.toml 17 --picture why.html
  # an entry of the corpus: exit code 0 if its expectation holds, even an expected failure
  cargo dst replay seeds/primary-backup-deposed-primary-11-pb-stale-read.toml";

/// `dst check`
#[derive(Debug, Args)]
#[command(after_help = CHECK_EXAMPLES)]
pub struct CheckArgs {
    /// Scenario files, or folders to look for them in [default: scenarios]
    #[arg(value_name = "SCENARIO|FOLDER")]
    pub scenarios: Vec<PathBuf>,
    /// Fail for warnings too
    #[arg(long, conflicts_with = "plan")]
    pub deny_warnings: bool,
    /// Print the plan of a seed: its draws, and the faults whose times are known in advance
    #[arg(long)]
    pub plan: bool,
    /// The seed for --plan [default: 0]
    #[arg(long, value_name = "SEED", requires = "plan")]
    pub seed: Option<u64>,
    /// Print JSON, one object per error and warning, then the summary; with --plan one object
    #[arg(long)]
    pub json: bool,
}

const CHECK_EXAMPLES: &str = "\
Examples:
  # all scenarios
  cargo dst check
  # one scenario
  cargo dst check scenarios/kv/crash.toml
  # the plan of seed 17, without running it
  cargo dst check --plan scenarios/kv/crash.toml --seed 17
  # for CI: warnings fail the command too
  cargo dst check --deny-warnings
  # for an editor: file:line:column: title
  cargo dst check --json | jq -r 'select(.type == \"diagnostic\") | \"\\(.path):\\(.line):\\(.column): \\(.title)\"'

A scenario with an error cannot run. A warning points out a setting that can have no effect, with any seed. \
Warnings are reported only for files without errors. Without a name, the declarations of planted bugs are checked \
too: the oracles and scenarios that they name must exist.";

/// `dst new`
#[derive(Debug, Args)]
#[command(after_help = NEW_EXAMPLES)]
pub struct NewArgs {
    /// The kind of file to write
    #[command(subcommand)]
    pub what: NewWhat,
}

/// The kinds of files that `dst new` writes.
#[derive(Debug, Subcommand)]
pub enum NewWhat {
    /// A complete scenario, with comments on further settings
    #[command(after_help = NEW_EXAMPLES)]
    Scenario(NewScenarioArgs),
    /// A crate with a small system, its scenarios and a known bug, to make a system of your own from
    #[command(after_help = NEW_EXAMPLES)]
    System(NewSystemArgs),
}

/// `dst new system`
#[derive(Debug, Args)]
pub struct NewSystemArgs {
    /// The name of the crate and of the system
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The folder to write, instead of NAME here
    #[arg(long = "into", value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// The folder that has the crates `sim` and `tools`, instead of where this program was built
    #[arg(long, value_name = "DIR")]
    pub source: Option<PathBuf>,
}

/// `dst new scenario`
#[derive(Debug, Args)]
pub struct NewScenarioArgs {
    /// The system under test; `cargo dst list` shows all systems
    #[arg(value_name = "SYSTEM")]
    pub system: String,
    /// The name of the file, without `.toml`
    #[arg(value_name = "NAME")]
    pub name: String,
}

const NEW_EXAMPLES: &str = "\
Examples:
  # write scenarios/kv/slow-leader.toml, check it and run it
  cargo dst new scenario kv slow-leader
  cargo dst check scenarios/kv/slow-leader.toml
  cargo dst replay scenarios/kv/slow-leader.toml 1
  # write the crate my_lock beside this workspace; its README has the two commands to begin with
  cargo dst new system my_lock --into ../my_lock";

/// Parses a non-empty range of seeds: `A..B` or `N`.
fn seeds(text: &str) -> Result<Range<u64>, String> {
    let number = |part: &str| {
        let part = part.trim();
        part.parse().map_err(|_| format!("expected A..B or N, such as 100..200 or 1000; `{part}` is not a seed"))
    };
    let range = match text.split_once("..") {
        Some((from, to)) => number(from)?..number(to)?,
        None => 0..number(text)?,
    };
    if range.is_empty() { Err("this range has no seed".to_owned()) } else { Ok(range) }
}

fn duration(text: &str) -> Result<Duration, String> {
    text.parse::<Time>().map(Time::duration)
}

/// The memory limit of a worker, in bytes; `None` for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory(pub Option<u64>);

/// A worker cannot start with less memory.
const LEAST_MEMORY: u64 = 256 << 20;

fn memory(text: &str) -> Result<Memory, String> {
    let expected = "expected a size such as 512MiB or 16GiB, or `none`";
    match text.trim() {
        "none" | "0" => Ok(Memory(None)),
        text => match text.parse::<ByteSize>().map_err(|error| format!("{expected}: {error}"))?.as_u64() {
            bytes if bytes < LEAST_MEMORY => Err("must be at least 256MiB, which a worker needs for itself".to_owned()),
            bytes => Ok(Memory(Some(bytes))),
        },
    }
}

fn timeout(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("must be above zero".to_owned()),
        timeout => Ok(timeout),
    }
}

fn kind() -> impl TypedValueParser<Value = Kind> {
    let kinds = PossibleValuesParser::new(Kind::ALL.map(Kind::name));
    kinds.map(|name| Kind::ALL.into_iter().find(|kind| kind.name() == name).expect("one of the possible values"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_flags_go_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn memory_is_a_size_or_none() {
        assert_eq!(memory("1GiB"), Ok(Memory(Some(1 << 30))));
        assert_eq!(memory("2 GB"), Ok(Memory(Some(2_000_000_000))));
        assert_eq!((memory("none"), memory("0")), (Ok(Memory(None)), Ok(Memory(None))));
        assert!(memory("64KiB").unwrap_err().contains("at least"));
        assert!(memory("much").unwrap_err().contains("expected a size"));
    }

    #[test]
    fn seeds_are_a_range_or_a_number() {
        assert_eq!(seeds("100"), Ok(0..100));
        assert_eq!(seeds("5..7"), Ok(5..7));
        assert_eq!(seeds("0"), Err("this range has no seed".to_owned()));
        assert!(seeds("7..5").is_err());
        assert!(seeds("-1").is_err());
        assert!(seeds("5..").unwrap_err().contains("A..B or N"));
    }
}
