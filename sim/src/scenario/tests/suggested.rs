//! Workloads that a scenario does not write down because its system suggests them.

use super::warnings::{System, findings};
use super::{HEADER, scenario};
use crate::system::DynSystem;

/// The workloads of a scenario with that seed: phase, name and clients.
fn workloads(text: &str, seed: u64) -> Vec<String> {
    let plan = scenario(text).plan(seed).unwrap().with_suggested(&System.description());
    let line = |workload: &crate::scenario::plan::WorkloadTable| {
        let on = workload.on.as_ref().map_or("all".to_owned(), |on| on.get_ref().to_string());
        format!("{:?} {} on {on}", workload.phase, workload.name.get_ref())
    };
    plan.workloads.iter().map(line).collect()
}

const SETUP: &str = "Setup fill on client-0";
const MAIN: &str = "Main mixed on all";

#[test]
fn a_phase_that_the_scenario_says_nothing_of_gets_what_the_system_suggests() {
    assert_eq!(workloads(HEADER, 1), [SETUP, MAIN]);
    let own = "[[workload]]\nname = \"fill\"\non = \"client-1\"\n";
    assert_eq!(workloads(&format!("{HEADER}{own}"), 1), ["Main fill on client-1", SETUP]);
    let last = "[[workload]]\nname = \"fill\"\nphase = \"final\"\n";
    assert_eq!(workloads(&format!("{HEADER}{last}"), 1), ["Final fill on all", SETUP, MAIN]);
}

#[test]
fn a_phase_whose_entries_are_not_enabled_gets_nothing() {
    let off = "[[workload]]\nname = \"fill\"\nphase = \"setup\"\nenabled = false\n";
    assert_eq!(workloads(&format!("{HEADER}{off}"), 1), [MAIN]);
    let findings = findings(&format!("{HEADER}{off}"));
    assert!(findings.diagnostics().is_empty(), "to say so is not in vain: {findings}");
    let seldom = off.replace("false", "{ chance = 0.5 }");
    let with: Vec<usize> = (0..20).map(|seed| workloads(&format!("{HEADER}{seldom}"), seed).len()).collect();
    assert!(with.contains(&1) && with.contains(&2), "{with:?}");
}

#[test]
fn a_drawn_phase_counts_as_what_was_drawn() {
    let text = format!("{HEADER}[[workload]]\nname = \"mixed\"\nphase = {{ one_of = [\"setup\", \"main\"] }}\n");
    for seed in 0..20 {
        let found = workloads(&text, seed);
        assert!(found == ["Setup mixed on all", MAIN] || found == [MAIN, SETUP], "{found:?}");
    }
}

#[test]
fn an_empty_list_is_none_at_all() {
    assert!(workloads(&format!("workload = []\n{HEADER}"), 1).is_empty());
}

#[test]
fn a_frozen_file_has_what_it_says_and_no_more() {
    let frozen = "[frozen]\nseed = 1\nscenario = \"x\"\nworld = \"00\"\n";
    assert!(workloads(&format!("{HEADER}{frozen}"), 1).is_empty());
}
