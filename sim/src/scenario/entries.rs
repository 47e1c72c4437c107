//! `[[fault]]` and `[[workload]]` entries, before they are read: which of them there are in this run, and their names.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::error::Diagnostic;
use crate::base::Phase;

/// Drops the entries that have `enabled = false`, and the faults that wait for a dropped one and so can never happen.
/// Faults that have no name get their position in the file, `fault-1`, before any is dropped.
pub(super) fn settle(root: &mut DeTable<'_>) -> Vec<Diagnostic> {
    name_faults(root);
    let mut problems = Vec::new();
    let mut dropped = BTreeSet::new();
    for list in ["fault", "workload"] {
        retain(root, list, |entry| {
            let enabled = match entry.remove("enabled") {
                None => true,
                Some(value) => value.get_ref().as_bool().unwrap_or_else(|| {
                    let found = value.get_ref().type_str();
                    problems.push(
                        Diagnostic::error(format!("expected true or false, found a value of type {found}"))
                            .at(value.span())
                            .label("expected true, false or { chance = 0.5 }"),
                    );
                    true
                }),
            };
            if !enabled && list == "fault" {
                dropped.extend(text(entry, "name"));
            }
            enabled
        });
    }
    loop {
        let before = dropped.len();
        retain(root, "fault", |entry| {
            let waits_for = |key| text(entry, key).is_some_and(|name| dropped.contains(&name));
            let waits = waits_for("after") || waits_for("while");
            if waits {
                dropped.extend(text(entry, "name"));
            }
            !waits
        });
        if dropped.len() == before {
            return problems;
        }
    }
}

/// The phases that the file says the workloads of: those that it has an entry for, be it enabled or not, and all of them if
/// it says that there are none.
pub(super) fn phases(root: &DeTable<'_>) -> BTreeSet<Phase> {
    match root.get("workload").map(Spanned::get_ref) {
        None => BTreeSet::new(),
        Some(DeValue::Array(entries)) if !entries.is_empty() => {
            entries.iter().filter_map(|entry| phase(entry.get_ref().as_table()?)).collect()
        }
        Some(_) => BTreeSet::from([Phase::Setup, Phase::Main, Phase::Final]),
    }
}

/// The phase of a workload's entry, if there is one of that name.
pub(super) fn phase(entry: &DeTable<'_>) -> Option<Phase> {
    match entry.get("phase") {
        None => Some(Phase::default()),
        Some(name) => Phase::deserialize(StrDeserializer::<Error>::new(name.get_ref().as_str()?)).ok(),
    }
}

fn name_faults(root: &mut DeTable<'_>) {
    let Some(DeValue::Array(faults)) = root.get_mut("fault").map(Spanned::get_mut) else { return };
    for (i, fault) in faults.iter_mut().enumerate() {
        let span = fault.span();
        if let DeValue::Table(fault) = fault.get_mut()
            && !fault.contains_key("name")
        {
            let name = DeValue::String(Cow::Owned(format!("fault-{}", i + 1)));
            fault.insert(Spanned::new(span.clone(), Cow::Borrowed("name")), Spanned::new(span, name));
        }
    }
}

/// Keeps the tables of a list that `keep` says yes to. What is not a table is for serde to complain about.
fn retain<'i>(root: &mut DeTable<'i>, list: &str, mut keep: impl FnMut(&mut DeTable<'i>) -> bool) {
    let Some(DeValue::Array(entries)) = root.get_mut(list).map(Spanned::get_mut) else { return };
    let kept = std::mem::replace(entries, DeArray::new()).into_iter().filter_map(|mut entry| {
        let stays = match entry.get_mut() {
            DeValue::Table(table) => keep(table),
            _ => true,
        };
        stays.then_some(entry)
    });
    *entries = kept.collect();
}

fn text(entry: &DeTable<'_>, key: &str) -> Option<String> {
    Some(entry.get(key)?.get_ref().as_str()?.to_owned())
}
