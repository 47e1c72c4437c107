//! `include`: a scenario and its profiles as one tree.
//!
//! The rule of overriding: the scenario's own keys win over those of its profiles, and a profile that is included later
//! wins over one before. The tables `[system]`, `[run]`, `[network]`, `[disk]` and `[expect.*]` are merged key by key; any
//! value below that, be it a draw, an array or a table, is replaced as a whole. Entries of lists are added up, but of
//! several faults with one name the last word is the only one.
//!
//! A scenario's own entries come first, whatever is included: entries without a name are known by their position, and
//! an `include` must not change what their seeds draw.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::draw::is_draw;
use super::error::Diagnostic;
use super::sources::Sources;
use super::translate;

/// All files of a scenario as one tree.
pub(super) struct Merged<'i> {
    /// The tree. Its spans are places in [`Sources`].
    pub tree: DeTable<'i>,
    /// What is wrong with the files themselves, and with what profiles may not say.
    pub problems: Vec<Diagnostic>,
    /// Whether some text is no TOML, so that there is nothing to read.
    pub broken: bool,
    /// Whether a profile is missing, so that what it would say is not known.
    pub incomplete: bool,
    /// The faults of profiles that have been replaced.
    pub replaced: BTreeSet<String>,
}

/// The profiles that a text includes, and where it says so. None if it is no list of names.
pub(super) fn names(text: &str) -> Option<Vec<(String, Range<usize>)>> {
    let root = DeTable::parse(text).ok()?;
    let mut problems = Vec::new();
    let names = read(root.get_ref(), &mut problems);
    Some(names)
}

/// Puts the files together.
pub(super) fn merge(sources: &Sources) -> Merged<'_> {
    let mut merged = Merged {
        tree: DeTable::new(),
        problems: Vec::new(),
        broken: false,
        incomplete: false,
        replaced: BTreeSet::new(),
    };
    merged.tree = merged.parse(sources, 0);
    let before = merged.problems.len();
    let included = read(&merged.tree, &mut merged.problems);
    merged.incomplete = merged.problems.len() > before;
    let frozen = merged.tree.contains_key("frozen");
    if let Some((key, _)) = merged.tree.remove_entry("include")
        && frozen
    {
        let problem = Diagnostic::error("a frozen file includes nothing")
            .at(key.span())
            .label("not in a frozen file")
            .help("all that it needs is written out: take the line away");
        merged.problems.push(problem);
    }
    let mut profiles = Vec::new();
    for (name, span) in included {
        match sources.profile(&name) {
            Some(index) => profiles.push(merged.profile(sources, index)),
            None if merged.broken => {}
            None => {
                merged.incomplete = true;
                let problem = Diagnostic::error(format!("the profile `{name}` is not here"))
                    .at(span)
                    .label("only a text is given, not its profiles")
                    .help("load the scenario from its file, or give the profile's text too");
                merged.problems.push(problem);
            }
        }
    }
    lists(&mut merged.tree, &mut profiles, &mut merged.replaced);
    for profile in profiles.into_iter().rev() {
        fill(&mut merged.tree, profile);
    }
    merged
}

impl Merged<'_> {
    /// One file, with its spans moved to where it is among all.
    fn parse<'i>(&mut self, sources: &'i Sources, index: usize) -> DeTable<'i> {
        let start = sources.start(index);
        let text = &sources.list()[index].text;
        let (tree, errors) = DeTable::parse_recoverable(text);
        self.broken |= !errors.is_empty();
        let mut lines = BTreeSet::new();
        for error in errors {
            let problem = translate::syntax(&error);
            let span = problem.span.clone().unwrap_or(0..0);
            // What follows on the same line is the parser finding its way back.
            if lines.insert(text.as_bytes()[..span.start.min(text.len())].iter().filter(|&&b| b == b'\n').count()) {
                self.problems.push(problem.at(span.start + start..span.end + start));
            }
        }
        if start == 0 { tree.into_inner() } else { shift_table(tree.into_inner(), start) }
    }

    /// A profile without what only a scenario may say.
    fn profile<'i>(&mut self, sources: &'i Sources, index: usize) -> DeTable<'i> {
        let mut tree = self.parse(sources, index);
        let mut refuse = |table: &mut DeTable<'_>, key: &str, why: &str| {
            if let Some((key, _)) = table.remove_entry(key) {
                let title = format!("`{}` in a profile", key.get_ref());
                self.problems.push(Diagnostic::error(title).at(key.span()).label("not in a profile").help(why));
            }
        };
        refuse(&mut tree, "description", "a comment in the first line says what a profile is about");
        refuse(&mut tree, "include", "only scenarios include profiles: name this one's there too");
        refuse(&mut tree, "frozen", "a frozen run is a scenario of its own");
        if let Some(DeValue::Table(system)) = tree.get_mut("system").map(Spanned::get_mut) {
            refuse(system, "name", "the scenario says which system it is about");
        }
        for table in ["system", "run", "network", "disk", "expect"] {
            let is_none = |value: &DeValue<'_>| !matches!(value, DeValue::Table(_));
            if let Some(value) = tree.get(table).filter(|value| is_none(value.get_ref())) {
                let (span, found) = (value.span(), value.get_ref().type_str());
                // The scenario's own table would hide it.
                let problem = Diagnostic::error(format!("expected a table, found a value of type {found}"));
                self.problems.push(problem.at(span).label("expected a table"));
                tree.remove(table);
            }
        }
        if let Some(DeValue::Array(faults)) = tree.get("fault").map(Spanned::get_ref) {
            for fault in faults.iter().filter(|fault| fault.get_ref().is_table() && name(fault).is_none()) {
                if fault.get_ref().get("name").is_none() {
                    let problem = Diagnostic::error("a fault without a name in a profile")
                        .at(fault.span())
                        .label("expected `name = ...` in this table")
                        .help("a scenario replaces a profile's fault by its name, and seeds are drawn by it");
                    self.problems.push(problem);
                }
            }
        }
        tree
    }
}

