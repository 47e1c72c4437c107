//! The summary as Markdown, for the page of a CI run.

use super::junit::at;
use super::summary::{Failure, ScenarioRow, Summary};
use super::tally::Fault;
use crate::exit::Exit;
use crate::metrics::COLUMNS;
use crate::text::{self, count};

/// How many lines of an explanation are shown; the bundle has all.
const MOST_LINES: usize = 40;

/// The whole page.
pub fn page(summary: &Summary) -> String {
    let word = match summary.exit() {
        Exit::Held => "All held",
        Exit::BugFound => "A bug was found",
        Exit::BadInput => "A scenario is wrong",
        Exit::HarnessFailed if summary.nondeterministic + summary.harness_failures == 0 => "Interrupted: no verdict",
        Exit::HarnessFailed => "The harness failed",
    };
    let mut page = format!("# {word}\n\n{}", summary.verdict().1);
    if let Some(shard) = summary.shard {
        page += &format!(", in {shard}");
    }
    page += &format!("; commit {}\n", code(&summary.build.commit));
    page += &bugs(summary);
    page += &bad_scenario(summary);
    page += &harness(summary);
    page += &scenarios(&summary.scenarios);
    let declared = summary.scenarios.iter().filter_map(|row| Some([code(&row.path), row.declared()?]));
    page += &table("Counted as passed", ["scenario", "runs"], declared);
    page += &planted(summary);
    page += &metrics(summary);
    page += &table("Dose", ["what", "times"], summary.dose.iter().map(|(name, times)| [code(name), times.to_string()]));
    let never = summary.never.iter().map(|never| [format!("{}!", never.kind), code(&never.name), code(&never.at)]);
    page += &table("Never held", ["probe", "name", "where"], never);
    let not_yet = summary.not_yet.iter();
    let not_yet = not_yet
        .map(|unmet| [code(&unmet.scenario), code(&unmet.name), unmet.expected.to_string(), unmet.found.to_string()]);
    page + &table("Expected of a whole sweep, and not met so far", ["scenario", "what", "expected", "found"], not_yet)
}

fn bugs(summary: &Summary) -> String {
    let mut text = String::new();
    if !summary.failures.is_empty() {
        text += &format!("\n## {}\n", count(summary.failures.len() as u64, "distinct bug"));
    }
    for failure in &summary.failures {
        let Failure { signature, system, scenario, explanation, .. } = failure;
        let place = match failure.seed {
            Some(seed) => {
                let runs = count(failure.count, "run");
                format!("{runs}; the cheapest is {} seed {seed}{}", code(scenario), at(failure))
            }
            None => format!("the sweep of {} as a whole", code(scenario)),
        };
        text += &format!("\n### {} in {}\n\n{place}\n\n", code(signature), code(system));
        text += &block("console", failure.how_to_repeat());
        let cut = explanation.lines().count() > MOST_LINES;
        let lines: Vec<&str> = explanation.lines().take(MOST_LINES).chain(cut.then_some("...")).collect();
        text += &format!("\n{}", block("text", &lines.join("\n")));
        if let Some(bundle) = &failure.bundle {
            text += &format!("\nEverything about that run is in {}.\n", code(bundle));
        }
    }
    text
}

fn bad_scenario(summary: &Summary) -> String {
    let Some(Fault { scenario, seed, what, replay }) = &summary.bad_scenario else { return String::new() };
    let title = format!("\n## {} is wrong with seed {seed}, and the sweep ended there\n\n", code(scenario));
    title + &block("console", replay) + "\n" + &block("text", what)
}

fn harness(summary: &Summary) -> String {
    let mut text = String::new();
    for (n, what) in
        [(summary.nondeterministic, "ran differently the second time"), (summary.harness_failures, "could not be run")]
    {
        if n > 0 {
            text += &format!("\n## The harness failed: {} {what}\n", count(n, "seed"));
        }
    }
    for harness in &summary.harness {
        let fault = &harness.fault;
        text += &format!("\n{} seed {}: {}\n\n", code(&fault.scenario), fault.seed, text::one_line(&fault.what));
        text += &block("console", &fault.replay);
    }
    text
}

fn scenarios(rows: &[ScenarioRow]) -> String {
    let row = |row: &ScenarioRow| {
        let counts = row.counts;
        let numbers = [counts.runs, counts.passed, counts.failed, counts.unknown].map(|n| n.to_string());
        let [runs, passed, failed, unknown] = numbers;
        [code(&row.path), runs, passed, failed, unknown]
    };
    table("Scenarios", ["scenario", "runs", "pass", "fail", "unknown"], rows.iter().map(row))
}

fn planted(summary: &Summary) -> String {
    let rows = summary.planted.iter().map(|search| {
        let (found, by) = match (search.after_seeds, &search.first) {
            (Some(seeds), Some(hit)) => (format!("after {}", count(seeds, "seed")), code(&hit.replay)),
            (_, Some(hit)) => (format!("no, only {}", code(&hit.signature)), code(&hit.replay)),
            (_, None) => ("no".to_owned(), String::new()),
        };
        [code(&search.name), found, by]
    });
    table("Planted bugs", ["bug", "found", "by"], rows)
}

fn metrics(summary: &Summary) -> String {
    let lines =
        summary.systems.iter().flat_map(|(name, row)| row.metrics.all_lines().into_iter().map(move |l| (name, l)));
    let rows = lines.map(|(name, line)| {
        let [p50, p90, p99, max] = line.cells;
        [code(name), line.name, p50, p90, p99, max, line.of]
    });
    let [p50, p90, p99, max] = COLUMNS;
    table("Metrics", ["system", "metric", p50, p90, p99, max, "of"], rows)
}

/// A titled table, or nothing if it has no rows.
fn table<const N: usize>(title: &str, head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rows: String = rows.map(|row| line(&row.map(|cell| cell.replace('|', r"\|").replace('\n', " ")))).collect();
    if rows.is_empty() {
        return String::new();
    }
    let rule = "---|".repeat(N);
    format!("\n## {title}\n\n{}|{rule}\n{rows}", line(&head.map(str::to_owned)))
}

/// Text that is shown as it is, on one line.
fn code(text: &str) -> String {
    let fence = fence(text, 1);
    let space = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

/// Text that is shown as it is, on lines of its own.
fn block(language: &str, text: &str) -> String {
    let fence = fence(text, 3);
    format!("{fence}{language}\n{text}\n{fence}\n")
}

/// Back-ticks that the text does not end: more than it has anywhere in a row.
fn fence(text: &str, least: usize) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(least.max(if longest >= least { longest + 1 } else { least }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_ends_its_code() {
        assert_eq!(code("a"), "`a`");
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("`a`"), "`` `a` ``");
        assert_eq!(block("text", "```"), "````text\n```\n````\n");
    }

    #[test]
    fn a_table_without_rows_is_not_there() {
        assert_eq!(table("T", ["a"], std::iter::empty()), "");
        let rows = [["x|y".to_owned(), "1".to_owned()]].into_iter();
        assert_eq!(table("T", ["a", "b"], rows), "\n## T\n\n| a | b |\n|---|---|\n| x\\|y | 1 |\n");
    }
}
