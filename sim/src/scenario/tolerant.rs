//! Reading on after a mistake: what cannot be read is noted, taken out of the tree, and the rest is read again.
//!
//! So one look shows all that is wrong. What follows only from a mistake must not be shown as another one: the tree
//! remembers what was taken out ([`Doubts`]), and whatever is later said about such a place is dropped.
//!
//! A mistake costs no more than a *unit*: a key of a table or of an entry, or one alternative of a `one_of` under `do`.
//! Inside of a unit the wrong piece alone is taken out first, because there may be others beside it; when what is left
//! makes no sense any more, the whole unit goes, without a word.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::error::Diagnostic;
use super::paths::{Step, find, remove, spans, table, table_of, value, value_mut};
use super::plan::Plan;
use super::translate;

/// What is not known because it could not be read.
#[derive(Clone, Debug, Default)]
pub(super) struct Doubts {
    /// Everything about these places has been said.
    spans: Vec<Range<usize>>,
    /// Entries that may have had a trigger.
    triggers: BTreeSet<usize>,
    /// Keys that were probably meant by an unknown one, with the table that they belong in.
    meant: BTreeSet<(usize, String)>,
    /// How long the main phase is.
    pub main: bool,
    /// Some of the system's parameters.
    pub system: bool,
    /// Some names of faults.
    pub names: bool,
    /// Whether this is a frozen file.
    pub frozen: bool,
}

impl Doubts {
    /// Whether all that can be said about this place has been said.
    pub fn covers(&self, span: &Range<usize>) -> bool {
        self.spans.iter().any(|doubt| doubt.start <= span.start && span.end <= doubt.end)
    }

    /// Whether the entry that stands there may have had a trigger.
    pub fn trigger(&self, entry: &Range<usize>) -> bool {
        self.triggers.contains(&entry.start)
    }
}

/// More mistakes than anybody reads at once.
const MOST_PROBLEMS: usize = 100;

/// The keys that say when a fault happens.
const TRIGGERS: [&str; 5] = ["at", "every", "when", "after", "exact"];

/// What stands for a `do` that cannot be read: something that no rule objects to.
const PLACEHOLDER: &str = "{ pause = \"all\" }";

/// Takes mistakes out of a tree.
#[derive(Default)]
pub(super) struct Tolerant {
    /// All that was wrong so far.
    pub problems: Vec<Diagnostic>,
    /// What is not known any more.
    pub doubts: Doubts,
    /// Where the units are that something was taken out of.
    damaged: BTreeSet<(usize, usize)>,
}

impl Tolerant {
    /// Notes problems of draws, and takes out the units that they are in. False if nothing could be taken out.
    pub fn without(&mut self, tree: &mut DeTable<'_>, problems: Vec<Diagnostic>) -> bool {
        let mut progress = false;
        for problem in problems {
            let path = problem.span.as_ref().and_then(|span| find(tree, span));
            self.problems.push(problem);
            if let Some(path) = path {
                progress = true;
                let unit = unit(&path).to_vec();
                self.doubt(tree, &unit);
                self.drop_unit(tree, &unit);
            }
        }
        progress
    }

    /// Reads a plan, of what can be read. The tree is what it was read from in the end.
    pub fn read(&mut self, tree: &mut DeTable<'_>) -> Option<Plan> {
        let mut left = MOST_PROBLEMS;
        loop {
            let error = match Plan::deserialize(Deserializer::from(Spanned::new(0..0, tree.clone()))) {
                Ok(plan) => return Some(plan),
                Err(error) => error,
            };
            let problem = translate::shape(&error);
            left -= 1;
            let missing = error.message().strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
            if left == 0 {
                self.problems.push(problem);
                return None;
            }
            if missing == Some("system") && !tree.contains_key("system") {
                self.without_system(tree, problem);
                continue;
            }
            let Some(path) = error.span().and_then(|span| find(tree, &span)) else {
                self.problems.push(problem);
                return None;
            };
            self.mistake(tree, &path, problem, error.message(), missing);
        }
    }

