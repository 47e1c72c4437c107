//! `dst corpus`: runs worth keeping, and whether they still do what they did; and whether planted bugs are still found.
//!
//! An `entry` is a small file that says which run it is and what is expected of it. Runs are their seed only as long as
//! the code is the same, so an entry has digests, too: when they do not match any more, it has drifted. What must survive
//! every change is no single seed: that a planted bug is found is expected of a number of seeds. Such a `search` has no file,
//! it follows from the declaration of the bug.
//!
//! `add` makes entries, `run` makes their runs and all searches and `check`s them, `prune` finds entries that say nothing any
//! more. `dst replay` takes an entry in place of scenario and seed.

mod add;
pub(crate) mod check;
pub(crate) mod entry;
mod prune;
mod run;
mod search;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result};

use crate::cli::Limits;
use crate::cli::corpus::Command;
use crate::console::Console;
use crate::exit::{BadInput, BadScenarios, Exit};
use crate::registry::Registry;
use crate::stop::Stop;
use crate::sweep::Target;
use crate::worker::Workers;
use crate::worker::one::Task;
use crate::worker::team::Team;
use check::{Case, Checked};
use entry::Entry;

/// Where the corpus is when nothing is named.
pub const FOLDER: &str = "seeds";

/// Does it.
///
/// # Errors
///
/// If an entry or a scenario is wrong, the harness fails, or something cannot be written.
pub fn run(command: &Command, registry: &Registry<'_>, console: &Console, workers: Workers) -> Result<Exit> {
    match command {
        Command::Add(args) if args.refresh.is_empty() => add::run(args, registry, console, workers),
        Command::Add(args) => add::refresh(&args.refresh, registry, console, workers),
        Command::Run(args) => run::run(args, registry, console, workers),
        Command::Prune(args) => prune::run(args, registry, console, workers),
    }
}

/// The files that are named, and all `*.toml` in each folder that is; [`FOLDER`] if nothing is named. Sorted, each once.
fn find(named: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let default = [PathBuf::from(FOLDER)];
    let mut found = BTreeSet::new();
    for path in if named.is_empty() { &default } else { named } {
        let path = path.strip_prefix(".").ok().filter(|rest| !rest.as_os_str().is_empty()).unwrap_or(path);
        if path.is_dir() {
            found.extend(entries_in(path)?);
        } else if path.is_file() {
            found.insert(path.to_owned());
        } else {
            let title = format!("no such entry or folder: `{}`", path.display());
            return Err(BadInput::error(
                title,
                "`cargo dst corpus add` writes entries, to `seeds` unless told otherwise",
            ));
        }
    }
    if found.is_empty() {
        return Err(BadInput::error("there is no entry here", "entries are files whose names end in `.toml`"));
    }
    Ok(found.into_iter().collect())
}

fn entries_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let cannot = || format!("cannot read the folder `{}`", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            found.push(path);
        }
    }
    Ok(found)
}

/// Reads entries, and shows all that is wrong with any of them.
fn load(paths: &[PathBuf]) -> Result<Vec<Entry>> {
    let (mut entries, mut errors) = (Vec::new(), Vec::new());
    for path in paths {
        match Entry::load(path) {
            Ok(entry) => entries.push(entry),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(entries) } else { Err(BadScenarios(errors).into()) }
}

/// Checks them, several at the same time, and hands them over in their order, until `take` fails.
fn check_all(
    ready: &[(Case<'_>, Target<'_>)],
    jobs: Option<u16>,
    (workers, limits, console): (Workers, &Limits, &Console),
    mut take: impl FnMut(&Case<'_>, Result<Checked>) -> Result<()>,
) -> Result<()> {
    let jobs = jobs.map_or_else(|| thread::available_parallelism().map_or(1, Into::into), usize::from);
    let tasks: Vec<Task<'_>> = ready.iter().map(|(_, target)| target.task()).collect();
    let (team, stop) = (Team::new(workers, &tasks, limits, console)?, Stop::default());
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let (sender, results) = mpsc::channel();
        for _ in 0..jobs.min(ready.len()) {
            let (sender, next, team, stop) = (sender.clone(), &next, &team, &stop);
            scope.spawn(move || {
                let mut maker = team.maker(stop);
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some((case, _)) = ready.get(index) else { return };
                    let checked = check::check(case, index, &mut *maker);
                    let checked = checked.with_context(|| format!("`{}` cannot be checked", case.name()));
                    if sender.send((index, checked)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let (mut early, mut due) = (BTreeMap::new(), 0);
        for (index, checked) in results {
            early.insert(index, checked);
            while let Some(checked) = early.remove(&due) {
                take(&ready[due].0, checked)?;
                due += 1;
            }
        }
        Ok(())
    })
}
