//! The commands and their flags, as they are typed.

pub mod corpus;

use std::num::NonZeroU64;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser;
use clap::{ArgGroup, Args, Parser, Subcommand};
use sim::trace::record::Kind;

use crate::sweep::shard::Shard;

/// Deterministic simulation testing: one seed is one execution.
#[derive(Debug, Parser)]
#[command(name = "dst", bin_name = "cargo dst", version, max_term_width = 110, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List systems, scenarios and faults
    List(ListArgs),
    /// Run scenarios with many seeds, and say what broke
    Sweep(SweepArgs),
    /// Run one seed again, and show what happened
    Replay(ReplayArgs),
    /// Say what is wrong with scenarios, without running them
    Check(CheckArgs),
    /// Write a file to start from
    New(NewArgs),
    /// Add up the shards of a sweep
    Merge(MergeArgs),
    /// Keep runs that are worth it, and see that they still do what they did
    #[command(subcommand)]
    Corpus(corpus::Command),
    /// Make runs for a sweep, which starts this and talks to it
    #[command(hide = true)]
    Worker,
}

const EXAMPLES: &str = "\
Examples:
  cargo dst list                                 what there is
  cargo dst sweep                                all scenarios, for a minute
  cargo dst replay scenarios/kv/crash.toml 17    what happened with seed 17
  cargo dst new scenario kv slow-leader          a scenario to start from
  cargo dst check                                what is wrong with scenarios
  cargo dst corpus run                           the runs that are worth keeping

Exit codes:
  0  all held
  1  a bug was found
  2  bad input or usage
  3  the harness itself failed: nondeterminism, I/O";

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
    /// Scenario files, or folders to look for them in [default: scenarios]
    #[arg(value_name = "SCENARIO|FOLDER")]
    pub scenarios: Vec<PathBuf>,
    /// Seeds for each scenario: from A to before B, or 0 to before N
    #[arg(long, value_name = "A..B|N", value_parser = seeds)]
    pub seeds: Option<Range<u64>>,
    /// Start no run after this long; scenarios share the time equally, and each runs at least once [default: 60s, unless
    /// --seeds is given]
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub lasts: Option<Duration>,
    /// Runs at the same time; the results are the same with any number [default: one per core]
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,
    /// Make only every N-th run, the I-th first; `cargo dst merge` adds the parts up
    #[arg(long, value_name = "slice:I/N", requires = "seeds", conflicts_with = "lasts")]
    pub shard: Option<Shard>,
    /// Switch a known bug on, and say whether it is found; scenarios of systems without it are left out
    #[arg(long, value_name = "NAME")]
    pub planted: Vec<String>,
    /// Run every seed twice, the second time in another process, and compare the two
    #[arg(long)]
    pub verify: bool,
    /// What a run may take.
    #[command(flatten)]
    pub limits: Limits,
    /// Stop at the first run that does not pass
    #[arg(long, conflicts_with = "max_failures")]
    pub fail_fast: bool,
    /// Stop once N runs have not passed
    #[arg(long, value_name = "N")]
    pub max_failures: Option<NonZeroU64>,
    /// Print JSON, one object a line; the last is the summary
    #[arg(long)]
    pub json: bool,
    /// What other programs show.
    #[command(flatten)]
    pub pages: Pages,
    /// Keep everything about the cheapest run of each distinct failure, in a folder of its own in DIR
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

const SWEEP_EXAMPLES: &str = "\
Examples:
  # all scenarios, for a minute
  cargo dst sweep
  # each scenario of a folder with seeds 0 to 999
  cargo dst sweep scenarios/kv --seeds 1000
  # one scenario, as many seeds as ten minutes allow
  cargo dst sweep scenarios/kv/crash.toml --for 10m
  # is this known bug found, and after how many seeds?
  cargo dst sweep --planted kv.stale-read --fail-fast
  # a system that needs patience and memory
  cargo dst sweep scenarios/kv --timeout 10m --memory 16GiB
  # for CI: each seed twice, output for machines
  cargo dst sweep --seeds 200 --verify --json
  # for CI: a page, a test report, and a folder with trace and history for each distinct bug
  cargo dst sweep --seeds 200 --markdown summary.md --junit report.xml --out bugs
  # half of the runs; see `cargo dst merge --help`
  cargo dst sweep --seeds 1000 --shard slice:1/2 --json > 1.json

