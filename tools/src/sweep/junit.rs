//! The summary as a JUnit report: what CI shows as tests. A system is a test suite, a scenario is a test case.

use std::time::Duration;

use anyhow::{Context, Result};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::summary::{Failure, Harness, ScenarioRow, Summary};
use crate::text::{self, Stamp, count};

/// The report as XML.
///
/// # Errors
///
/// If it cannot be written as XML.
pub fn report(summary: &Summary) -> Result<String> {
    let mut report = Report::new("dst sweep");
    report.set_time(Duration::try_from_secs_f64(summary.wall_seconds).unwrap_or_default());
    let mut systems: Vec<&str> = summary.scenarios.iter().map(|row| row.system.as_str()).collect();
    systems.sort_unstable();
    systems.dedup();
    for system in systems {
        let mut suite = TestSuite::new(system);
        let rows = summary.scenarios.iter().filter(|row| row.system == system);
        suite.add_test_cases(rows.map(|row| case(row, summary)));
        report.add_test_suite(suite);
    }
    report.to_string().context("cannot write the JUnit report")
}

fn case(row: &ScenarioRow, summary: &Summary) -> TestCase {
    let failures: Vec<&Failure> =
        summary.failures.iter().filter(|failure| failure.scenarios.contains_key(&row.path)).collect();
    let harness: Vec<&Harness> = summary.harness.iter().filter(|harness| harness.fault.scenario == row.path).collect();
    let mut texts: Vec<String> = failures.iter().map(|failure| bug(failure, row)).collect();
    texts.extend(harness.iter().map(|harness| {
        let fault = &harness.fault;
        format!("the harness failed: seed {}: {}\n  {}\n", fault.seed, fault.what, fault.replay)
    }));
    let wrong = summary.bad_scenario.as_ref().filter(|wrong| wrong.scenario == row.path);
    texts.extend(
        wrong.map(|wrong| format!("seed {}:\n{}  {}\n", wrong.seed, text::indented(&wrong.what), wrong.replay)),
    );
    let status = if let Some(wrong) = wrong {
        let message = format!("the scenario is wrong with seed {}, and the sweep ended there", wrong.seed);
        failed(NonSuccessKind::Error, "bad-scenario", &message, &texts)
    } else if row.harness_failures > 0 {
        let what = count(row.harness_failures, "run");
        failed(NonSuccessKind::Error, "harness", &format!("the harness failed in {what}"), &texts)
    } else if !failures.is_empty() {
        let signatures: Vec<&str> = failures.iter().map(|failure| failure.signature.as_str()).collect();
        let message = match signatures.len() {
            1 => signatures[0].to_owned(),
            n => format!("{n} distinct bugs: {}", signatures.join(", ")),
        };
        failed(NonSuccessKind::Failure, signatures[0], &message, &texts)
    } else if row.counts.runs == 0 {
        let mut status = TestCaseStatus::skipped();
        status.set_message("the sweep ended before this scenario had a run");
        status
    } else {
        TestCaseStatus::success()
    };
    let mut case = TestCase::new(row.path.as_str(), status);
    case.set_classname(row.system.as_str());
    let declared = row.declared().map_or(String::new(), |declared| format!("; {declared}"));
    case.set_system_out(row.counts.line() + &declared);
    case
}

fn failed(kind: NonSuccessKind, what: &str, message: &str, texts: &[String]) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(what).set_message(message).set_description(texts.join("\n"));
    status
}

/// When it happens, if anybody saw it.
pub(super) fn at(failure: &Failure) -> String {
    failure.at_ns.map_or(String::new(), |at_ns| format!(", at {}", Stamp(at_ns)))
}

fn bug(failure: &Failure, row: &ScenarioRow) -> String {
    let Failure { signature, scenario, explanation, .. } = failure;
    let replay = failure.how_to_repeat();
    let place = match failure.seed {
        Some(seed) => {
            let here = failure.scenarios.get(&row.path).copied().unwrap_or_default();
            let elsewhere = match failure.count - here {
                0 => String::new(),
                more => format!(" and {more} of other scenarios"),
            };
            let runs = count(here, "run");
            format!("in {runs}{elsewhere}; the cheapest is {scenario} seed {seed}{}", at(failure))
        }
        None => "the sweep as a whole".to_owned(),
    };
    format!("{signature}: {place}\n{}  {replay}\n", text::indented(explanation))
}
