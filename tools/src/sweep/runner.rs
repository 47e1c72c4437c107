//! What a thread of the pool works with: a worker, this process itself, or two of either that are compared.

use std::time::Duration;

use super::pool::{Done, Runner};
use super::schedule::Job;
use super::verify::verify;
use crate::worker::here::Here;
use crate::worker::remote::Remote;
use crate::worker::{Maker, Ran, Run};

/// Makes the runs of one thread.
pub enum Crew<'a> {
    /// A worker, which knows its next run before it has done the last one.
    Ahead(Remote<'a>, Vec<Job>),
    /// One run at a time.
    Steps(Steps<'a>, Option<Job>),
}

/// How one run is made, or two that are to be the same.
pub enum Steps<'a> {
    /// In this process.
    Here(Here<'a>),
    /// Twice in this process.
    TwiceHere(Here<'a>, Here<'a>),
    /// In one worker, then in another.
    TwiceRemote(Remote<'a>, Remote<'a>),
}

impl Runner<Ran> for Crew<'_> {
    fn is_idle(&self) -> bool {
        match self {
            Crew::Ahead(_, jobs) => jobs.is_empty(),
            Crew::Steps(_, job) => job.is_none(),
        }
    }

    fn has_room(&self) -> bool {
        match self {
            Crew::Ahead(remote, _) => remote.has_room(),
            Crew::Steps(_, job) => job.is_none(),
        }
    }

    fn begin(&mut self, job: Job) {
        match self {
            Crew::Ahead(remote, jobs) => {
                remote.begin(job.run);
                jobs.push(job);
            }
            Crew::Steps(_, next) => *next = Some(job),
        }
    }

    fn finish(&mut self) -> Option<Done<Ran>> {
        let (job, (result, took)) = match self {
            Crew::Ahead(remote, jobs) => {
                let (_, ran, took) = remote.finish()?;
                (jobs.remove(0), (ran, took))
            }
            Crew::Steps(steps, next) => {
                let job = next.take()?;
                (job, steps.make(job.run)?)
            }
        };
        Some(Done { job, result, took })
    }
}

impl Steps<'_> {
    fn make(&mut self, run: Run) -> Option<(Ran, Duration)> {
        match self {
            Steps::Here(here) => here.make(run),
            Steps::TwiceHere(first, second) => verify(first, second, run),
            Steps::TwiceRemote(first, second) => verify(first, second, run),
        }
    }
}
