//! A replay's header and ending, for a reader.

use owo_colors::OwoColorize;
use sim::{Outcome, Report};

use crate::metrics::{self, Figures};
use crate::scenarios::Loaded;
use crate::text::{Stamp, indented};

/// What is known before the run.
pub fn header(loaded: &Loaded<'_>, seed: u64, planted: &[String], draws: &[(String, String)]) -> String {
    let mut text = String::new();
    let mut row = |title: &str, value: &str| text += &format!("{}  {value}\n", format!("{title:<8}").bold());
    row("scenario", loaded.scenario.path());
    if !loaded.scenario.description().is_empty() {
        row("", loaded.scenario.description());
    }
    row("system", loaded.scenario.system());
    row("seed", &seed.to_string());
    if let Some(frozen) = &loaded.frozen {
        row("frozen", &format!("from {}", frozen.scenario));
    }
    if !planted.is_empty() {
        row("planted", &planted.join(", "));
    }
    for (i, (path, value)) in draws.iter().enumerate() {
        row(if i == 0 { "drawn" } else { "" }, &format!("{path} = {value}"));
    }
    text + "\n"
}

/// What is known after it.
pub fn ending(report: &Report) -> String {
    let mut text = String::new();
    if report.faults.is_empty() {
        text += &format!("{}\n", "no fault happened".bold());
    } else {
        text += &format!("{}\n", "faults".bold());
    }
    for fault in &report.faults {
        text += &format!("  {fault}\n");
    }
    if !report.prevented.is_empty() {
        text += &format!("\n{}\n", "what did not happen".bold());
    }
    for prevented in &report.prevented {
        text += &format!("  {prevented}\n");
    }
    let measured = metrics::table([("", Figures::from(&report.metrics).lines())]);
    if !measured.is_empty() {
        text += &format!("\n{}\n{measured}", metrics::head("metrics").bold());
    }
    text += &format!("\n{}\n", verdict(report));
    if let Some(failure) = report.failure.as_ref().or(report.declared.as_ref()) {
        text += &indented(&failure.explanation);
    }
    for also in &report.also {
        text += &format!("\n{} {} at {}\n", "also".yellow().bold(), also.signature, Stamp(also.at_ns));
        text += &indented(&also.explanation);
    }
    let Report { events, virtual_ns, digest, world, .. } = report;
    text + &format!("\n{events} events in {} of virtual time\ndigest {digest}\nworld  {world}\n", Stamp(*virtual_ns))
}

fn verdict(report: &Report) -> String {
    let what = |word: &str| match (&report.failure, &report.declared) {
        (Some(failure), _) => format!("{word} {} at {}", failure.signature, Stamp(failure.at_ns)),
        (None, Some(declared)) => {
            format!("{word}: as declared, it failed with {} at {}", declared.signature, Stamp(declared.at_ns))
        }
        (None, None) => word.to_owned(),
    };
    match report.verdict {
        Outcome::Pass => what("PASS").green().bold().to_string(),
        Outcome::Fail => what("FAIL").red().bold().to_string(),
        Outcome::Unknown => what("UNKNOWN").yellow().bold().to_string(),
    }
}
