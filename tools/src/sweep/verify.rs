//! `--verify`: makes each run twice, in two processes, and compares the reports. If the reports differ, both processes repeat
//! the run with a recorder, to name the first event that differs.
//!
//! The two processes differ in all that must not matter. The second one makes the runs of a batch in reverse, and its
//! environment, locale, time zone, working directory, threads and addresses are others: what a run leaves behind for the next
//! one of its process, or finds of the machine, comes to light.

use std::collections::VecDeque;

use sim::Report;

use super::pool::Done;
use super::schedule::Job;
use crate::worker::{Maker, Ran, Run, death};

/// Lines of trace before the one that differs.
const BEFORE: usize = 3;

/// So many runs are made in order by the first and in reverse by the second.
const BATCH: usize = 8;

/// Two who make the same runs, one after the other, so that a pair is never more than one core.
pub struct Pair<'a> {
    first: Box<dyn Maker + 'a>,
    second: Box<dyn Maker + 'a>,
    jobs: Vec<Job>,
    done: VecDeque<Done<Ran>>,
    /// How many more runs the second has made than the first.
    ahead: usize,
}

impl<'a> Pair<'a> {
    /// Nothing is made yet.
    pub fn new(first: Box<dyn Maker + 'a>, second: Box<dyn Maker + 'a>) -> Pair<'a> {
        Pair { first, second, jobs: Vec::new(), done: VecDeque::new(), ahead: 0 }
    }

    /// Whether there is nothing to do and nothing to hand over.
    pub fn is_idle(&self) -> bool {
        self.jobs.is_empty() && self.done.is_empty()
    }

    /// Whether the batch takes one more.
    pub fn has_room(&self) -> bool {
        self.done.is_empty() && self.jobs.len() < BATCH
    }

    /// Adds to the batch.
    pub fn begin(&mut self, job: Job) {
        self.jobs.push(job);
    }

    /// Makes the batch if it is not made yet, and hands over the next of it. `None` if the sweep was stopped.
    pub fn finish(&mut self) -> Option<Done<Ran>> {
        if self.done.is_empty() {
            let jobs = std::mem::take(&mut self.jobs);
            self.done = self.make(&jobs)?.into();
        }
        self.done.pop_front()
    }

    fn make(&mut self, jobs: &[Job]) -> Option<Vec<Done<Ran>>> {
        let mut ones = Vec::new();
        for job in jobs {
            ones.push(self.first.make(job.run)?);
        }
        // In no place may the second have made as many runs before as the first: the difference is always odd.
        if jobs.len() % 2 == (self.ahead + 1) % 2 {
            self.second.make(jobs.first()?.run)?;
            self.ahead += 1;
        }
        let mut others = Vec::new();
        for job in jobs.iter().rev() {
            others.push(self.second.make(job.run)?);
        }
        let pairs = jobs.iter().zip(ones).zip(others.into_iter().rev());
        let compared = pairs.map(|((job, (one, took_one)), (other, took_other))| Done {
            job: *job,
            result: compare(&mut *self.first, &mut *self.second, job.run, one, other),
            took: took_one + took_other,
        });
        Some(compared.collect())
    }
}

fn compare(first: &mut dyn Maker, second: &mut dyn Maker, run: Run, one: Ran, other: Ran) -> Ran {
    match (one, other) {
        (Ran::Ended(one), Ran::Ended(other)) if is_same(&one, &other) => Ran::Ended(one),
        (Ran::Ended(one), Ran::Ended(other)) => Ran::Differs { how: how(first, second, run, &one, &other), first: one },
        (Ran::Ended(_), ran) | (ran, _) => ran,
    }
}

/// How two reports of the same run differ, with the first event that does.
pub fn how(first: &mut dyn Maker, second: &mut dyn Maker, run: Run, one: &Report, other: &Report) -> String {
    let how = difference(one, other);
    match death::is_death(one) || death::is_death(other) {
        true => how,
        false => format!("{how}\n{}", first_event(first, second, run).unwrap_or_else(|why| why)),
    }
}

/// A dead worker's report has no digest, so two deaths are the same if their signatures are.
pub fn is_same(one: &Report, other: &Report) -> bool {
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

/// Makes the run once more on both sides and shows where they part.
///
/// # Errors
///
/// What to say instead, if that is not known.
pub fn first_event(first: &mut dyn Maker, second: &mut dyn Maker, run: Run) -> Result<String, String> {
    let cannot = |why: String| format!("which event differs is not known: {why}");
    let one = first.record(run).map_err(cannot)?;
    let mut other = second.record(run).map_err(cannot)?;
    if one == other {
        // Both have made as many runs by now. After one more it may matter again.
        second.make(run).ok_or("the sweep has ended")?;
        other = second.record(run).map_err(cannot)?;
    }
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
