//! The summary on one screen.

use std::collections::BTreeSet;

use comfy_table::{Attribute, Cell, CellAlignment, Color, Row, Table, presets};
use owo_colors::OwoColorize;
use sim::fault::Fault as Kind;
use sim::scenario::plan::DECLARED;

use super::planted::Search;
use super::summary::{Failure, Harness, ScenarioRow, Summary};
use super::tally::Fault;
use crate::exit::Exit;
use crate::metrics;
use crate::registry::Registry;
use crate::text::{self, Stamp, count};

/// More scenarios than these, and those in which all held are summed up in one line.
const MOST_SCENARIOS: usize = 24;
/// More distinct bugs than these are left to `--json`.
const MOST_BUGS: usize = 8;
/// More probes that never held than these are left to `--json`.
const MOST_PROBES: usize = 8;
/// Where the values of the dose begin.
const COLUMN: usize = 14;

/// Everything that a reader needs, the verdict last.
pub fn screen(summary: &Summary, registry: &Registry<'_>) -> String {
    let mut text = scenarios(&summary.scenarios);
    text += &bugs(summary);
    text += &planted(&summary.planted);
    text += &dose(summary, registry);
    text += &performance(summary);
    text += &notes(summary);
    text += &harness(summary);
    text += &last_lines(summary);
    text
}

fn scenarios(rows: &[ScenarioRow]) -> String {
    let held = ScenarioRow::held;
    let is_long = rows.len() > MOST_SCENARIOS;
    let mut table = Table::new();
    table.load_style(presets::NOTHING).enforce_styling().style_text_only();
    let titles = ["scenario", "runs", "pass", "fail", "unknown"];
    table.set_header(titles.map(|title| Cell::new(title).add_attribute(Attribute::Bold)));
    for row in rows.iter().filter(|row| !is_long || !held(row)) {
        let count = |n: u64, color: Color| if n > 0 { Cell::new(n).fg(color) } else { Cell::new(n) };
        table.add_row(Row::from(vec![
            Cell::new(&row.path),
            Cell::new(row.counts.runs),
            count(row.counts.passed, Color::Green),
            count(row.counts.failed, Color::Red),
            count(row.counts.unknown, Color::Yellow),
        ]));
    }
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((if i == 0 { 0 } else { 2 }, 0));
        column.set_cell_alignment(if i == 0 { CellAlignment::Left } else { CellAlignment::Right });
    }
    let mut text: String = table.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
    if is_long {
        let others: Vec<&ScenarioRow> = rows.iter().filter(|row| held(row)).collect();
        let runs: u64 = others.iter().map(|row| row.counts.runs).sum();
        let title = count(others.len() as u64, if others.len() == rows.len() { "scenario" } else { "other scenario" });
        text += &format!("{title}: all {} passed\n", count(runs, "run"));
    }
    text
}

fn bugs(summary: &Summary) -> String {
    if summary.failures.is_empty() {
        return String::new();
    }
    let title = count(summary.failures.len() as u64, "distinct bug");
    let mut text = format!("\n{}\n", title.red().bold());
    for failure in summary.failures.iter().take(MOST_BUGS) {
        text += &bug(failure);
    }
    if let Some(more) = summary.failures.len().checked_sub(MOST_BUGS).filter(|more| *more > 0) {
        text += &format!("\n  and {more} more: `--json` has them all\n");
    }
    text
}

fn bug(failure: &Failure) -> String {
    let Failure { signature, system, scenario, count: runs, .. } = failure;
    let (how_often, place) = match failure.seed {
        Some(seed) => {
            let at = failure.at_ns.map_or(String::new(), |at_ns| format!(" at {}", Stamp(at_ns)));
            let cheapest = if *runs > 1 { "cheapest: " } else { "" };
            let scenarios = match failure.scenarios.len() {
                1 => String::new(),
                n => format!(" of {n} scenarios"),
            };
            (format!("{}{scenarios}", count(*runs, "run")), format!("{cheapest}{scenario} seed {seed}{at}"))
        }
        None => ("the sweep as a whole".to_owned(), scenario.clone()),
    };
    // Why too little happened stands at the end.
    let explanation = match signature.starts_with("dose:") {
        true => text::list("", 4, failure.explanation.split(' ').map(str::to_owned), " "),
        false => format!("    {}\n", text::one_line(&failure.explanation)),
    };
    let mut text = format!("\n  {}  {system}, {how_often}\n    {place}\n{explanation}", signature.red().bold());
    text += &format!("    {}\n", failure.how_to_repeat().cyan());
    if let Some(bundle) = &failure.bundle {
        text += &format!("    everything about it: {bundle}\n");
    }
    text
}

fn planted(searches: &[Search]) -> String {
    if searches.is_empty() {
        return String::new();
    }
    let width = searches.iter().map(|search| search.name.chars().count()).max().unwrap_or(0);
    let mut text = format!("\n{}\n", "planted bugs".bold());
    for search in searches {
        let name = format!("{:<width$}", search.name);
        text += &match (search.after_seeds, &search.first) {
            (Some(seeds), Some(hit)) => {
                let after = count(seeds, "seed");
                let by = format!("by {} in {} seed {}", hit.signature, hit.scenario, hit.seed);
                format!("  {name}  {} after {after}, {by}\n", "FOUND".green().bold())
            }
            (_, Some(hit)) => {
                let why = format!("only {} in {} seed {}", hit.signature, hit.scenario, hit.seed);
                format!("  {name}  {} as itself, {why}\n", "NOT FOUND".red().bold())
            }
            (_, None) => format!("  {name}  {}: no run failed\n", "NOT FOUND".red().bold()),
        };
    }
    text
}