    fn mistake(
        &mut self,
        tree: &mut DeTable<'_>,
        path: &[Step],
        problem: Diagnostic,
        message: &str,
        missing: Option<&str>,
    ) {
        let unit = unit(path).to_vec();
        let place = value(tree, &unit).map(Spanned::span).unwrap_or_default();
        let was_meant = missing.is_some_and(|name| self.doubts.meant.contains(&(place.start, name.to_owned())));
        let follows = was_meant || (self.damaged.contains(&(place.start, place.end)) && is_consequence(message));
        self.doubt(tree, &unit);
        if follows {
            return self.drop_unit(tree, path);
        }
        if message.starts_with("unknown field") {
            let table = value(tree, &path[..path.len() - 1]).map_or(0, |table| table.span().start);
            let meant = meant(&problem);
            if unit.len() == 3 && meant.as_ref().is_none_or(|name| TRIGGERS.contains(&name.as_str())) {
                self.doubts.triggers.insert(table);
            }
            if let Some(name) = meant {
                self.doubts.main |= name == "main";
                let fault = matches!(unit.first(), Some(Step::Key(list)) if list == "fault");
                self.doubts.names |= (fault && name == "name") || name == "fault";
                self.doubts.meant.insert((table, name));
            }
        }
        self.problems.push(problem);
        match path.last() {
            // A whole entry or table: what it lacks is put in, or it goes.
            _ if missing.is_some() || path.len() <= unit.len() => self.drop_unit(tree, &unit),
            Some(Step::Key(key)) => {
                table(tree, &path[..path.len() - 1]).and_then(|table| table.remove(key.as_str()));
            }
            Some(Step::Index(index)) => {
                if let Some(DeValue::Array(array)) = value_mut(tree, &path[..path.len() - 1]).map(Spanned::get_mut) {
                    remove(array, *index);
                }
            }
            None => {}
        }
        self.damaged.insert((place.start, place.end));
    }

    fn without_system(&mut self, tree: &mut DeTable<'_>, problem: Diagnostic) {
        if !self.doubts.system && !self.doubts.meant.contains(&(0, "system".to_owned())) {
            self.problems.push(problem);
        }
        self.doubts.system = true;
        self.doubts.spans.push(0..0);
        let table = DeTable::parse("name = \"unknown\"").map(Spanned::into_inner).unwrap_or_default();
        tree.insert(Spanned::new(0..0, Cow::Borrowed("system")), Spanned::new(0..0, DeValue::Table(table)));
    }

    /// Remembers that what is said here from now on only follows.
    fn doubt(&mut self, tree: &DeTable<'_>, unit: &[Step]) {
        let keys: Vec<&str> = unit.iter().map(|step| if let Step::Key(key) = step { key } else { "" }).collect();
        let key = match &keys[..] {
            [list @ ("fault" | "workload"), _] => *list,
            [list @ ("fault" | "workload")] => *list,
            ["fault", _, key, ..] => *key,
            [table, ..] => *table,
            [] => "",
        };
        self.doubts.main |= matches!(keys[..], ["run"] | ["run", "main"]);
        self.doubts.system |= key == "system";
        self.doubts.names |= key == "name" || matches!(keys[..], ["fault"]);
        self.doubts.frozen |= key == "frozen";
        let entry = if keys.len() > 2 { value(tree, &unit[..2]).map(Spanned::span) } else { None };
        if let (Some(entry), ["fault", _, key, ..]) = (entry, &keys[..])
            && TRIGGERS.contains(key)
        {
            self.doubts.triggers.insert(entry.start);
        }
        if let [list @ ("fault" | "workload"), _] = keys[..] {
            // Of an entry that lacks a key, only that key is not known; the rest of it may be judged.
            let lacks = if list == "fault" { "do" } else { "name" };
            if let Some(span) = value(tree, unit)
                .map(Spanned::span)
                .filter(|_| value(tree, unit).is_some_and(|entry| entry.get_ref().get(lacks).is_none()))
            {
                self.doubts.spans.push(span);
            }
            return;
        }
        let Some(value) = value(tree, unit) else { return };
        spans(value, &mut self.doubts.spans);
        if let Some((Step::Key(key), parents)) = unit.split_last()
            && let Some((key, _)) = table_of(tree, parents).and_then(|table| table.get_key_value(key.as_str()))
        {
            self.doubts.spans.push(key.span());
        }
    }

