//! Paths through the tree of a file: to the place of an error, and from there to what stands around it.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// A step of a path through the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The value of a key.
    Key(String),
    /// An entry of an array.
    Index(usize),
}

/// The way to the key or the value that stands exactly there, or else to the smallest value around it.
pub(super) fn find(tree: &DeTable<'_>, span: &Range<usize>) -> Option<Vec<Step>> {
    let (mut exact, mut around) = (None, None);
    search_table(tree, span, &mut Vec::new(), &mut exact, &mut around);
    exact.or(around.map(|(_, path)| path))
}

type Around = Option<(usize, Vec<Step>)>;

fn search_table(
    table: &DeTable<'_>,
    span: &Range<usize>,
    path: &mut Vec<Step>,
    exact: &mut Option<Vec<Step>>,
    around: &mut Around,
) {
    for (key, value) in table {
        path.push(Step::Key(key.get_ref().to_string()));
        if key.span() == *span {
            *exact = Some(path.clone());
        }
        search(value, span, path, exact, around);
        path.pop();
    }
}

fn search(
    value: &Spanned<DeValue<'_>>,
    span: &Range<usize>,
    path: &mut Vec<Step>,
    exact: &mut Option<Vec<Step>>,
    around: &mut Around,
) {
    let place = value.span();
    if place == *span && exact.as_ref().is_none_or(|exact| exact.len() < path.len()) {
        *exact = Some(path.clone());
    }
    if place.start <= span.start && span.end <= place.end && around.as_ref().is_none_or(|(len, _)| place.len() <= *len)
    {
        *around = Some((place.len(), path.clone()));
    }
    match value.get_ref() {
        DeValue::Table(table) => search_table(table, span, path, exact, around),
        DeValue::Array(array) => {
            for (index, value) in array.iter().enumerate() {
                path.push(Step::Index(index));
                search(value, span, path, exact, around);
                path.pop();
            }
        }
        _ => {}
    }
}

/// Every place in a value.
pub(super) fn spans(value: &Spanned<DeValue<'_>>, all: &mut Vec<Range<usize>>) {
    all.push(value.span());
    match value.get_ref() {
        DeValue::Table(table) => table.iter().for_each(|(key, value)| {
            all.push(key.span());
            spans(value, all);
        }),
        DeValue::Array(array) => array.iter().for_each(|value| spans(value, all)),
        _ => {}
    }
}

/// The value at a path.
pub(super) fn value<'t, 'i>(tree: &'t DeTable<'i>, path: &[Step]) -> Option<&'t Spanned<DeValue<'i>>> {
    let (first, rest) = path.split_first()?;
    let Step::Key(first) = first else { return None };
    rest.iter().try_fold(tree.get(first.as_str())?, |value, step| match (value.get_ref(), step) {
        (DeValue::Table(table), Step::Key(key)) => table.get(key.as_str()),
        (DeValue::Array(array), Step::Index(index)) => array.get(*index),
        _ => None,
    })
}

/// The value at a path, to be changed.
pub(super) fn value_mut<'t, 'i>(tree: &'t mut DeTable<'i>, path: &[Step]) -> Option<&'t mut Spanned<DeValue<'i>>> {
    let (first, rest) = path.split_first()?;
    let Step::Key(first) = first else { return None };
    rest.iter().try_fold(tree.get_mut(first.as_str())?, |value, step| match (value.get_mut(), step) {
        (DeValue::Table(table), Step::Key(key)) => table.get_mut(key.as_str()),
        (DeValue::Array(array), Step::Index(index)) => array.get_mut(*index),
        _ => None,
    })
}

/// The table at a path; the root is at none.
pub(super) fn table_of<'t, 'i>(tree: &'t DeTable<'i>, path: &[Step]) -> Option<&'t DeTable<'i>> {
    if path.is_empty() { Some(tree) } else { value(tree, path)?.get_ref().as_table() }
}

/// The table at a path, to be changed.
pub(super) fn table<'t, 'i>(tree: &'t mut DeTable<'i>, path: &[Step]) -> Option<&'t mut DeTable<'i>> {
    if path.is_empty() {
        return Some(tree);
    }
    match value_mut(tree, path)?.get_mut() {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

/// Arrays of this kind have no `remove`.
pub(super) fn remove(array: &mut DeArray<'_>, index: usize) {
    let all = std::mem::replace(array, DeArray::new());
    *array = all.into_iter().enumerate().filter(|(at, _)| *at != index).map(|(_, value)| value).collect();
}