Seeds are taken in turn: seed 0 of every scenario, then seed 1, and so on; with --for, the \
scenario that has had the least time is the next. A sweep \
that only --for limits does not fail for what `[expect.sweep]` asks for, since how far it \
gets depends on the machine.

Runs are made in worker processes. One that hangs, aborts, overflows its stack, takes too much memory \
or exits costs one seed: it is a failure of that run, such as `process:hang`, with its replay line.

Ctrl-C ends a sweep with the summary of what was done, and exit code 3 if no bug was found until then; \
a second one ends it at once.";

/// `dst merge`
#[derive(Debug, Args)]
#[command(after_help = MERGE_EXAMPLES)]
pub struct MergeArgs {
    /// What `cargo dst sweep --shard slice:I/N --json` wrote, of each shard one file
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Print JSON: the summary
    #[arg(long)]
    pub json: bool,
    /// What other programs show.
    #[command(flatten)]
    pub pages: Pages,
}

const MERGE_EXAMPLES: &str = "\
Examples:
  # on two machines
  cargo dst sweep --seeds 1000 --shard slice:1/2 --json > 1.json
  cargo dst sweep --seeds 1000 --shard slice:2/2 --json > 2.json
  # on one of them: what a single sweep would have said, with its exit code
  cargo dst merge 1.json 2.json

All shards must be there, from the same build, with the same seeds, scenarios and planted bugs. \
What `[expect.sweep]` asks for is judged here.";

/// What a run may take, before it is ended.
#[derive(Debug, Default, Args)]
pub struct Limits {
    /// End a run that takes longer in real time: it hangs, and that is its failure [default: 60s]
    #[arg(long, value_name = "DURATION", value_parser = timeout)]
    pub timeout: Option<Duration>,
    /// End a run that takes more memory, or `none` for no limit: that is its failure [default: 4GiB on Linux]
    #[arg(long, value_name = "SIZE", value_parser = memory)]
    pub memory: Option<Memory>,
}

/// Files that a sweep's summary is written to, for other programs to show.
#[derive(Debug, Args)]
pub struct Pages {
    /// Write a JUnit report: a test suite for each system, a test case for each scenario
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write the summary as Markdown, for a CI page
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
}

