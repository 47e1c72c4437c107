//! The replay of an entry of the corpus: its run, and whether what is expected of it holds.

use anyhow::Result;
use owo_colors::OwoColorize;
use serde_json::{Value, json};
use sim::Report;

use crate::cli::ReplayArgs;
use crate::console::Console;
use crate::corpus::check::{self, Status};
use crate::corpus::entry::{Entry, Unready};
use crate::exit::{BadInput, BadScenarios, Exit};
use crate::registry::Registry;

/// An entry that is replayed.
pub struct Kept<'a>(&'a Entry);

/// What its run says about it.
pub struct Judged {
    entry: String,
    status: Status,
    what: String,
}

/// Replays the run that an entry is about.
pub fn run(args: &ReplayArgs, registry: &Registry<'_>, console: &Console) -> Result<Exit> {
    let entry = Entry::load(&args.scenario).map_err(BadScenarios::from)?;
    if args.seed.is_some() || !args.planted.is_empty() {
        let title = format!("`{}` is an entry of the corpus: it takes no seed and no --planted", entry.path);
        let help = format!("leave them out, or give them to the scenario: cargo dst replay {} SEED", entry.scenario());
        return Err(BadInput::error(title, help));
    }
    let target = entry.ready(registry).map_err(Unready::into_error).map_err(BadScenarios::from)?;
    let args = ReplayArgs {
        scenario: entry.scenario().into(),
        seed: Some(entry.seed),
        planted: target.planted.clone(),
        ..args.clone()
    };
    super::one(&args, Some(&Kept(&entry)), registry, console)
}

impl Kept<'_> {
    /// Compares the run with what is expected.
    pub fn judge(&self, report: &Report) -> Judged {
        let (status, what) = check::judge(self.0, report);
        Judged { entry: self.0.path.clone(), status, what }
    }
}

impl Judged {
    /// For a reader.
    pub fn text(&self) -> String {
        let Judged { entry, status, what } = self;
        match status {
            Status::Held => format!("\n{} {entry}: {what}\n", "held".green().bold()),
            Status::Drifted => format!(
                "\n{} {entry}: {what}\n  if that was meant to be: cargo dst corpus add --refresh {entry}\n",
                "DRIFTED".yellow().bold()
            ),
            Status::Broken => format!("\n{} {entry}: {what}\n", "BROKEN".red().bold()),
        }
    }

    /// For machines.
    pub fn add_to(&self, line: &mut Value) {
        line["entry"] = json!(self.entry);
        line["status"] = json!(self.status);
        line["what"] = json!(self.what);
    }

    /// An expectation that holds is no failure, be it that the run fails.
    pub fn exit(&self) -> Exit {
        if self.status == Status::Broken { Exit::BugFound } else { Exit::Held }
    }
}
