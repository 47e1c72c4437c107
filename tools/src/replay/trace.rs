//! Events, one line each, while they happen.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use owo_colors::OwoColorize;
use serde_json::json;
use sim::trace::record::{Kind, Record, Recorder};

use crate::cli::ReplayArgs;
use crate::console::Console;

/// Whether every line could be written. The run goes on if one could not: its verdict does not depend on readers.
#[derive(Clone, Default)]
pub struct Written(Arc<Mutex<Option<anyhow::Error>>>);

impl Written {
    fn note(&self, result: Result<()>) {
        if let Err(error) = result {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
    }

    /// The first error.
    pub fn check(&self) -> Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }
}

/// What prints the events that were asked for, if any were. Each line is written at once, so that what came before an
/// abort has been seen.
pub fn recorder(args: &ReplayArgs, nodes: &[String], console: &Console) -> (Option<Recorder>, Written) {
    let written = Written::default();
    if !args.wants_trace() {
        return (None, written);
    }
    let width = nodes.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let (console, wanted, json, notes) = (console.clone(), args.node.clone(), args.json, written.clone());
    let sink = move |record: Record| {
        let is_wanted = wanted.is_empty() || record.node.as_ref().is_some_and(|node| wanted.contains(node));
        if is_wanted {
            notes.note(if json { console.json(&object(&record)) } else { console.print(&line(&record, width)) });
        }
    };
    let mut recorder = Recorder::new(Box::new(sink));
    if !args.kind.is_empty() {
        recorder = recorder.only(args.kind.iter().copied());
    }
    if let Some(until) = args.until {
        recorder = recorder.until(u64::try_from(until.as_nanos()).unwrap_or(u64::MAX));
    }
    (Some(recorder), written)
}

fn object(record: &Record) -> serde_json::Value {
    let Record { at_ns, node, kind, text } = record;
    json!({ "type": "record", "at_ns": at_ns, "node": node, "kind": kind, "text": text })
}

/// `   1.000000000  server-0  send     -> ...`: time in seconds, node, kind, text.
pub(crate) fn line(record: &Record, width: usize) -> String {
    let Record { at_ns, node, kind, text } = record;
    let time = format!("{:>4}.{:09}", at_ns / 1_000_000_000, at_ns % 1_000_000_000);
    let node = format!("{:<width$}", node.as_deref().unwrap_or("-"));
    let kind_text = format!("{:<7}", kind.name());
    // One event is one line, whatever the system logs.
    let text = text.replace('\n', "\\n");
    let shown = format!("{kind_text}  {text}");
    let shown = match kind {
        Kind::Phase => shown.bold().to_string(),
        Kind::Fault | Kind::Node => shown.yellow().to_string(),
        Kind::Panic | Kind::Failure => shown.red().bold().to_string(),
        Kind::Event => shown.cyan().to_string(),
        Kind::Op => shown.green().to_string(),
        _ => shown,
    };
    format!("{}  {node}  {shown}\n", time.dimmed())
}
