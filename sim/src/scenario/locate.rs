//! Where in a file a key or a value stands, for carets under what the typed [`super::Plan`] keeps no span of.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::target::Target;

/// The value at a path of keys; list entries by their index in decimal.
pub(super) fn value_at<'t, 'i>(root: &'t DeTable<'i>, path: &[&str]) -> Option<&'t Spanned<DeValue<'i>>> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(root.get(*first)?, |value, step| match value.get_ref() {
        DeValue::Table(table) => table.get(*step),
        DeValue::Array(array) => array.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}

/// The first bytes that satisfy `wanted` among the keys and the string values inside of `within`.
pub(super) fn find(
    root: &DeTable<'_>,
    within: &Range<usize>,
    wanted: impl Fn(Item<'_>) -> bool,
) -> Option<Range<usize>> {
    let mut found: Option<Range<usize>> = None;
    each(root, &mut |item, span| {
        let inside = within.start <= span.start && span.end <= within.end;
        if inside && found.as_ref().is_none_or(|found| span.start < found.start) && wanted(item) {
            found = Some(span);
        }
    });
    found
}

/// The string that a target was read from, or else all of `within`.
pub(super) fn target_span(tree: &DeTable<'_>, target: &Target, within: &Range<usize>) -> Range<usize> {
    let wanted = |item: Item<'_>| matches!(item, Item::Text(text) if text.parse().as_ref() == Ok(target));
    find(tree, within, wanted).unwrap_or_else(|| within.clone())
}

/// What can be searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item<'t> {
    /// A key.
    Key(&'t str),
    /// A string.
    Text(&'t str),
}

fn each(table: &DeTable<'_>, visit: &mut dyn FnMut(Item<'_>, Range<usize>)) {
    for (key, value) in table {
        visit(Item::Key(key.get_ref()), key.span());
        each_value(value, visit);
    }
}

fn each_value(value: &Spanned<DeValue<'_>>, visit: &mut dyn FnMut(Item<'_>, Range<usize>)) {
    match value.get_ref() {
        DeValue::String(text) => visit(Item::Text(text), value.span()),
        DeValue::Array(array) => array.iter().for_each(|value| each_value(value, visit)),
        DeValue::Table(table) => each(table, visit),
        _ => {}
    }
}

/// The table whose span this is.
pub(super) fn table_at<'t, 'i>(root: &'t DeTable<'i>, span: &Range<usize>) -> Option<&'t DeTable<'i>> {
    root.values().find_map(|value| table_in(value, span))
}

/// The table of one fault under the `do` that stands there: the n-th of a `one_of`, or else the only one.
pub(super) fn alternative<'t, 'i>(
    root: &'t DeTable<'i>,
    action: &Range<usize>,
    index: usize,
) -> Option<&'t DeTable<'i>> {
    let table = table_at(root, action)?;
    match table.get("one_of").map(Spanned::get_ref) {
        Some(DeValue::Array(choices)) => choices.get(index)?.get_ref().as_table(),
        _ => Some(table),
    }
}

fn table_in<'t, 'i>(value: &'t Spanned<DeValue<'i>>, span: &Range<usize>) -> Option<&'t DeTable<'i>> {
    match value.get_ref() {
        DeValue::Table(table) if value.span() == *span => Some(table),
        DeValue::Table(table) => table_at(table, span),
        DeValue::Array(array) => array.iter().find_map(|value| table_in(value, span)),
        _ => None,
    }
}

/// Where the last key of a path stands.
pub(super) fn key_at(root: &DeTable<'_>, path: &[&str]) -> Option<Range<usize>> {
    let (last, parents) = path.split_last()?;
    let table = match parents {
        [] => root,
        _ => value_at(root, parents)?.get_ref().as_table()?,
    };
    table.get_key_value(*last).map(|(key, _)| key.span())
}
