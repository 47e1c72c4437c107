//! What a thread of the pool works with: one who makes runs, or two who are compared.

use super::pool::{Done, Runner};
use super::schedule::Job;
use super::verify::Pair;
use crate::worker::remote::Remote;
use crate::worker::{Maker, Ran};

/// Makes the runs of one thread.
pub enum Crew<'a> {
    /// A worker, which knows its next run before it has done the last one.
    Ahead(Box<Remote<'a>>, Vec<Job>),
    /// One run at a time.
    Steps(Box<dyn Maker + 'a>, Option<Job>),
    /// Each run twice, several at a time.
    Pair(Pair<'a>),
}

impl Runner<Ran> for Crew<'_> {
    fn is_idle(&self) -> bool {
        match self {
            Crew::Ahead(_, jobs) => jobs.is_empty(),
            Crew::Steps(_, job) => job.is_none(),
            Crew::Pair(pair) => pair.is_idle(),
        }
    }

    fn has_room(&self) -> bool {
        match self {
            Crew::Ahead(remote, _) => remote.has_room(),
            Crew::Steps(_, job) => job.is_none(),
            Crew::Pair(pair) => pair.has_room(),
        }
    }

    fn begin(&mut self, job: Job) {
        match self {
            Crew::Ahead(remote, jobs) => {
                remote.begin(job.run);
                jobs.push(job);
            }
            Crew::Steps(_, next) => *next = Some(job),
            Crew::Pair(pair) => pair.begin(job),
        }
    }

    fn finish(&mut self) -> Option<Done<Ran>> {
        let (job, (result, took)) = match self {
            Crew::Ahead(remote, jobs) => {
                let done = remote.finish()?;
                (jobs.remove(0), done)
            }
            Crew::Steps(maker, next) => {
                let job = next.take()?;
                (job, maker.make(job.run)?)
            }
            Crew::Pair(pair) => return pair.finish(),
        };
        Some(Done { job, result, took })
    }
}