    /// Takes a unit out, or puts in what nobody objects to.
    fn drop_unit(&mut self, tree: &mut DeTable<'_>, path: &[Step]) {
        let unit = unit(path).to_vec();
        let keys: Vec<&str> = unit.iter().map(|step| if let Step::Key(key) = step { key } else { "" }).collect();
        match keys[..] {
            ["fault", _, "do"] => {
                if let Some(action) = value_mut(tree, &unit) {
                    *action.get_mut() = placeholder();
                }
            }
            ["fault", _, "do", ..] => {
                let (Some((Step::Index(index), list)), whole) = (unit.split_last(), &unit[..3]) else { return };
                let list = value_mut(tree, list).map(Spanned::get_mut);
                if let Some(DeValue::Array(array)) = list
                    && array.len() > 1
                {
                    remove(array, *index);
                } else if let Some(action) = value_mut(tree, whole) {
                    *action.get_mut() = placeholder();
                }
            }
            [list @ ("fault" | "workload"), _] => self.complete(tree, list, &unit),
            _ => {
                if let Some((Step::Key(key), parents)) = unit.split_last() {
                    table(tree, parents).and_then(|table| table.remove(key.as_str()));
                }
            }
        }
    }

    /// Gives an entry the key that it lacks; one that is no table goes.
    fn complete(&mut self, tree: &mut DeTable<'_>, list: &str, unit: &[Step]) {
        let Some(entry) = value_mut(tree, unit) else { return };
        let span = entry.span();
        let (key, lacking) = match list {
            "fault" => ("do", placeholder()),
            _ => ("name", DeValue::String(Cow::Borrowed("unknown"))),
        };
        if let DeValue::Table(table) = entry.get_mut()
            && !table.contains_key(key)
        {
            table.insert(Spanned::new(span.clone(), Cow::Borrowed(key)), Spanned::new(span, lacking));
        } else if let Some((Step::Index(index), list)) = unit.split_last()
            && let Some(DeValue::Array(array)) = value_mut(tree, list).map(Spanned::get_mut)
        {
            self.doubts.names = true;
            remove(array, *index);
        }
    }
}

fn placeholder<'i>() -> DeValue<'i> {
    DeValue::parse(PLACEHOLDER).map_or_else(|_| DeValue::Boolean(false), Spanned::into_inner)
}

/// What a piece that was taken out leaves behind.
fn is_consequence(message: &str) -> bool {
    ["missing field", "wanted exactly 1 element", "no fault is named", "expected tuple with length", "invalid length"]
        .iter()
        .any(|start| message.starts_with(start))
}

/// The key that was probably meant by an unknown one.
fn meant(problem: &Diagnostic) -> Option<String> {
    let rest = problem.help.as_ref()?.strip_prefix("did you mean `")?;
    rest.split_once('`').map(|(name, _)| name.to_owned())
}

/// How much of a path names the unit that it leads into.
fn unit(path: &[Step]) -> &[Step] {
    let key = |at: usize| match path.get(at) {
        Some(Step::Key(key)) => key.as_str(),
        _ => "",
    };
    let length = match (key(0), key(2), key(3)) {
        ("system" | "run" | "network" | "disk", ..) => 2,
        ("expect", ..) => 3,
        ("workload", "args", _) => 4,
        ("fault", "do", "one_of") if path.len() > 4 => 5,
        ("fault" | "workload", ..) => 3,
        _ => 1,
    };
    &path[..length.min(path.len())]
}
