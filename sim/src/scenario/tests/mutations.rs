//! Whatever is done to a scenario, it is right or there are errors that say where: no panic, no caret out of the file, nothing
//! twice, and not without end.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::warnings::System;
use super::{FULL, HEADER, description, nodes};
use crate::scenario::{Draft, Scenario, ScenarioError, Source, check, examine};

/// No more than this is shown of one scenario: a limit of the reader, and of draws, rules and names beside it.
const MOST_ERRORS: usize = 500;

fn judge(source: Source) -> Result<(), TestCaseError> {
    let strict = match Scenario::parse(source.path(), source.text()) {
        Err(error) => Some(error),
        Ok(scenario) => match scenario.plan(1) {
            Err(error) => Some(error),
            Ok(plan) => check(&scenario, &plan, &description(), &nodes()).err(),
        },
    };
    let examined = examine(&Draft::new(source.clone()), Some(&System));
    prop_assert_eq!(examined.scenario.is_some(), !examined.findings.has_errors());
    if let Some(error) = strict {
        prop_assert!(examined.findings.has_errors(), "examined without errors, but: {error}");
        well_formed(&error, &source)?;
    }
    well_formed(&examined.findings, &source)
}

fn well_formed(error: &ScenarioError, source: &Source) -> Result<(), TestCaseError> {
    let all = error.diagnostics();
    prop_assert!(all.len() <= MOST_ERRORS, "{} errors", all.len());
    for (index, diagnostic) in all.iter().enumerate() {
        prop_assert!(!all[..index].contains(diagnostic), "twice: {diagnostic:?}");
        let Some(span) = &diagnostic.span else {
            return Err(TestCaseError::fail(format!("without a place: {diagnostic:?}")));
        };
        prop_assert!(span.start <= span.end && span.end <= source.text().len(), "{diagnostic:?}");
        prop_assert!(!diagnostic.title.is_empty() && !diagnostic.title.contains('\n'), "{diagnostic:?}");
        let place = error.place(diagnostic);
        let line = source.text().split('\n').nth(place.line.unwrap() - 1).expect("a line of the file");
        prop_assert!(place.column.unwrap() <= line.chars().count() + 1, "{diagnostic:?}");
        prop_assert_eq!(place.path, source.path());
    }
    prop_assert!(all.is_sorted_by_key(|diagnostic| diagnostic.span.as_ref().unwrap().start));
    if !all.is_empty() {
        prop_assert!(error.to_string().contains(".toml:"), "{error}");
        error.render(true);
    }
    Ok(())
}

fn one(text: &str) -> Source {
    Source::new("x.toml", text)
}

/// One change of a text, in pieces that are characters or lines.
fn mutate(source: &str, (by_line, what, at, other): Change) -> String {
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

type Change = (bool, u8, usize, usize);

fn changes() -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec((any::<bool>(), 0u8..5, any::<usize>(), any::<usize>()), 1..4)
}

/// A change of what a value is, so that the text is still TOML: the mistakes that people make.
fn retype(source: &str, at: usize, value: &str) -> String {
    let places: Vec<usize> = source.match_indices("= ").map(|(at, _)| at + 2).collect();
    let Some(&start) = places.get(at % places.len().max(1)) else { return source.to_owned() };
    let rest = &source[start..];
    let end = rest.find([',', '\n', '}']).unwrap_or(rest.len());
    format!("{}{value}{}", &source[..start], &rest[end..])
}

/// A change of one letter of a key.
fn rename(source: &str, at: usize) -> String {
    let places: Vec<usize> = source.match_indices(" =").map(|(at, _)| at).filter(|at| *at > 0).collect();
    let Some(&end) = places.get(at % places.len().max(1)) else { return source.to_owned() };
    format!("{}x{}", &source[..end], &source[end..])
}

/// The shipped scenarios.
static SHIPPED: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let mut folders = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scenarios")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "toml") {
                files.push((
                    path.file_name().unwrap().to_string_lossy().into_owned(),
                    fs::read_to_string(&path).unwrap(),
                ));
            }
        }
    }
    files.sort();
    assert!(files.len() > 10);
    files
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_parses_or_is_explained(source in "\\PC*|[\\[\\]{}=\"'#\\\\.,a-z0-9\\s\u{0}-\u{7f}é\u{feff}🦀]{0,60}") {
        judge(one(&source))?;
    }

    #[test]
    fn any_values_parse_or_are_explained(
        table in prop::sample::select(vec!["[system]\nname=\"a\"\n", "[run]\n", "[network]\n", "[[fault]]\n", "[fault]\n", "[[workload]]\n"]),
        key in prop::sample::select(vec![
            "at", "every", "when", "after", "do", "for", "times", "main", "latency", "loss", "max_down", "enabled", "name",
            "args",
        ]),
        value in "[\\[\\]{}=\"a-z0-9., _-]{0,30}",
    ) {
        judge(one(&format!("{HEADER}{table}{key} = {value}\n")))?;
    }

    #[test]
    fn a_damaged_scenario_parses_or_is_explained(changes in changes()) {
        judge(one(&changes.into_iter().fold(FULL.to_owned(), |text, change| mutate(&text, change))))?;
    }

    #[test]
    fn many_mistakes_of_people_are_explained(
        values in prop::collection::vec((any::<usize>(), prop::sample::select(vec![
            "5", "\"x\"", "-1", "[]", "{}", "true", "\"server\"", "{ draw = [1] }", "{ one_of = [] }", "{ crsh = 1 }", "1e300",
            "99999999999999999999",
        ])), 0..8),
        names in prop::collection::vec(any::<usize>(), 0..5),
    ) {
        let text = values.into_iter().fold(FULL.to_owned(), |text, (at, value)| retype(&text, at, value));
        judge(one(&names.into_iter().fold(text, |text, at| rename(&text, at))))?;
    }

    #[test]
    fn damaged_shipped_files_are_explained(which in any::<usize>(), changes in changes(), at in any::<usize>()) {
        let (name, text) = &SHIPPED[which % SHIPPED.len()];
        let damaged = rename(&changes.into_iter().fold(text.clone(), |text, change| mutate(&text, change)), at);
        judge(Source::new(name, &damaged))?;
    }
}
