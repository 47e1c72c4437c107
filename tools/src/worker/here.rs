//! Runs made in this process.

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sim::trace::record::{Kind, Record, Recorder};
use sim::{Report, RunOptions};
use xxhash_rust::xxh3::xxh3_64;

use super::keep::keep;
use super::one::{self, Task};
use super::{Maker, Ran, Run};
use crate::text::Stamp;

/// How many lines of a trace are kept: what differs later than that stays without a name.
const MOST_LINES: usize = 1_000_000;

/// Makes runs of these tasks.
pub struct Here<'a> {
    tasks: &'a [Task<'a>],
    kept: Vec<String>,
}

impl<'a> Here<'a> {
    /// No trace is kept yet.
    pub fn new(tasks: &'a [Task<'a>]) -> Here<'a> {
        Here { tasks, kept: Vec::new() }
    }
}

impl Maker for Here<'_> {
    fn make(&mut self, run: Run) -> Option<(Ran, Duration)> {
        let began = Instant::now();
        Some((one::run(&self.tasks[run.scenario], run.seed, RunOptions::default()), began.elapsed()))
    }

    fn record(&mut self, run: Run) -> Result<Vec<u64>, String> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = lines.clone();
        let sink = move |record: Record| {
            let mut lines = kept.lock().unwrap_or_else(PoisonError::into_inner);
            if lines.len() < MOST_LINES {
                lines.push(line(&record));
            }
        };
        let options =
            RunOptions { recorder: Some(Recorder::new(Box::new(sink)).only(Kind::ALL)), ..RunOptions::default() };
        let ran = one::run(&self.tasks[run.scenario], run.seed, options);
        self.kept = std::mem::take(&mut lines.lock().unwrap_or_else(PoisonError::into_inner));
        match ran {
            Ran::Broken(why) => Err(why),
            _ => Ok(self.kept.iter().map(|line| xxh3_64(line.as_bytes())).collect()),
        }
    }

    fn keep(&mut self, run: Run, folder: &Path) -> Result<Report, String> {
        keep(&self.tasks[run.scenario], run.seed, folder).map_err(|error| format!("{error:#}"))
    }

    fn lines(&mut self, range: Range<usize>) -> Result<Vec<String>, String> {
        let end = range.end.min(self.kept.len());
        Ok(self.kept[range.start.min(end)..end].to_vec())
    }
}

fn line(record: &Record) -> String {
    let Record { at_ns, node, kind, text } = record;
    let text = text.replace('\n', "\\n");
    format!("{} {} {} {text}", Stamp(*at_ns), node.as_deref().unwrap_or("-"), kind.name())
}
