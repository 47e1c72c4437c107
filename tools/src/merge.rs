//! `dst merge`: the shards of a sweep, added up to what one sweep over all runs would have said.
//!
//! Shards are written on different machines and at different times, so nothing is taken on trust: a shard that is missing, is
//! there twice, or comes from another build, other seeds, scenarios or planted bugs is refused.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::cli::MergeArgs;
use crate::console::Console;
use crate::exit::{BadInput, Exit};
use crate::registry::Registry;
use crate::sweep::human;
use crate::sweep::pages::Pages;
use crate::sweep::shard::Shard;
use crate::sweep::summary::Summary;
use crate::text;

/// Merges.
///
/// # Errors
///
/// If the files are not the shards of one sweep, or the output cannot be written.
pub fn run(args: &MergeArgs, registry: &Registry<'_>, console: &Console) -> Result<Exit> {
    let pages = Pages::check(&args.pages)?;
    let mut parts = Vec::new();
    for file in &args.files {
        parts.push(Part::read(file)?);
    }
    check(&parts)?;
    parts.sort_by_key(|part| part.shard.index);
    let unfinished: Vec<String> = parts.iter().filter_map(Part::unfinished).collect();
    let summary = Summary::merge(parts.into_iter().map(|part| part.summary).collect()).context("no shard to add up")?;
    if args.expect_found && summary.planted.is_empty() {
        let help = "give each shard `--planted NAME`, or leave out --expect-found";
        return Err(BadInput::error("these shards searched for no planted bug", help));
    }
    // What cannot be written must not hide what was found.
    let paged = pages.write(&summary);
    if args.json {
        console.json(&summary)?;
    } else {
        console.print(&human::screen(&summary, registry))?;
    }
    paged?;
    for line in &unfinished {
        console.say(&format!("not complete: {line}\n"));
    }
    // What was not run may be broken: the shards that stopped early must not add up to a pass.
    let exit = if args.expect_found { summary.exit_if_found() } else { summary.exit() };
    Ok(if exit == Exit::Held && !unfinished.is_empty() { Exit::HarnessFailed } else { exit })
}

/// A shard, and where it was read.
struct Part {
    file: PathBuf,
    shard: Shard,
    summary: Summary,
}