/// The names under `include`, each once.
fn read(root: &DeTable<'_>, problems: &mut Vec<Diagnostic>) -> Vec<(String, Range<usize>)> {
    let Some(value) = root.get("include") else { return Vec::new() };
    let mut names: Vec<(String, Range<usize>)> = Vec::new();
    let mut say = |title: String, span: Range<usize>, label: &str| {
        let help = "include profiles by their names: include = [\"wan\", \"skewed-clocks\"]";
        problems.push(Diagnostic::error(title).at(span).label(label).help(help));
    };
    let DeValue::Array(entries) = value.get_ref() else {
        let found = value.get_ref().type_str();
        say(format!("expected an array, found a value of type {found}"), value.span(), "expected names of profiles");
        return names;
    };
    for entry in entries.iter() {
        match entry.get_ref().as_str() {
            None => say("not a name of a profile".to_owned(), entry.span(), "expected a string"),
            Some(name) if name.is_empty() || name.contains(|c: char| c.is_control() || "/\\.\"".contains(c)) => {
                say(format!("{name:?} is not a name of a profile"), entry.span(), "expected a name, not a path");
            }
            Some(name) if names.iter().any(|(known, _)| known == name) => {
                say(format!("the profile `{name}` is included twice"), entry.span(), "it is there already");
            }
            Some(name) => names.push((name.to_owned(), entry.span())),
        }
    }
    names
}

fn name<'v>(entry: &'v Spanned<DeValue<'_>>) -> Option<&'v str> {
    entry.get_ref().as_table()?.get("name")?.get_ref().as_str()
}

/// Moves the entries of the profiles to the ends of the scenario's lists.
fn lists<'i>(tree: &mut DeTable<'i>, profiles: &mut [DeTable<'i>], replaced: &mut BTreeSet<String>) {
    for list in ["fault", "workload"] {
        let is_list = |value: &Spanned<DeValue<'_>>| matches!(value.get_ref(), DeValue::Array(_));
        if tree.get(list).is_some_and(|value| !is_list(value)) {
            continue;
        }
        for index in 0..profiles.len() {
            let Some((key, value)) = profiles[index].remove_entry(list) else { continue };
            let span = value.span();
            let DeValue::Array(entries) = value.into_inner() else { continue };
            let said_later = |entry: &Spanned<DeValue<'_>>| {
                let same = |tree: &DeTable<'_>| match tree.get(list).map(Spanned::get_ref) {
                    Some(DeValue::Array(others)) => others.iter().any(|other| {
                        // A name twice in one file is a mistake, which the rules report.
                        other.span() != entry.span() && name(other) == name(entry)
                    }),
                    _ => false,
                };
                list == "fault" && name(entry).is_some() && (same(tree) || profiles[index + 1..].iter().any(same))
            };
            let mut is_kept = |entry: &Spanned<DeValue<'_>>| {
                let is_replaced = said_later(entry);
                replaced.extend(name(entry).filter(|_| is_replaced).map(str::to_owned));
                !is_replaced
            };
            let entries: DeArray<'i> = entries.into_iter().filter(|entry| is_kept(entry)).collect();
            match tree.get_mut(list).map(Spanned::get_mut) {
                Some(DeValue::Array(all)) => entries.into_iter().for_each(|entry| all.push(entry)),
                _ => {
                    tree.insert(key, Spanned::new(span, DeValue::Array(entries)));
                }
            }
        }
    }
}

/// Takes from `under` what `tree` does not say.
fn fill<'i>(tree: &mut DeTable<'i>, under: DeTable<'i>) {
    for (key, value) in under {
        let depth = match &**key.get_ref() {
            "system" | "run" | "network" | "disk" => 1,
            "expect" => 2,
            _ => 0,
        };
        fill_key(tree, key, value, depth);
    }
}

fn fill_key<'i>(
    tree: &mut DeTable<'i>,
    key: Spanned<std::borrow::Cow<'i, str>>,
    value: Spanned<DeValue<'i>>,
    depth: usize,
) {
    let mergeable = |value: &DeValue<'_>| depth > 0 && matches!(value, DeValue::Table(_)) && !is_draw(value);
    match tree.get_mut(&**key.get_ref()) {
        None => {
            tree.insert(key, value);
        }
        Some(own) if mergeable(own.get_ref()) && mergeable(value.get_ref()) => {
            if let (DeValue::Table(own), DeValue::Table(under)) = (own.get_mut(), value.into_inner()) {
                under.into_iter().for_each(|(key, value)| fill_key(own, key, value, depth - 1));
            }
        }
        Some(_) => {}
    }
}

fn shift_table(table: DeTable<'_>, by: usize) -> DeTable<'_> {
    let moved = |span: Range<usize>| span.start + by..span.end + by;
    table
        .into_iter()
        .map(|(key, value)| (Spanned::new(moved(key.span()), key.into_inner()), shift(value, by)))
        .collect()
}

fn shift(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    let span = value.span().start + by..value.span().end + by;
    let value = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(shift_table(table, by)),
        DeValue::Array(array) => DeValue::Array(array.into_iter().map(|value| shift(value, by)).collect()),
        other => other,
    };
    Spanned::new(span, value)
}
