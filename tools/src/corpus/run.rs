//! `dst corpus run`: whether all entries do what is expected of them.

use anyhow::Result;
use owo_colors::OwoColorize;
use serde::Serialize;
use serde_json::json;

use super::check::{Checked, Status};
use super::entry::{Entry, Expectation};
use crate::cli::corpus::RunArgs;
use crate::console::Console;
use crate::exit::{self, BadScenarios, Exit};
use crate::registry::Registry;
use crate::text;
use crate::worker::Workers;

/// Makes the runs of all entries.
pub fn run(args: &RunArgs, registry: &Registry<'_>, console: &Console, workers: Workers) -> Result<Exit> {
    let entries = super::load(&super::find(&args.entries)?)?;
    let (mut ready, mut errors) = (Vec::new(), Vec::new());
    for entry in entries {
        match entry.ready(registry) {
            Ok(target) => ready.push((entry, target)),
            Err(unready) => errors.push(unready.into_error()),
        }
    }
    if !errors.is_empty() {
        return Err(BadScenarios(errors).into());
    }
    let (mut counts, mut worst) = (Counts { entries: ready.len() as u64, ..Counts::default() }, Exit::Held);
    super::check_all(&ready, args.jobs, (workers, &args.limits, console), |entry, checked| match checked {
        Ok(checked) => {
            counts.add(checked.status);
            if args.json { console.json(&object(entry, &checked)) } else { console.print(&line(entry, &checked)) }
        }
        // It says nothing about the other entries.
        Err(error) => {
            counts.errors += 1;
            worst = worst.max(exit::explain(&error, console));
            let what = format!("{error:#}");
            let error = json!({ "type": "entry", "entry": entry.path, "status": "error", "what": what });
            if args.json { console.json(&error) } else { Ok(()) }
        }
    })?;
    let is_bad = counts.broken > 0 || (args.strict && counts.drifted > 0);
    let exit = worst.max(if is_bad { Exit::BugFound } else { Exit::Held });
    if args.json {
        console.json(&counts)?
    } else {
        console.print(&last_lines(&counts, exit))?
    }
    Ok(exit)
}

/// Entries by what became of them. The machine contract: fields are added, never renamed.
#[derive(Default, Serialize)]
#[serde(tag = "type", rename = "corpus")]
struct Counts {
    entries: u64,
    held: u64,
    drifted: u64,
    broken: u64,
    errors: u64,
}

impl Counts {
    fn add(&mut self, status: Status) {
        match status {
            Status::Held => self.held += 1,
            Status::Drifted => self.drifted += 1,
            Status::Broken => self.broken += 1,
        }
    }
}

fn line(entry: &Entry, checked: &Checked) -> String {
    let word = match checked.status {
        Status::Held => "held   ".green().to_string(),
        Status::Drifted => "DRIFTED".yellow().bold().to_string(),
        Status::Broken => "BROKEN ".red().bold().to_string(),
    };
    let mut text = format!("{word}  {}  {}\n", entry.path, checked.what);
    if checked.status != Status::Held {
        if !entry.note.is_empty() {
            text += &format!("         kept because: {}\n", text::one_line(&entry.note));
        }
        text += &format!("         {}\n", entry.replay().cyan());
    }
    text
}

fn last_lines(counts: &Counts, exit: Exit) -> String {
    let Counts { entries, held, drifted, broken, errors } = *counts;
    let mut text = String::new();
    if drifted > 0 {
        text += "\nWhat has drifted is another run than was kept. If that was meant to be: cargo dst corpus add \
                 --refresh FILE...\n";
    }
    let entries = if entries == 1 { "1 entry".to_owned() } else { format!("{entries} entries") };
    let mut line = format!("{entries}: {held} held, {drifted} drifted, {broken} broken");
    if errors > 0 {
        line += &format!(", {errors} not checked");
    }
    let line = match exit {
        Exit::Held if drifted > 0 => line.yellow().bold().to_string(),
        Exit::Held => line.green().bold().to_string(),
        _ => line.red().bold().to_string(),
    };
    format!("{text}\n{line}\n")
}

/// The machine contract: fields are added, never renamed.
fn object(entry: &Entry, checked: &Checked) -> serde_json::Value {
    let (expect, within) = match &entry.expectation {
        Expectation::Run { expect, .. } => (Some(expect), None),
        Expectation::Within(most) => (None, Some(*most)),
    };
    let report = checked.report.as_ref();
    json!({
        "type": "entry",
        "entry": entry.path,
        "status": checked.status,
        "what": checked.what,
        "scenario": entry.scenario(),
        "seed": entry.seed,
        "planted": entry.planted(),
        "expect": expect,
        "within": within,
        "found": checked.found,
        "found_seed": checked.seed,
        "digest": report.map(|report| &report.digest),
        "world": report.map(|report| &report.world),
        "note": entry.note,
        "replay": entry.replay(),
    })
}
