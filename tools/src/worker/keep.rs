//! A run with everything about it written down: each event, each operation, and the run as a frozen scenario.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anstream::adapter::strip_str;
use anyhow::{Result, anyhow};
use sim::trace::record::{Record, Recorder};
use sim::{Report, RunOptions};

use super::Ran;
use super::one::{self, Task};
use crate::{picture, replay};

/// Files that only runs have whose failure is known in detail.
pub const DETAILS: &str = "linearization.json";
pub const PICTURE: &str = "linearization.html";

/// Makes the run, and writes its files to a folder.
///
/// # Errors
///
/// If a file cannot be written, the scenario is wrong, or the harness fails.
pub fn keep(task: &Task<'_>, seed: u64, folder: &Path) -> Result<Report> {
    let names = replay::nodes(task.system, &task.scenario.plan(seed)?)?;
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let trace = Arc::new(Mutex::new((BufWriter::new(File::create(folder.join("trace.txt"))?), Ok(()))));
    let sink = trace.clone();
    let recorder = Recorder::new(Box::new(move |record: Record| {
        let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, written) = &mut *sink;
        if written.is_ok() {
            *written = write!(file, "{}", strip_str(&replay::trace_line(&record, width)));
        }
    }));
    let options = RunOptions { recorder: Some(recorder), freeze: true, history: true, ..RunOptions::default() };
    let mut report = match one::run(task, seed, options) {
        Ran::Ended(report) => *report,
        Ran::BadScenario(error) => return Err((*error).into()),
        Ran::Broken(why) | Ran::NoWorker(why) | Ran::Differs { how: why, .. } => return Err(anyhow!(why)),
    };
    let mut trace = trace.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::replace(&mut trace.1, Ok(()))?;
    trace.0.flush()?;
    let mut history = BufWriter::new(File::create(folder.join("history.jsonl"))?);
    for line in report.history.take().iter().flatten() {
        serde_json::to_writer(&mut history, line)?;
        writeln!(history)?;
    }
    history.flush()?;
    if let Some(frozen) = report.frozen.take() {
        fs::write(folder.join("frozen.toml"), frozen)?;
    }
    if let Some(details) = replay::details(&report) {
        fs::write(folder.join(DETAILS), serde_json::to_string_pretty(details)? + "\n")?;
        fs::write(folder.join(PICTURE), picture::html(details))?;
    }
    let object = replay::object(&report, &task.planted);
    fs::write(folder.join("report.json"), serde_json::to_string_pretty(&object)? + "\n")?;
    Ok(report)
}
