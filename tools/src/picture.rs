//! A picture of a history that is not linearizable: one HTML file that needs no other.
//!
//! A lane for each process, a bar for each operation, and on the bars the points of the longest order that there is, numbered.
//! What has no place in it is red. Time goes to the right but not to scale: each moment at which something began or ended has a
//! column of its own, since what matters is what came before what, and a second in which nothing happens would hide it.
//! Below, the same as a table, with the state after each operation.

use std::fmt::Write as _;

use sim::check::linearizable::{Explanation, Step};

use crate::text::Stamp;

/// Width of a column, and of the names to the left, in pixels.
const COLUMN: usize = 30;
const NAMES: usize = 60;
/// Height of a lane, and of the times above.
const LANE: usize = 44;
const TIMES: usize = 24;
/// Height of a bar.
const BAR: usize = 22;
/// Width of a letter, about.
const LETTER: usize = 7;
/// A moment is written above every such column.
const LABELLED: usize = 4;

const STYLE: &str = "\
body { font: 14px sans-serif; margin: 2em; color: #222; background: #fff }
code, td, .op, .lane { font-family: monospace; font-size: 12px }
.scroll { overflow-x: auto; border: 1px solid #ccc; margin: 1em 0 }
.placed { fill: #cfe2ff; stroke: #3b6fb5 }
.open { fill: #eef4ff; stroke: #3b6fb5; stroke-dasharray: 4 3 }
.stuck, tr.stuck td { fill: #ffd0d0; stroke: #c00000 }
tr.stuck td { color: #a00000; stroke: none }
.point { fill: #1d4f91 }
.number { fill: #fff; font: bold 9px sans-serif; text-anchor: middle }
.time { fill: #777; font-size: 10px }
.grid { stroke: #eee }
td, th { text-align: left; padding: 2px 12px 2px 0; vertical-align: top }
";

/// Draws it. The text is the same for the same explanation, to the byte.
pub fn html(explanation: &Explanation) -> String {
    let Explanation { model, part, placed, unplaced, hidden, .. } = explanation;
    let title = escaped(&format!("{model}: the operations on {part} are not linearizable"));
    let from = if explanation.at_is_exact { "from" } else { "at the latest from" };
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n\
         <p>There is no order that explains what was known {from} {}. The longest has {placed} of the {} operations completed by \
         then; what has no place in it is red.",
        Stamp(explanation.at_ns),
        placed + unplaced,
    );
    if *hidden > 0 {
        let before = escaped(&explanation.before);
        write!(page, " The first {hidden} operations of it are left out; they leave the state <code>{before}</code>.")
            .ok();
    }
    page += "</p>\n<p>A lane is a process, a bar an operation from invocation to completion; dashed ones had not completed, and \
             are assumed to have taken effect. A numbered point is where one takes effect. Time is not to scale: each beginning \
             and end has its column.</p>\n";
    page += &drawing(&explanation.operations);
    page += &table(explanation);
    page + "</body>\n</html>\n"
}

/// The lanes with their bars.
fn drawing(operations: &[Step]) -> String {
    let mut moments: Vec<u64> =
        operations.iter().flat_map(|step| [Some(step.invoked_ns), step.ended_ns]).flatten().collect();
    moments.sort_unstable();
    moments.dedup();
    let mut processes: Vec<u32> = operations.iter().map(|step| step.process).collect();
    processes.sort_unstable();
    processes.dedup();
    let column = |moment: u64| moments.partition_point(|other| *other < moment);
    let width = NAMES + (moments.len() + 2) * COLUMN;
    let height = TIMES + processes.len() * LANE;

    let mut svg = format!(
        "<div class=\"scroll\">\n<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\">\n"
    );
    for (place, moment) in moments.iter().enumerate().step_by(LABELLED) {
        let x = NAMES + place * COLUMN;
        writeln!(svg, "<line class=\"grid\" x1=\"{x}\" y1=\"{TIMES}\" x2=\"{x}\" y2=\"{height}\"/>").ok();
        writeln!(svg, "<text class=\"time\" x=\"{x}\" y=\"14\">{}</text>", Stamp(*moment)).ok();
    }
    for (lane, process) in processes.iter().enumerate() {
        let y = TIMES + lane * LANE + LANE / 2;
        writeln!(svg, "<text class=\"lane\" x=\"4\" y=\"{}\">p{process}</text>", y + 4).ok();
    }

    // Each takes effect as early as it can: once it is invoked, and after the one before.
    let mut earliest = 0;
    let mut points = String::new();
    for step in operations {
        let lane = processes.partition_point(|process| *process < step.process);
        let y = TIMES + lane * LANE + (LANE - BAR) / 2;
        let from = NAMES + column(step.invoked_ns) * COLUMN;
        let to =
            step.ended_ns.map_or(width - COLUMN / 2, |ended| NAMES + column(ended) * COLUMN).max(from + COLUMN / 3);
        let class = match (step.place, step.ended_ns) {
            (None, _) => "stuck",
            (Some(_), None) => "open",
            (Some(_), Some(_)) => "placed",
        };
        let wide = to - from;
        let text = escaped(&fitting(&words(step), wide.saturating_sub(10) / LETTER));
        writeln!(
            svg,
            "<g><title>{}</title><rect class=\"{class}\" x=\"{from}\" y=\"{y}\" width=\"{wide}\" height=\"{BAR}\" rx=\"3\"/>\
             <text class=\"op\" x=\"{}\" y=\"{}\">{text}</text></g>",
            escaped(&hover(step)),
            from + 5,
            y + 15,
        )
        .ok();
        if let Some(place) = step.place {
            earliest = (earliest + COLUMN / 3).max(from + 4).min(to);
            writeln!(
                points,
                "<circle class=\"point\" cx=\"{earliest}\" cy=\"{0}\" r=\"8\"/>\
                 <text class=\"number\" x=\"{earliest}\" y=\"{1}\">{place}</text>",
                y + BAR,
                y + BAR + 3,
            )
            .ok();
        }
    }
    svg + &points + "</svg>\n</div>\n"
}

fn table(explanation: &Explanation) -> String {
    let mut rows =
        "<table>\n<tr><th></th><th>process</th><th>operation</th><th>time</th><th>state after it</th></tr>\n"
            .to_owned();
    for step in &explanation.operations {
        let class = if step.place.is_some() { "placed" } else { "stuck" };
        let place = step.place.map_or("no place".to_owned(), |place| place.to_string());
        let state = match &step.state {
            Some(state) => escaped(state),
            None => escaped(&kept_out(step)),
        };
        let words = escaped(&words(step));
        let (process, when) = (step.process, when(step));
        writeln!(
            rows,
            "<tr class=\"{class}\"><td>{place}</td><td>p{process}</td><td>{words}</td><td>{when}</td><td>{state}</td></tr>"
        )
        .ok();
    }
    rows + "</table>\n"
}

/// What it was asked, and what it returned.
fn words(step: &Step) -> String {
    let Step { input, output, .. } = step;
    output.as_ref().map_or(input.clone(), |output| format!("{input} -> {output}"))
}

fn when(step: &Step) -> String {
    let ended = step.ended_ns.map_or("open".to_owned(), |ended| Stamp(ended).to_string());
    format!("{} .. {ended}", Stamp(step.invoked_ns))
}

fn kept_out(step: &Step) -> String {
    [step.why.as_deref(), step.needs.as_deref()].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn hover(step: &Step) -> String {
    let what = match &step.state {
        Some(state) => format!("state after it: {state}"),
        None => kept_out(step),
    };
    format!("p{} {}\n{}\n{what}", step.process, words(step), when(step))
}

/// As much of a text as there is room for.
fn fitting(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    let begin: String = text.chars().take(letters.saturating_sub(1)).collect();
    if begin.is_empty() { begin } else { begin + "…" }
}

/// Text as it stands in HTML, also in attributes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            // Not allowed in XML, and nothing to see.
            c if c.is_control() && c != '\n' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use sim::check::linearizable::{Operation, Outcome, Verdict, check};
    use sim::models::{Kv, KvOp, KvRet};

    use super::*;

    fn explanation(value: &str) -> Explanation {
        let operation = |process, op, invoked, at, ret| {
            let outcome = if at == 0 { Outcome::Unknown } else { Outcome::Ok { at, ret } };
            Operation { process, op, invoked, outcome }
        };
        let put = |value: &str| KvOp::Put { key: "k".into(), value: value.into() };
        let get = || KvOp::Get { key: "k".into() };
        let history = [
            operation(1, put("a"), 1_000, 4_000, KvRet::Done),
            operation(2, put(value), 2_000, 0, KvRet::Done),
            operation(3, get(), 5_000, 6_000, KvRet::Value(value.into())),
            operation(4, get(), 7_000, 8_000, KvRet::Value("a".into())),
        ];
        match check::<Kv>(&history, 1_000) {
            Verdict::Violation(violation) => violation.data,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_picture_as_a_whole() {
        insta::assert_snapshot!("picture", html(&explanation("b")));
    }

    #[test]
    fn what_values_contain_is_shown_and_does_nothing() {
        let page = html(&explanation("</svg><script>alert('x')</script>\u{7}&"));
        assert!(!page.contains("<script>") && page.contains("&lt;script&gt;"), "{page}");
        assert_eq!(page.matches("</svg>").count(), 1);
        assert_eq!(escaped("a&b<c>\"d'\u{1}"), "a&amp;b&lt;c&gt;&quot;d&#39;\u{fffd}");
    }

    #[test]
    fn a_text_is_cut_where_its_bar_ends() {
        assert_eq!(
            (fitting("get(k)", 6), fitting("get(k)", 4), fitting("get(k)", 0)),
            ("get(k)".into(), "get…".into(), "".into())
        );
    }

    #[test]
    fn every_point_is_on_its_bar() {
        let page = html(&explanation("b"));
        let numbers = |line: &str, key: &str| -> usize {
            let rest = line.split(&format!(" {key}=\"")).nth(1).unwrap();
            rest.split('"').next().unwrap().parse().unwrap()
        };
        let bars: Vec<_> = page
            .lines()
            .filter(|line| line.contains("<rect class=\"placed\"") || line.contains("<rect class=\"open\""))
            .collect();
        let points: Vec<_> = page.lines().filter(|line| line.starts_with("<circle")).collect();
        assert_eq!((bars.len(), points.len()), (3, 3));
        let mut last = 0;
        for (bar, point) in bars.into_iter().zip(points) {
            let (from, x) = (numbers(bar, "x"), numbers(point, "cx"));
            assert!((from..=from + numbers(bar, "width")).contains(&x) && x > last, "{page}");
            last = x;
        }
    }
}