fn dose(summary: &Summary, registry: &Registry<'_>) -> String {
    let descriptions = registry.entries().iter().map(|entry| &entry.description);
    let events: BTreeSet<&str> =
        descriptions.flat_map(|description| &description.events).map(|event| event.name.as_str()).collect();
    let mut groups = [("faults", vec![]), ("effects", vec![]), ("operations", vec![]), ("events", vec![])];
    for (name, times) in &summary.dose {
        let group = match name.as_str() {
            name if Kind::<()>::NAMES.contains(&name) => 0,
            name if events.contains(name) => 3,
            "ops_ok" | "ops_failed" | "ops_unknown" => 2,
            // Already among the faults and in `ops_ok`; `--json` has them apart.
            name if name.starts_with("op.") || name.starts_with("rule.") => continue,
            // They have lines of their own.
            DECLARED => continue,
            _ => 1,
        };
        groups[group].1.push(format!("{name} {times}"));
    }
    let mut text = format!("\n{}\n", "dose".bold());
    if groups[0].1.is_empty() {
        groups[0].1.push("none".to_owned());
    }
    for (title, words) in groups.into_iter().filter(|(_, words)| !words.is_empty()) {
        text += &text::list(title, COLUMN, words, ", ");
    }
    text
}

/// How well the systems did.
fn performance(summary: &Summary) -> String {
    let groups = summary.systems.iter().map(|(name, row)| (name.as_str(), row.metrics.lines()));
    let table = metrics::table(groups);
    if table.is_empty() { table } else { format!("\n{}\n{table}", metrics::head("metrics").bold()) }
}

/// What a reader should know, but nothing fails for.
fn notes(summary: &Summary) -> String {
    let mut text = String::new();
    let declared = summary.scenarios.iter().filter_map(|row| Some((&row.path, row.declared()?)));
    let declared: String = declared.map(|(path, declared)| format!("  {path}: {declared}\n")).collect();
    if !declared.is_empty() {
        text += &format!("\n{}\n{declared}", "counted as passed".bold());
    }
    if !summary.never.is_empty() {
        text += &format!("\n{}\n", "never held in any run".yellow().bold());
        for never in summary.never.iter().take(MOST_PROBES) {
            text += &format!("  {}! {}  {}\n", never.kind, never.name, never.at);
        }
        if let Some(more) = summary.never.len().checked_sub(MOST_PROBES).filter(|more| *more > 0) {
            text += &format!("  and {more} more: `--json` has them all\n");
        }
    }
    if !summary.not_yet.is_empty() {
        let title = "expected of a whole sweep, and not met so far".yellow();
        text += &format!("\n{}\n", title.bold());
        for unmet in &summary.not_yet {
            text +=
                &format!("  {}: {} expected {}, found {}\n", unmet.scenario, unmet.name, unmet.expected, unmet.found);
        }
    }
    if !summary.only_later.is_empty() {
        text += &format!("\n{}\n", "only ever after another violation of the same run".yellow().bold());
        for later in &summary.only_later {
            text += &format!("  {}  {}, {}\n", later.signature, later.system, count(later.count, "run"));
        }
    }
    text
}

fn harness(summary: &Summary) -> String {
    let mut text = String::new();
    if let Some(Fault { scenario, seed, replay, .. }) = &summary.bad_scenario {
        let title = format!("{scenario} is wrong with seed {seed}, and the sweep ended there");
        text += &format!("\n{}\n  {}\n", title.red().bold(), replay.cyan());
    }
    for (n, what) in
        [(summary.nondeterministic, "ran differently the second time"), (summary.harness_failures, "could not be run")]
    {
        if n > 0 {
            let title = format!("the harness failed: {} {what}", count(n, "seed"));
            text += &format!("\n{}\n", title.red().bold());
        }
    }
    for Harness { fault, .. } in &summary.harness {
        let place = format!("{} seed {}", fault.scenario, fault.seed);
        let what = fault.what.replace('\n', "\n    ");
        text += &format!("\n  {place}\n    {what}\n    {}\n", fault.replay.cyan());
    }
    text
}

fn last_lines(summary: &Summary) -> String {
    let mut text = String::new();
    if let Some(shard) = summary.shard {
        let title = format!("{shard}: what the whole sweep is expected to see is judged by `cargo dst merge`");
        text += &format!("\n{}\n", title.yellow());
    }
    let Summary { counts, virtual_seconds, wall_seconds: wall, cpu_seconds: cpu, jobs, .. } = summary;
    let runs = counts.runs as f64;
    let jobs_text = count(*jobs as u64, "job");
    let speed = format!("{wall:.1}s with {jobs_text}: {:.0} runs/s", runs / wall);
    let virtual_time = format!("{:.0} virtual seconds per CPU-second", virtual_seconds / cpu.max(f64::MIN_POSITIVE));
    let (word, ran) = summary.verdict();
    let verdict = format!("{word}: {ran}");
    let verdict = match summary.exit() {
        Exit::Held => verdict.green().bold().to_string(),
        _ => verdict.red().bold().to_string(),
    };
    text + &format!("\n{speed}, {virtual_time}\n{verdict}\n")
}
