//! What a thread of the pool works with: one who makes runs, or two who are compared.

use std::time::Duration;

use super::pool::{Done, Runner};
use super::schedule::Job;
use super::verify::verify;
use crate::worker::remote::Remote;
use crate::worker::{Maker, Ran, Run};

/// Makes the runs of one thread.
pub enum Crew<'a> {
    /// A worker, which knows its next run before it has done the last one.
    Ahead(Box<Remote<'a>>, Vec<Job>),
    /// One run at a time; twice if there are two, one after the other, so that a job is never more than one core.
    Steps(Box<dyn Maker + 'a>, Option<Box<dyn Maker + 'a>>, Option<Job>),
}

impl Runner<Ran> for Crew<'_> {
    fn is_idle(&self) -> bool {
        match self {
            Crew::Ahead(_, jobs) => jobs.is_empty(),
            Crew::Steps(.., job) => job.is_none(),
        }
    }

    fn has_room(&self) -> bool {
        match self {
            Crew::Ahead(remote, _) => remote.has_room(),
            Crew::Steps(.., job) => job.is_none(),
        }
    }

    fn begin(&mut self, job: Job) {
        match self {
            Crew::Ahead(remote, jobs) => {
                remote.begin(job.run);
                jobs.push(job);
            }
            Crew::Steps(.., next) => *next = Some(job),
        }
    }

    fn finish(&mut self) -> Option<Done<Ran>> {
        let (job, (result, took)) = match self {
            Crew::Ahead(remote, jobs) => {
                let done = remote.finish()?;
                (jobs.remove(0), done)
            }
            Crew::Steps(first, second, next) => {
                let job = next.take()?;
                (job, step(&mut **first, second.as_deref_mut(), job.run)?)
            }
        };
        Some(Done { job, result, took })
    }
}

fn step<'a>(first: &mut (dyn Maker + 'a), second: Option<&mut (dyn Maker + 'a)>, run: Run) -> Option<(Ran, Duration)> {
    match second {
        None => first.make(run),
        Some(second) => verify(first, second, run),
    }
}