/// `dst replay`
#[derive(Clone, Debug, Args)]
#[command(after_help = REPLAY_EXAMPLES, group = ArgGroup::new("written").args(["freeze", "picture"]).multiple(true))]
pub struct ReplayArgs {
    /// A scenario file, a run frozen to a file, or an entry of the seed corpus
    #[arg(value_name = "SCENARIO")]
    pub scenario: PathBuf,
    /// The seed; a frozen run and an entry of the corpus have their own
    #[arg(value_name = "SEED")]
    pub seed: Option<u64>,
    /// Switch a known bug on
    #[arg(long, value_name = "NAME")]
    pub planted: Vec<String>,
    /// Print every event while it happens
    #[arg(long)]
    pub trace: bool,
    /// Print events up to this virtual time; the run itself goes on to its end
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub until: Option<Duration>,
    /// Print events on this node only
    #[arg(long, value_name = "NAME")]
    pub node: Vec<String>,
    /// Print events of this kind only
    #[arg(long, value_name = "KIND", value_parser = kind())]
    pub kind: Vec<Kind>,
    /// Write the run to a file of its own, with every draw pinned, for `replay FILE`
    #[arg(long, value_name = "FILE")]
    pub freeze: Option<PathBuf>,
    /// Draw a history that is not linearizable, in an HTML file for a browser
    #[arg(long, value_name = "FILE")]
    pub picture: Option<PathBuf>,
    /// Let --freeze and --picture replace a file
    #[arg(long, requires = "written")]
    pub force: bool,
    /// Print JSON, one object a line; the last is the run
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
  # one node's first two seconds
  cargo dst replay scenarios/kv/crash.toml 17 --node server-0 --until 2s
  # faults and client operations
  cargo dst replay scenarios/kv/crash.toml 17 --kind fault --kind op
  # keep the run in a file, and replay that
  cargo dst replay scenarios/kv/crash.toml 17 --freeze bug.toml
  cargo dst replay bug.toml
  # see why what clients saw is not linearizable; --json has the same as data
  cargo dst replay scenarios/kv/crash.toml 17 --picture why.html
  # an entry of the corpus: exit code 0 if its expectation holds, be it that the run fails
  cargo dst replay seeds/kv-stale-read.toml";

/// `dst check`
#[derive(Debug, Args)]
#[command(after_help = CHECK_EXAMPLES)]
pub struct CheckArgs {
    /// Scenario files, or folders to look for them in [default: scenarios]
    #[arg(value_name = "SCENARIO|FOLDER")]
    pub scenarios: Vec<PathBuf>,
    /// Let warnings fail the command too
    #[arg(long, conflicts_with = "plan")]
    pub deny_warnings: bool,
    /// Print what a seed will do: its draws, and when which fault comes, as far as that is known before
    #[arg(long)]
    pub plan: bool,
    /// The seed that --plan is about [default: 0]
    #[arg(long, value_name = "SEED", requires = "plan")]
    pub seed: Option<u64>,
    /// Print JSON, one object for each error and warning, the last is the summary; with --plan one object
    #[arg(long)]
    pub json: bool,
}

const CHECK_EXAMPLES: &str = "\
Examples:
  # all scenarios
  cargo dst check
  # the one that is being written
  cargo dst check scenarios/kv/crash.toml
  # what seed 17 will do with it, without running it
  cargo dst check --plan scenarios/kv/crash.toml --seed 17
  # for CI: what is in vain is wrong too
  cargo dst check --deny-warnings
  # for an editor: file:line:column: title
  cargo dst check --json | jq -r 'select(.type == \"diagnostic\") | \"\\(.path):\\(.line):\\(.column): \\(.title)\"'

An error is what cannot be run. A warning is what can never happen or never count, whatever the seed. \
Warnings are looked for in files without errors.";

/// `dst new`
#[derive(Debug, Args)]
#[command(after_help = NEW_EXAMPLES)]
pub struct NewArgs {
    /// What to write
    #[command(subcommand)]
    pub what: NewWhat,
}

/// What `dst new` can write.
#[derive(Debug, Subcommand)]
pub enum NewWhat {
    /// A scenario that runs, with a comment on everything that it could say
    #[command(after_help = NEW_EXAMPLES)]
    Scenario(NewScenarioArgs),
}

/// `dst new scenario`
#[derive(Debug, Args)]
pub struct NewScenarioArgs {
    /// The system that it is about; `cargo dst list` shows all there are
    #[arg(value_name = "SYSTEM")]
    pub system: String,
    /// What to call it: the name of the file, without `.toml`
    #[arg(value_name = "NAME")]
    pub name: String,
}

const NEW_EXAMPLES: &str = "\
Examples:
  # write scenarios/kv/slow-leader.toml, then see that it is right, and run it
  cargo dst new scenario kv slow-leader
  cargo dst check scenarios/kv/slow-leader.toml
  cargo dst replay scenarios/kv/slow-leader.toml 1";

/// `A..B` or `N`, and never none at all.
fn seeds(text: &str) -> Result<Range<u64>, String> {
    let number = |part: &str| {
        let part = part.trim();
        part.parse().map_err(|_| format!("expected A..B or N, such as 100..200 or 1000; `{part}` is no seed"))
    };
    let range = match text.split_once("..") {
        Some((from, to)) => number(from)?..number(to)?,
        None => 0..number(text)?,
    };
    if range.is_empty() { Err("there is no seed in this range".to_owned()) } else { Ok(range) }
}

fn duration(text: &str) -> Result<Duration, String> {
    let expected = "expected a duration such as 90s, 10m or 1500ms";
    humantime::parse_duration(text).map_err(|error| format!("{expected}: {error}"))
}

/// The most memory that a worker may take, in bytes; none for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory(pub Option<u64>);

/// Less than this, and no worker would ever begin.
const LEAST_MEMORY: u64 = 256 << 20;

fn memory(text: &str) -> Result<Memory, String> {
    let expected = "expected a size such as 512MiB or 16GiB, or `none`";
    match text.trim() {
        "none" | "0" => Ok(Memory(None)),
        text => match text.parse::<ByteSize>().map_err(|error| format!("{expected}: {error}"))?.as_u64() {
            bytes if bytes < LEAST_MEMORY => Err("a worker needs at least 256MiB for itself".to_owned()),
            bytes => Ok(Memory(Some(bytes))),
        },
    }
}

fn timeout(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("no run takes no time".to_owned()),
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
        assert_eq!(seeds("0"), Err("there is no seed in this range".to_owned()));
        assert!(seeds("7..5").is_err());
        assert!(seeds("-1").is_err());
        assert!(seeds("5..").unwrap_err().contains("A..B or N"));
    }
}
