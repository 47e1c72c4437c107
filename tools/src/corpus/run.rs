//! `dst corpus run`: whether all entries do what is expected of them.

use anyhow::Result;
use owo_colors::OwoColorize;
use serde_json::json;

use super::check::{Checked, Status};
use super::entry::{Entry, Expectation};
use crate::cli::corpus::RunArgs;
use crate::console::Console;
use crate::exit::{BadScenarios, Exit};
use crate::registry::Registry;
use crate::text;

/// Makes the runs of all entries.
pub fn run(args: &RunArgs, registry: &Registry<'_>, console: &Console) -> Result<Exit> {
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
    let mut counts = [0_u64; 3];
    super::check_all(&ready, args.jobs, |entry, checked| {
        counts[checked.status as usize] += 1;
        if args.json { console.json(&object(entry, &checked)) } else { console.print(&line(entry, &checked)) }
    })?;
    let [held, drifted, broken] = counts;
    let exit = if broken > 0 || (args.strict && drifted > 0) { Exit::BugFound } else { Exit::Held };
    if args.json {
        let entries = held + drifted + broken;
        let summary =
            json!({ "type": "corpus", "entries": entries, "held": held, "drifted": drifted, "broken": broken });
        console.json(&summary)?;
    } else {
        console.print(&last_lines(counts, exit))?;
    }
    Ok(exit)
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

fn last_lines([held, drifted, broken]: [u64; 3], exit: Exit) -> String {
    let mut text = String::new();
    if drifted > 0 {
        text += "\nWhat has drifted is another run than was kept. If that was meant to be: cargo dst corpus add \
                 --refresh FILE...\n";
    }
    let entries = text::count(held + drifted + broken, "entry").replace("entrys", "entries");
    let counts = format!("{entries}: {held} held, {drifted} drifted, {broken} broken");
    let counts = match exit {
        Exit::Held if drifted > 0 => counts.yellow().bold().to_string(),
        Exit::Held => counts.green().bold().to_string(),
        _ => counts.red().bold().to_string(),
    };
    format!("{text}\n{counts}\n")
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
