//! Whatever is done to a scenario, it parses or there is an error that says where: no panic, no caret out of the file.

use proptest::prelude::*;

use super::{FULL, description, nodes};
use crate::scenario::{Scenario, check};

fn judge(source: &str) -> Result<(), TestCaseError> {
    let error = match Scenario::parse("x.toml", source) {
        Err(error) => error,
        Ok(scenario) => match scenario.plan(1) {
            Err(error) => error,
            Ok(plan) => match check(&scenario, &plan, &description(), &nodes()) {
                Err(error) => error,
                Ok(()) => return Ok(()),
            },
        },
    };
    prop_assert!(!error.diagnostics().is_empty());
    for diagnostic in error.diagnostics() {
        let span = diagnostic.span.clone();
        prop_assert!(span.is_some_and(|span| span.end <= source.len()), "{diagnostic:?}");
        prop_assert!(!diagnostic.title.is_empty() && !diagnostic.title.contains('\n'), "{diagnostic:?}");
    }
    prop_assert!(error.to_string().contains("x.toml:"), "{error}");
    error.render(true);
    Ok(())
}

/// One change of a text, in pieces that are characters or lines.
fn mutate(source: &str, by_line: bool, what: u8, at: usize, other: usize) -> String {
    let mut pieces: Vec<String> = match by_line {
        true => source.split_inclusive('\n').map(str::to_owned).collect(),
        false => source.chars().map(String::from).collect(),
    };
    let (at, other) = (at % pieces.len().max(1), other % pieces.len().max(1));
    if pieces.is_empty() {
        return String::new();
    }
    match what {
        0 => {
            pieces.remove(at);
        }
        1 => pieces.insert(at, pieces[other].clone()),
        2 => pieces.swap(at, other),
        3 => pieces.truncate(at),
        _ => pieces[at] = pieces[at].replace('\n', "\r\n"),
    }
    pieces.concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_parses_or_is_explained(source in "\\PC*|[\\[\\]{}=\"'#\\\\.,a-z0-9\\s\u{0}-\u{7f}é\u{feff}🦀]{0,60}") {
        judge(&source)?;
    }

    #[test]
    fn any_values_parse_or_are_explained(
        table in prop::sample::select(vec!["[system]\nname=\"a\"\n", "[run]\n", "[network]\n", "[[fault]]\n", "[fault]\n"]),
        key in prop::sample::select(vec![
            "at", "every", "when", "after", "do", "for", "times", "main", "latency", "loss", "max_down", "enabled", "name",
        ]),
        value in "[\\[\\]{}=\"a-z0-9., _-]{0,30}",
    ) {
        judge(&format!("[system]\nname = \"primary_backup\"\n{table}{key} = {value}\n"))?;
    }

    #[test]
    fn a_damaged_scenario_parses_or_is_explained(
        changes in prop::collection::vec((any::<bool>(), 0u8..5, any::<usize>(), any::<usize>()), 1..4)
    ) {
        let damaged = changes.iter().fold(FULL.to_owned(), |text, &(by_line, what, at, other)| {
            mutate(&text, by_line, what, at, other)
        });
        judge(&damaged)?;
    }
}
