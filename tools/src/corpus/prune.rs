//! `dst corpus prune`: entries that say nothing any more.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use owo_colors::OwoColorize;

use super::check::{Case, Status};
use super::entry::{Entry, PASS, Unready};
use crate::cli::corpus::PruneArgs;
use crate::console::Console;
use crate::exit::{BadScenarios, Exit};
use crate::registry::Registry;
use crate::worker::Workers;

const DRIFTED: &str = "drifted";

/// Lists them, and deletes them if told to.
pub fn run(args: &PruneArgs, registry: &Registry<'_>, console: &Console, workers: Workers) -> Result<Exit> {
    let entries = super::load(&super::find(&args.entries)?)?;
    let mut useless: BTreeMap<String, String> = BTreeMap::new();
    let (mut ready, mut errors) = (Vec::new(), Vec::new());
    for entry in entries {
        match entry.ready(registry) {
            Ok(target) => ready.push((Case::Run(entry), target)),
            Err(Unready::Gone(_)) => {
                let why = format!("its scenario `{}` is gone", entry.scenario());
                useless.insert(entry.path, why);
            }
            Err(Unready::Wrong(error)) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Err(BadScenarios(errors).into());
    }
    let (mut broken, mut duplicates) = (Vec::new(), Vec::new());
    super::check_all(&ready, args.jobs, (workers, &args.limits, console), |case, checked| {
        let (path, checked) = (case.name(), checked?);
        match checked.status {
            Status::Held => {}
            Status::Drifted => drop(useless.insert(path, format!("{DRIFTED}: {}", checked.what))),
            Status::Broken => broken.push(format!("{path}  {}", checked.what)),
        }
        Ok(())
    })?;
    // Only one that stays makes another one useless.
    let mut kept: Vec<&Entry> = Vec::new();
    let entries = ready.iter().filter_map(|(case, _)| match case {
        Case::Run(entry) => Some(entry),
        Case::Search(_) => None,
    });
    for entry in entries.filter(|entry| !useless.contains_key(&entry.path)).collect::<Vec<_>>() {
        match kept.iter().find(|earlier| is_duplicate(earlier, entry)) {
            Some(earlier) => duplicates.push((entry.path.clone(), format!("duplicate of {}", earlier.path))),
            None => kept.push(entry),
        }
    }
    useless.extend(duplicates);
    for (path, why) in &useless {
        if args.yes {
            fs::remove_file(path).with_context(|| format!("cannot delete `{path}`"))?;
        }
        let word = if args.yes { "deleted" } else { "useless" };
        console.print(&format!("{}  {path}  {why}\n", word.yellow().bold()))?;
    }
    for line in &broken {
        console.print(&format!("{}   {line}: not deleted, because its check failed\n", "broken".red().bold()))?;
    }
    if useless.values().any(|why| why.starts_with(DRIFTED)) {
        console.print("to update drifted entries instead: cargo dst corpus add --refresh FILE...\n")?;
    }
    let found = if useless.len() == 1 { "1 entry".to_owned() } else { format!("{} entries", useless.len()) };
    let hint = if args.yes || useless.is_empty() { "" } else { "; to delete them: cargo dst corpus prune --yes" };
    console.print(&format!("{found} to prune{hint}\n"))?;
    Ok(Exit::Held)
}

/// Two runs that fail in the same way are one example too many; two that pass are two, unless they are the same run.
fn is_duplicate(a: &Entry, b: &Entry) -> bool {
    let same_ending = a.expect == b.expect && (a.expect != PASS || a.seed == b.seed);
    same_ending && a.scenario() == b.scenario() && a.planted() == b.planted()
}
