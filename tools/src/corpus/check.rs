//! Whether an entry's expectation holds.

use anyhow::Result;
use serde::Serialize;
use sim::Report;

use super::entry::{Entry, Expectation, PASS};
use crate::sweep::Target;
use crate::text;
use crate::worker::{self, Maker, Run};

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

/// Makes the entry's run, or as many as it takes to find its bug. `task` is what `maker` knows its scenario by.
///
/// # Errors
///
/// If the scenario turns out to be wrong, or the harness fails.
pub fn check(entry: &Entry, target: &Target<'_>, task: usize, maker: &mut dyn Maker) -> Result<Checked> {
    let mut make = |seed| worker::report(maker, Run { scenario: task, seed });
    let Expectation::Within(most) = entry.expectation else {
        let report = make(entry.seed)?;
        let (status, what) = judge(entry, target, &report);
        let found = Some(ending(&report).to_owned());
        return Ok(Checked { status, what, found, seed: Some(entry.seed), report: Some(report) });
    };
    let mut others: Vec<String> = Vec::new();
    for seed in (entry.seed..=u64::MAX).take(usize::try_from(most).unwrap_or(usize::MAX)) {
        let report = make(seed)?;
        if let Some(signature) = hit(entry, target, &report) {
            let after = text::count(seed - entry.seed + 1, "seed");
            return Ok(Checked {
                status: Status::Held,
                what: format!("found by {signature} after {after} of {most}"),
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
    let what = format!("not found within {}: {why}", text::count(most, "seed"));
    Ok(Checked { status: Status::Broken, what, found: None, seed: None, report: None })
}

/// The signature by which the run shows the bug that the entry searches for.
fn hit(entry: &Entry, target: &Target<'_>, report: &Report) -> Option<String> {
    let bug = entry.bug(target)?;
    let found = report.violations().find(|failure| bug.is_broken_by(&failure.signature));
    found.map(|failure| failure.signature.clone())
}

/// Whether a run is what the entry expects, and that in words.
pub fn judge(entry: &Entry, target: &Target<'_>, report: &Report) -> (Status, String) {
    let ending = ending(report);
    match &entry.expectation {
        Expectation::Within(_) => match hit(entry, target, report) {
            Some(signature) => (Status::Held, format!("found by {signature}")),
            None => (Status::Broken, format!("not found, but {ending}")),
        },
        Expectation::Run { expect, .. } if expect != ending => {
            (Status::Broken, format!("expected {expect}, found {ending}"))
        }
        Expectation::Run { world, .. } if *world.get_ref() != report.world => {
            let what = format!("{ending}, but in another run: world {}, now {}", world.get_ref(), report.world);
            (Status::Drifted, what)
        }
        Expectation::Run { digest, .. } if *digest.get_ref() != report.digest => {
            let digest = digest.get_ref();
            (Status::Drifted, format!("{ending}, but planned in another way: digest {digest}, now {}", report.digest))
        }
        Expectation::Run { .. } => (Status::Held, ending.to_owned()),
    }
}
