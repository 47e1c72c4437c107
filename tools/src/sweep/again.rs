//! Makes the run that shows a bug best once more, in a fresh process, before its replay line is printed: a replay is made in
//! one, too. What does not repeat depends on more than its seed.

use sim::{Outcome, Report};

use super::bugs::Example;
use super::tally::Tally;
use super::verify;
use crate::stop::Stop;
use crate::worker::process::Side;
use crate::worker::team::Team;
use crate::worker::{Maker, Ran, Run, death};

/// So many other runs are made before the one that is compared with the run of a fresh process.
const BEFORE: u64 = 3;

/// Makes the run of each bug again. Counts those that do not repeat as nondeterministic.
pub fn confirm(tally: &mut Tally<'_>, team: &Team<'_>, stop: &Stop) {
    let bugs = tally.bugs.by_signature.iter().map(|((_, signature), bug)| {
        let run = Run { scenario: bug.best.scenario, seed: bug.best.seed };
        (run, differs(signature, &bug.best, run, team, stop))
    });
    let differing: Vec<(Run, String)> = bugs.filter_map(|(run, how)| Some((run, how?))).collect();
    for (run, how) in differing {
        tally.add_differing(run, how);
    }
}

/// How the run differs in a fresh process, if it does.
fn differs(signature: &str, best: &Example, run: Run, team: &Team<'_>, stop: &Stop) -> Option<String> {
    if from_outside(signature) {
        return None;
    }
    let mut fresh = team.maker_on(Side::First, stop);
    let (ran, _) = fresh.make(run)?;
    let what = match ran {
        Ran::Ended(again) => {
            let what = compare(signature, best, &again)?;
            if death::is_death(&again) {
                what
            } else {
                format!("{what}\n{}", first_event(&mut *fresh, run, team, stop).unwrap_or_else(|why| why))
            }
        }
        Ran::Broken(why) | Ran::NoWorker(why) | Ran::Differs { how: why, .. } => format!("it could not be made: {why}"),
        Ran::BadScenario(_) => "its scenario was invalid".to_owned(),
    };
    Some(format!("it does not repeat: in the sweep it failed with {signature}; in a fresh process {what}"))
}

/// Whether a run died of what came from outside, and has nothing to repeat.
fn from_outside(signature: &str) -> bool {
    ["process:signal-9", "process:signal-15"].contains(&signature)
}

/// What the run of a fresh process did otherwise.
fn compare(signature: &str, best: &Example, again: &Report) -> Option<String> {
    match again.violations().next() {
        None if again.verdict == Outcome::Pass => Some("it passed".to_owned()),
        None => Some("a check of it gave up".to_owned()),
        Some(other) if other.signature != signature => Some(format!("it failed with {}", other.signature)),
        Some(_) if death::is_death(again) || again.digest == best.digest => None,
        Some(_) => Some("it failed in the same way, but not at the same time or place".to_owned()),
    }
}

/// The first event that differs between a process that made other runs before and a fresh one.
fn first_event(fresh: &mut dyn Maker, run: Run, team: &Team<'_>, stop: &Stop) -> Result<String, String> {
    let mut worn = team.maker_on(Side::First, stop);
    for before in 1..=BEFORE {
        let seed = run.seed.checked_sub(before).unwrap_or(run.seed.saturating_add(before));
        worn.make(Run { seed, ..run }).ok_or("the sweep has ended")?;
    }
    verify::first_event(&mut *worn, fresh, run)
}
