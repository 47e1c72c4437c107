//! What a plan will do, before it is run: as much as the seed alone decides.
//!
//! When a rule that goes by the clock comes up, what it draws and how long that lasts depend on nothing that happens in
//! the run ([`Rule`]), so they are the same here and there. Whom it hits, and when an event triggers a rule, only the run
//! can tell.

use std::collections::BTreeMap;

use super::director::Rule;
use crate::base::Time;
use crate::base::seed::Seed;
use crate::scenario::plan::{What, When};
use crate::scenario::{Plan, Targets};

/// One thing that a rule will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The name of the rule.
    pub rule: String,
    /// Virtual nanoseconds after the beginning of the main phase, if that is known.
    pub at_ns: Option<u64>,
    /// How long it lasts in nanoseconds; to the end of the main phase if not said.
    pub lasts_ns: Option<u64>,
    /// What it waits for, if it is not only the clock.
    pub waits_for: Option<String>,
    /// What it does, to whom: targets as the scenario has them.
    pub what: String,
}

/// More of one rule than this are of no use to a reader.
const MOST: usize = 1_000;

/// What the rules of a plan will do with that seed: first what the clock brings, in its order, then what waits for an
/// event, with what it will be the first time.
pub fn timeline(plan: &Plan, seed: u64) -> Vec<Planned> {
    let seed = plan.frozen.as_ref().map_or(seed, |frozen| frozen.seed);
    let rules = Rule::all(&plan.faults, Seed(seed));
    let main = plan.run.main.nanos();
    let mut times: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    // Rules may wait for later ones: as often as there are rules, every chain is through.
    for _ in 0..=rules.len() {
        for rule in &rules {
            let known = known_times(rule, main, &rules, &times);
            times.insert(&rule.name, known);
        }
    }
    let mut planned: Vec<Planned> = Vec::new();
    for rule in &rules {
        let known = &times[rule.name.as_str()];
        planned.extend(known.iter().enumerate().map(|(i, at)| one(rule, i as u64, Some(*at))));
        if known.is_empty() && rule.rule.exact.is_none() {
            planned.push(one(rule, 0, None));
        }
        if let Some(exact) = rule.rule.exact {
            planned.push(Planned { waits_for: Some(format!("poll {}", exact.poll)), ..one(rule, 0, Some(exact.ns)) });
        }
    }
    planned.sort_by_key(|planned| planned.at_ns.unwrap_or(u64::MAX));
    planned
}

/// When a rule comes up, as far as the clock says.
fn known_times(rule: &Rule, main: u64, rules: &[Rule], times: &BTreeMap<&str, Vec<u64>>) -> Vec<u64> {
    // What another fault makes it pass over does not count: any of its times may be one of those that it fires.
    let may_fire = if rule.rule.during.is_some() { u64::MAX } else { rule.times() };
    let most = usize::try_from(may_fire).unwrap_or(MOST).min(MOST);
    let mut known = Vec::new();
    if let Some(first) = rule.first() {
        let mut at = first;
        while at < main && known.len() < most {
            known.push(at);
            match rule.again(known.len() as u64) {
                Some(later) => at = at.saturating_add(later),
                None => break,
            }
        }
    } else if let Some(after) = &rule.rule.after
        && let Some(other) = rules.iter().find(|other| other.name == *after.get_ref())
    {
        let starts = times.get(other.name.as_str()).into_iter().flatten().enumerate();
        let ends = starts.filter_map(|(i, at)| Some(at.saturating_add(length(other, i as u64)?)));
        known.extend(ends.map(|at| at.saturating_add(rule.rule.delay.nanos())).filter(|at| *at < main));
        // What began later may be over sooner.
        known.sort_unstable();
        known.truncate(most);
    }
    known
}

/// How long after its beginning the i-th time of a rule is over for those that wait for it, if that is known.
fn length(rule: &Rule, i: u64) -> Option<u64> {
    match rule.what(i) {
        What::Fault(fault) if fault.is_momentary() => Some(0),
        What::Fault(_) => Some(rule.lasts(i).unwrap_or(0)),
        What::Nemesis(nemesis) if nemesis.takes_time() => rule.lasts(i),
        // How many nodes it goes through depends on the cluster.
        What::Nemesis(_) => None,
    }
}

fn one(rule: &Rule, i: u64, at_ns: Option<u64>) -> Planned {
    let list = |targets: &Targets| targets.to_string();
    let what = match rule.what(i) {
        What::Fault(fault) => fault.describe(list),
        What::Nemesis(nemesis) => nemesis.describe(list),
    };
    let mut waits: Vec<String> = Vec::new();
    waits.extend(rule.rule.when.as_ref().map(|when| trigger(when.get_ref())));
    waits.extend(
        rule.rule.after.as_ref().filter(|_| at_ns.is_none()).map(|after| format!("the end of `{}`", after.get_ref())),
    );
    if at_ns.is_none() && rule.rule.delay > Time::default() {
        waits.push(format!("and {} more", rule.rule.delay));
    }
    waits.extend(rule.rule.during.as_ref().map(|during| format!("while `{}` is in force", during.get_ref())));
    let waits_for = (!waits.is_empty()).then(|| waits.join(", "));
    Planned { rule: rule.name.clone(), at_ns, lasts_ns: rule.lasts(i), waits_for, what }
}

/// A trigger in words: `pb.applied number 20 on backup`.
fn trigger(when: &When) -> String {
    let mut text =
        when.event.clone().or_else(|| when.op.as_ref().map(|op| format!("the operation {op}"))).unwrap_or_default();
    if let Some(nth) = when.nth.filter(|nth| *nth > 1) {
        text += &format!(" number {nth}");
    }
    if let Some(node) = &when.node {
        text += &format!(" on {node}");
    }
    if let Some(group) = &when.group {
        text += &format!(" of {group}");
    }
    if !when.fields.is_empty() {
        text += &format!(" with {}", toml::Value::Table(when.fields.clone()));
    }
    text
}