impl Part {
    fn read(file: &Path) -> Result<Part> {
        let name = file.display();
        let write = "write it with: cargo dst sweep --seeds N --shard slice:I/N --json > FILE";
        let bad = |what: String| BadInput::error(format!("`{name}` is not a shard: {what}"), write);
        let text = fs::read_to_string(file)
            .map_err(|error| BadInput::error(format!("cannot read the shard `{name}`: {error}"), write))?;
        let mut last = None;
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let object: Value = serde_json::from_str(line).map_err(|error| {
                bad(format!(
                    "expected a JSON object in line {}, found something else or a part of one: {error}",
                    number + 1
                ))
            })?;
            last = Some(object);
        }
        let last = last.ok_or_else(|| bad("expected lines of JSON, found nothing".to_owned()))?;
        match last.get("type").and_then(Value::as_str) {
            Some("summary") => {}
            Some(other) => {
                return Err(bad(format!("expected a summary in its last line, found a {other}: it may be cut short")));
            }
            None => return Err(bad("expected a summary in its last line, found JSON of another kind".to_owned())),
        }
        let summary = Summary::deserialize(last)
            .map_err(|error| bad(format!("expected a summary of this version, found another: {error}")))?;
        let shard = summary.shard.ok_or_else(|| bad("expected a part of a sweep, found a whole one".to_owned()))?;
        if let Some(row) = summary.scenarios.iter().find(|row| row.histograms.is_none()) {
            return Err(bad(format!("expected `histograms` in the row of `{}`, found none", row.path)));
        }
        Ok(Part { file: file.to_owned(), shard, summary })
    }

    fn error(&self, what: impl std::fmt::Display, help: &str) -> anyhow::Error {
        BadInput::error(format!("`{}` does not belong to this sweep: {what}", self.file.display()), help)
    }

    /// How much of it was not run.
    fn unfinished(&self) -> Option<String> {
        let Summary { counts, harness_failures, complete, .. } = self.summary;
        let asked = self.summary.asked().unwrap_or_default();
        let done = counts.runs + harness_failures;
        let name = self.file.display();
        (!complete).then(|| format!("{} (`{name}`) made {done} of its {}", self.shard, text::count(asked, "run")))
    }

    /// Refuses a shard of another sweep than `first` is one of.
    fn check_like(&self, first: &Part) -> Result<()> {
        let (ours, other) = (&self.summary, &first.summary);
        let than = format!("as in `{}`", first.file.display());
        if self.shard.of != first.shard.of {
            let what = format!("expected one of {} shards {than}, found {}", first.shard.of, self.shard);
            return Err(self.error(what, "sweep with the same N in `--shard slice:I/N` everywhere"));
        }
        if let Some(difference) = other.build.difference(&ours.build) {
            let what = format!("it comes from another build than `{}`: {difference}", first.file.display());
            return Err(self.error(what, "build all shards from the same commit, without changes on top of it"));
        }
        if ours.seeds != other.seeds {
            let seeds = |summary: &Summary| summary.seeds.map_or("none".to_owned(), |[a, b]| format!("{a}..{b}"));
            let what = format!("expected seeds {} {than}, found {}", seeds(other), seeds(ours));
            return Err(self.error(what, "sweep with the same --seeds everywhere"));
        }
        let paths = |summary: &Summary| summary.scenarios.iter().map(|row| row.path.clone()).collect::<Vec<_>>();
        let (expected, found) = (paths(other), paths(ours));
        if expected != found {
            let odd = |a: &[String], b: &[String]| a.iter().find(|path| !b.contains(path)).cloned();
            let what = match (odd(&expected, &found), odd(&found, &expected)) {
                (Some(path), _) => format!("expected the scenario `{path}` {than}, found none"),
                (None, Some(path)) => format!("expected no scenario `{path}`, {than}, found it"),
                (None, None) => format!("expected the scenarios in the same order {than}"),
            };
            return Err(self.error(what, "sweep the same scenarios everywhere"));
        }
        for (expected, found) in other.scenarios.iter().zip(&ours.scenarios) {
            if expected.hash != found.hash {
                let what = format!(
                    "expected `{}` with the hash {} {than}, found {}: the file was another",
                    found.path, expected.hash, found.hash
                );
                return Err(self.error(what, "sweep the same version of every scenario everywhere"));
            }
        }
        let planted = |summary: &Summary| {
            let names: Vec<String> = summary.planted.iter().map(|search| search.name.clone()).collect();
            if names.is_empty() { "no planted bug".to_owned() } else { format!("planted {}", names.join(", ")) }
        };
        if planted(ours) != planted(other) {
            let what = format!("expected {} {than}, found {}", planted(other), planted(ours));
            return Err(self.error(what, "sweep with the same --planted everywhere"));
        }
        Ok(())
    }
}

/// Refuses what does not make up one whole sweep.
fn check(parts: &[Part]) -> Result<()> {
    let Some((first, others)) = parts.split_first() else { return Ok(()) };
    for part in others {
        part.check_like(first)?;
    }
    for (i, part) in parts.iter().enumerate() {
        if let Some(earlier) = parts[..i].iter().find(|earlier| earlier.shard == part.shard) {
            let what = format!("expected each shard once, found {} in `{}` too", part.shard, earlier.file.display());
            return Err(part.error(what, "name one file for each shard"));
        }
    }
    let of = first.shard.of;
    match (1..=of).find(|index| parts.iter().all(|part| part.shard.index != *index)) {
        None => Ok(()),
        Some(missing) => {
            let found = text::count(parts.len() as u64, "file");
            Err(BadInput::error(
                format!("shard {missing} of {of} is missing: expected {of} shards, found {found}"),
                "name the files of all shards; one that failed must be swept again",
            ))
        }
    }
}
