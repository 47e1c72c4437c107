//! `dst corpus` and its flags.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// The commands of `dst corpus`.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum Command {
    /// Make a run, and keep it as an entry
    Add(AddArgs),
    /// Repeat the runs of all entries, search for all planted bugs, and report whether the expectations hold
    Run(RunArgs),
    /// List useless entries, and delete them
    Prune(PruneArgs),
}

const EXAMPLES: &str = "\
Examples:
  cargo dst corpus add scenarios/kv/crash.toml 17 --note \"lost a write until the log was synced\"
  cargo dst corpus run
  cargo dst replay seeds/primary-backup-new-backup-776.toml";

/// `dst corpus add`
#[derive(Debug, Args)]
#[command(after_help = ADD_EXAMPLES)]
pub struct AddArgs {
    /// The scenario file
    #[arg(value_name = "SCENARIO", required_unless_present = "refresh")]
    pub scenario: Option<PathBuf>,
    /// The seed
    #[arg(value_name = "SEED", required_unless_present = "refresh")]
    pub seed: Option<u64>,
    /// Switch on a known bug
    #[arg(long, value_name = "NAME")]
    pub planted: Vec<String>,
    /// The reason for keeping the entry
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// The name of the entry's file, without `.toml` [default: from system, scenario, seed and planted bugs]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The folder of the corpus
    #[arg(long, value_name = "FOLDER", default_value = crate::corpus::FOLDER)]
    pub into: PathBuf,
    /// Replace an entry of the same name
    #[arg(long)]
    pub force: bool,
    /// Update the digests of drifted entries; their expectations must still hold
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["scenario", "seed", "planted", "note", "name", "force"])]
    pub refresh: Vec<PathBuf>,
}

const ADD_EXAMPLES: &str = "\
Examples:
  # a run that once failed and must hold from now on
  cargo dst corpus add scenarios/kv/crash.toml 17 --note \"lost a write until the log was synced\"
  # a run that shows a known bug
  cargo dst corpus add scenarios/kv/crash.toml 16 --planted rsm.executes-again
  # after an intended change of behaviour
  cargo dst corpus add --refresh seeds/primary-backup-new-backup-776.toml";

/// `dst corpus run`
#[derive(Debug, Args)]
#[command(after_help = RUN_EXAMPLES)]
pub struct RunArgs {
    /// Entries, folders of them, or planted bugs to search for [default: seeds, and all planted bugs]
    #[arg(value_name = "FILE|FOLDER|BUG")]
    pub entries: Vec<PathBuf>,
    /// The number of parallel runs [default: one per core]
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,
    /// Fail for drifted entries too
    #[arg(long)]
    pub strict: bool,
    /// The limits of a run.
    #[command(flatten)]
    pub limits: super::Limits,
    /// Print JSON, one object per line; the last is the summary
    #[arg(long)]
    pub json: bool,
}

const RUN_EXAMPLES: &str = "\
Examples:
  # all kept runs, and all searches
  cargo dst corpus run
  # all kept runs, and no search
  cargo dst corpus run seeds --strict
  # one run
  cargo dst corpus run seeds/primary-backup-new-backup-776.toml --json
  # the searches for one known bug
  cargo dst corpus run rsm.executes-again

A planted bug declares the scenarios that find it, and the number of seeds for each. A search runs these seeds \
until an oracle that the bug breaks reports a failure; if none does, the search is broken.

An entry is held (its expectation holds, and the run is unchanged), drifted (its expectation holds, but \
the run has changed, so the entry may no longer test what it was kept for), or broken (its expectation \
does not hold). Worker processes make the runs, as in a sweep: a run that hangs or aborts breaks its \
entry with `process:hang` or `process:abort`.";

/// `dst corpus prune`
#[derive(Debug, Args)]
#[command(after_help = PRUNE_EXAMPLES)]
pub struct PruneArgs {
    /// Entries, or folders of them [default: seeds]
    #[arg(value_name = "FILE|FOLDER")]
    pub entries: Vec<PathBuf>,
    /// The number of parallel runs [default: one per core]
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,
    /// The limits of a run.
    #[command(flatten)]
    pub limits: super::Limits,
    /// Delete the listed entries
    #[arg(long)]
    pub yes: bool,
}

const PRUNE_EXAMPLES: &str = "\
Examples:
  cargo dst corpus prune
  cargo dst corpus prune --yes

`prune` lists drifted entries, entries whose scenario does not exist, and duplicates: entries with the \
same run as an earlier entry, or with the same failure of the same scenario and planted bugs.";
