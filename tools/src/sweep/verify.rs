//! `--verify`: makes a run twice, in two processes, and compares the reports. If the reports differ, both processes repeat the
//! run with a recorder, to name the first event that differs.

use std::time::Duration;

use sim::Report;

use crate::worker::{Maker, Ran, Run, death};

/// Lines of trace before the one that differs.
const BEFORE: usize = 3;

/// Makes a run with each of the two, and compares the reports.
pub fn verify(first: &mut dyn Maker, second: &mut dyn Maker, run: Run) -> Option<(Ran, Duration)> {
    let ((one, took_one), (other, took_other)) = (first.make(run)?, second.make(run)?);
    let ran = match (one, other) {
        (Ran::Ended(one), Ran::Ended(other)) if is_same(&one, &other) => Ran::Ended(one),
        (Ran::Ended(one), Ran::Ended(other)) => {
            let how = difference(&one, &other);
            let how = match death::is_death(&one) || death::is_death(&other) {
                true => how,
                false => format!("{how}\n{}", first_event(first, second, run).unwrap_or_else(|why| why)),
            };
            Ran::Differs { first: one, how }
        }
        (Ran::Ended(_), ran) | (ran, _) => ran,
    };
    Some((ran, took_one + took_other))
}

/// A dead worker's report has no digest, so two deaths are the same if their signatures are.
fn is_same(one: &Report, other: &Report) -> bool {
    one == other || death::is_death(one) && death::is_death(other) && signature(one) == signature(other)
}

fn signature(report: &Report) -> &str {
    report.violations().next().map_or("it passed", |failure| &failure.signature)
}

/// What two reports of the same seed disagree about, the most telling first.
fn difference(one: &Report, other: &Report) -> String {
    if death::is_death(one) || death::is_death(other) {
        return format!("it did not end in the same way: {}, then {}", signature(one), signature(other));
    }
    let what = if one.world != other.world {
        ("what happened", &one.world, &other.world)
    } else if one.digest != other.digest {
        ("what was planned", &one.digest, &other.digest)
    } else {
        return "what happened is the same, but it was judged or counted differently".to_owned();
    };
    format!("{} is not the same: digest {}, then {}", what.0, what.1, what.2)
}

/// Makes the run once more on both sides and shows where they part. The error is what to say instead.
fn first_event(first: &mut dyn Maker, second: &mut dyn Maker, run: Run) -> Result<String, String> {
    let cannot = |why: String| format!("which event differs is not known: {why}");
    let (one, other) = (first.record(run).map_err(cannot)?, second.record(run).map_err(cannot)?);
    let same = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
    if same == one.len() && same == other.len() {
        return Err(format!("with a recorder on, both had the same {same} events: it differs only sometimes"));
    }
    let start = same.saturating_sub(BEFORE);
    let mut lines = first.lines(start..same + 1).map_err(cannot)?;
    let others = second.lines(same..same + 1).map_err(cannot)?;
    let ended = || "no more events".to_owned();
    let one = if lines.len() > same - start { lines.pop().unwrap_or_else(ended) } else { ended() };
    let other = others.into_iter().next().unwrap_or_else(ended);
    let mut text = format!("the first event that differs is the one after {same} others:\n");
    for line in lines {
        text += &format!("  both    {line}\n");
    }
    Ok(text + &format!("  first   {one}\n  second  {other}"))
}
