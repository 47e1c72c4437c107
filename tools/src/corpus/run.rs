//! `dst corpus run`: whether all entries do what is expected of them, and all planted bugs are found.

use std::path::{Path, PathBuf};

use anyhow::Result;
use owo_colors::OwoColorize;
use serde::Serialize;
use serde_json::json;

use super::check::{Case, Checked, Status};
use super::entry::Entry;
use super::search::{self, Search};
use crate::cli::corpus::RunArgs;
use crate::console::Console;
use crate::exit::{self, BadScenarios, Exit};
use crate::registry::Registry;
use crate::scenarios;
use crate::text;
use crate::worker::Workers;

/// Makes the runs of entries, and searches for planted bugs: of those that are named, or all.
pub fn run(args: &RunArgs, registry: &Registry<'_>, console: &Console, workers: Workers) -> Result<Exit> {
    let (entries, searches) = named(args, registry, console)?;
    let (mut ready, mut errors) = (Vec::new(), Vec::new());
    for entry in entries {
        match entry.ready(registry) {
            Ok(target) => ready.push((Case::Run(entry), target)),
            Err(unready) => errors.push(unready.into_error()),
        }
    }
    if !errors.is_empty() {
        return Err(BadScenarios(errors).into());
    }
    for search in searches {
        let target = search.ready(registry)?;
        ready.push((Case::Search(search), target));
    }
    let (mut counts, mut worst) = (Counts { entries: ready.len() as u64, ..Counts::default() }, Exit::Held);
    super::check_all(&ready, args.jobs, (workers, &args.limits, console), |case, checked| match checked {
        Ok(checked) => {
            counts.add(checked.status);
            let shows = !args.entries.is_empty();
            if args.json { console.json(&object(case, &checked)) } else { console.print(&line(case, &checked, shows)) }
        }
        // It says nothing about the other entries.
        Err(error) => {
            counts.errors += 1;
            worst = worst.max(exit::explain(&error, console));
            let what = format!("{error:#}");
            let error = json!({ "type": "entry", "entry": case.name(), "status": "error", "what": what });
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

/// What was asked for: files and folders are entries, everything else is a planted bug.
fn named<'a>(args: &RunArgs, registry: &'a Registry<'_>, console: &Console) -> Result<(Vec<Entry>, Vec<Search<'a>>)> {
    if args.entries.is_empty() {
        let (searches, elsewhere) = search::here(registry);
        for system in elsewhere {
            let folder = scenarios::FOLDER;
            console.say(&format!("`{system}` is left out: there is no folder `{folder}/{system}` here\n"));
        }
        // A project may have known bugs and keep no runs.
        let has_none = !searches.is_empty() && !Path::new(super::FOLDER).is_dir();
        let entries = if has_none { Vec::new() } else { super::load(&super::find(&[])?)? };
        return Ok((entries, searches));
    }
    let is_file = |path: &&PathBuf| path.exists() || path.extension().is_some_and(|extension| extension == "toml");
    let (files, bugs): (Vec<&PathBuf>, Vec<&PathBuf>) = args.entries.iter().partition(is_file);
    let mut searches = Vec::new();
    for bug in bugs {
        searches.extend(search::of_bug(&bug.to_string_lossy(), registry)?);
    }
    let files: Vec<PathBuf> = files.into_iter().cloned().collect();
    let entries = if files.is_empty() { Vec::new() } else { super::load(&super::find(&files)?)? };
    Ok((entries, searches))
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

/// One line, and below it what to do if something is wrong. What was searched for by name is shown in any case.
fn line(case: &Case<'_>, checked: &Checked, shows: bool) -> String {
    let word = match checked.status {
        Status::Held => "held   ".green().to_string(),
        Status::Drifted => "DRIFTED".yellow().bold().to_string(),
        Status::Broken => "BROKEN ".red().bold().to_string(),
    };
    let mut text = format!("{word}  {}  {}\n", case.name(), checked.what);
    let (note, shows) = match case {
        Case::Run(entry) => (entry.note.as_str(), false),
        Case::Search(_) => ("", shows),
    };
    if checked.status != Status::Held && !note.is_empty() {
        text += &format!("         kept because: {}\n", text::one_line(note));
    }
    if checked.status != Status::Held || shows {
        text += &format!("         {}\n", replay(case, checked).cyan());
    }
    text
}

/// The command that shows it.
fn replay(case: &Case<'_>, checked: &Checked) -> String {
    match case {
        Case::Run(entry) => entry.replay(),
        Case::Search(search) => search.replay(checked.seed),
    }
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

/// The machine contract: fields are added, never renamed. Of a search, `within` is no `null`, and `entry` is the planted bug.
fn object(case: &Case<'_>, checked: &Checked) -> serde_json::Value {
    let report = checked.report.as_ref();
    let mut line = json!({
        "type": "entry",
        "status": checked.status,
        "what": checked.what,
        "found": checked.found,
        "found_seed": checked.seed,
        "digest": report.map(|report| &report.digest),
        "world": report.map(|report| &report.world),
        "replay": replay(case, checked),
    });
    let own = match case {
        Case::Run(entry) => json!({
            "entry": entry.path,
            "scenario": entry.scenario(),
            "seed": entry.seed,
            "planted": entry.planted(),
            "expect": entry.expect,
            "within": null,
            "note": entry.note,
        }),
        Case::Search(search) => json!({
            "entry": search.bug.name,
            "scenario": search.scenario,
            "seed": 0,
            "planted": [search.bug.name],
            "expect": null,
            "within": search.within,
            "note": "",
        }),
    };
    if let (Some(line), serde_json::Value::Object(own)) = (line.as_object_mut(), own) {
        line.extend(own);
    }
    line
}
