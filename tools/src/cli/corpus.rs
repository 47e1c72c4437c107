//! `dst corpus` and its flags.

use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What to do with the corpus.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum Command {
    /// Make a run, and keep it as an entry
    Add(AddArgs),
    /// Make the runs of all entries, and say whether they do what is expected
    Run(RunArgs),
    /// List entries that say nothing any more, and delete them
    Prune(PruneArgs),
}

const EXAMPLES: &str = "\
Examples:
  cargo dst corpus add scenarios/kv/crash.toml 17 --note \"lost a write until the log was synced\"
  cargo dst corpus run
  cargo dst replay seeds/kv-crash-17.toml";

/// `dst corpus add`
#[derive(Debug, Args)]
#[command(after_help = ADD_EXAMPLES)]
pub struct AddArgs {
    /// The scenario file
    #[arg(value_name = "SCENARIO", required_unless_present = "refresh")]
    pub scenario: Option<PathBuf>,
    /// The seed; the first one, with --within
    #[arg(value_name = "SEED", required_unless_present = "refresh")]
    pub seed: Option<u64>,
    /// Switch a known bug on
    #[arg(long, value_name = "NAME")]
    pub planted: Vec<String>,
    /// Expect the planted bug to be found within K seeds, whichever of them it is
    #[arg(long, value_name = "K", requires = "planted")]
    pub within: Option<NonZeroU64>,
    /// Why it is kept
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// The entry's file is NAME.toml [default: from system, scenario and seed, or from the planted bug]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The folder of the corpus
    #[arg(long, value_name = "FOLDER", default_value = crate::corpus::FOLDER)]
    pub into: PathBuf,
    /// Replace an entry of the same name
    #[arg(long)]
    pub force: bool,
    /// Write down the present digests of entries that have drifted; they must still hold
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["scenario", "seed", "planted", "within", "note", "name", "force"])]
    pub refresh: Vec<PathBuf>,
}

const ADD_EXAMPLES: &str = "\
Examples:
  # a run that once failed and must hold from now on
  cargo dst corpus add scenarios/kv/crash.toml 17 --note \"lost a write until the log was synced\"
  # a known bug: any of the first 30 seeds may find it
  cargo dst corpus add scenarios/kv/swarm.toml 0 --planted kv.stale-read --within 30
  # after a change that is meant to make other runs of the same seeds
  cargo dst corpus add --refresh seeds/kv-crash-17.toml";

/// `dst corpus run`
#[derive(Debug, Args)]
#[command(after_help = RUN_EXAMPLES)]
pub struct RunArgs {
    /// Entries, or folders of them [default: seeds]
    #[arg(value_name = "FILE|FOLDER")]
    pub entries: Vec<PathBuf>,
    /// Entries at the same time [default: one per core]
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,
    /// Fail for entries that have drifted, too
    #[arg(long)]
    pub strict: bool,
    /// What a run may take.
    #[command(flatten)]
    pub limits: super::Limits,
    /// Print JSON, one object a line; the last is the summary
    #[arg(long)]
    pub json: bool,
}

const RUN_EXAMPLES: &str = "\
Examples:
  cargo dst corpus run
  cargo dst corpus run seeds/kv-crash-17.toml --json
  cargo dst corpus run --strict

An entry is held (all is as it was), drifted (what is expected holds, but the run is another one than \
was recorded, so it may not test any more what it was kept for), or broken. Runs are made in worker \
processes, as those of a sweep are: an entry whose run hangs or aborts is broken by `process:hang` or \
`process:abort`.";

/// `dst corpus prune`
#[derive(Debug, Args)]
#[command(after_help = PRUNE_EXAMPLES)]
pub struct PruneArgs {
    /// Entries, or folders of them [default: seeds]
    #[arg(value_name = "FILE|FOLDER")]
    pub entries: Vec<PathBuf>,
    /// Entries at the same time [default: one per core]
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,
    /// What a run may take.
    #[command(flatten)]
    pub limits: super::Limits,
    /// Delete them
    #[arg(long)]
    pub yes: bool,
}

const PRUNE_EXAMPLES: &str = "\
Examples:
  cargo dst corpus prune
  cargo dst corpus prune --yes

Listed are entries that have drifted, those whose scenario is gone, and duplicates: a failure \
that an earlier entry of the same scenario and planted bugs expects too, or a run that one has.";
