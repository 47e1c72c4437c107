//! Whether what is expected holds: of a run that is kept, or of a search.

use anyhow::Result;
use serde::Serialize;
use sim::Report;

use super::entry::{Entry, PASS};
use super::search::Search;
use crate::sweep::planted;
use crate::text;
use crate::worker::{self, Maker, Run};

/// What can be expected.
pub enum Case<'a> {
    /// That a run ends as it did.
    Run(Entry),
    /// That a planted bug is found.
    Search(Search<'a>),
}

impl Case<'_> {
    /// What it is called in a line of output: the file, or bug and scenario.
    pub fn name(&self) -> String {
        match self {
            Case::Run(entry) => entry.path.clone(),
            Case::Search(search) => search.name(),
        }
    }
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All is as it was.
    Held,
    /// What is expected holds, but the run is another one.
    Drifted,
    /// What is expected does not hold.
    Broken,
}

/// An entry that was checked.
pub struct Checked {
    /// What became of it.
    pub status: Status,
    /// The same in words.
    pub what: String,
    /// How the run ended that says so: [`PASS`] or a signature. None if a search found nothing.
    pub found: Option<String>,
    /// That run's seed.
    pub seed: Option<u64>,
    /// That run.
    pub report: Option<Box<Report>>,
}

/// How a run ended, as entries write it. That a scenario declares a failure does not make it none: an entry of such a run is
/// kept to see it again.
pub fn ending(report: &Report) -> &str {
    report.violations().next().map_or(PASS, |failure| &failure.signature)
}

/// Makes the entry's run, or as many as it takes to find the bug. `task` is what `maker` knows its scenario by.
///
/// # Errors
///
/// If the scenario turns out to be wrong, or the harness fails.
pub fn check(case: &Case<'_>, task: usize, maker: &mut dyn Maker) -> Result<Checked> {
    match case {
        Case::Run(entry) => run(entry, task, maker),
        Case::Search(wanted) => search(wanted, task, maker),
    }
}

/// Makes the run of an entry.
///
/// # Errors
///
/// If the scenario turns out to be wrong, or the harness fails.
pub fn run(entry: &Entry, task: usize, maker: &mut dyn Maker) -> Result<Checked> {
    let report = worker::report(maker, Run { scenario: task, seed: entry.seed })?;
    let (status, what) = judge(entry, &report);
    let found = Some(ending(&report).to_owned());
    Ok(Checked { status, what, found, seed: Some(entry.seed), report: Some(report) })
}

fn search(search: &Search<'_>, task: usize, maker: &mut dyn Maker) -> Result<Checked> {
    let mut others: Vec<String> = Vec::new();
    for seed in 0..search.within {
        let report = worker::report(maker, Run { scenario: task, seed })?;
        let found = planted::shown_by(search.bug, &report);
        if let Some(signature) = found.map(|failure| failure.signature.clone()) {
            let after = text::count(seed + 1, "seed");
            return Ok(Checked {
                status: Status::Held,
                what: format!("found by {signature} after {after} of {}", search.within),
                found: Some(signature),
                seed: Some(seed),
                report: Some(report),
            });
        }
        others.extend(report.violations().next().map(|failure| failure.signature.clone()));
    }
    others.sort_unstable();
    others.dedup();
    let why = match others.is_empty() {
        true => "no run failed".to_owned(),
        false => format!("runs failed otherwise: {}", others.join(", ")),
    };
    let what = format!("not found within {}: {why}", text::count(search.within, "seed"));
    Ok(Checked { status: Status::Broken, what, found: None, seed: None, report: None })
}

/// Whether a run is what the entry expects, and that in words.
pub fn judge(entry: &Entry, report: &Report) -> (Status, String) {
    let (ending, expect, world, digest) =
        (ending(report), &entry.expect, entry.world.get_ref(), entry.digest.get_ref());
    if expect != ending {
        (Status::Broken, format!("expected {expect}, found {ending}"))
    } else if *world != report.world {
        (Status::Drifted, format!("{ending}, but in another run: world {world}, now {}", report.world))
    } else if *digest != report.digest {
        (Status::Drifted, format!("{ending}, but planned in another way: digest {digest}, now {}", report.digest))
    } else {
        (Status::Held, ending.to_owned())
    }
}
