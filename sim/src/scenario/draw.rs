//! Draws: `{ draw = [lo, hi] }`, `{ one_of = [..] }` and `{ chance = 0.3 }`, wherever a value may stand.
//!
//! Each is replaced in the tree of the file before anything is read from it, by a value that depends only on the seed
//! and on the draw's own key path: adding, removing or moving one draw changes no other. Left alone is what a fault
//! draws anew each time it fires: its `every`, its `for`, and the `one_of` at the top of its `do`.
//!
//! It takes two passes over the tree. The first makes the draws and finds the malformed ones; the second puts the values
//! in, as pieces of TOML that must live as long as the tree that borrows from them.

use std::ops::Range;

use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::error::Diagnostic;
use crate::base::seed::{Draw, Probability, Purpose, Seed};
use crate::base::{Offset, Time};

/// Who decides.
#[derive(Clone, Copy, Debug)]
pub(super) enum Choices {
    /// The seed.
    Seed(u64),
    /// Nobody: this is the n-th look at a file that must be right whatever is drawn. Every `one_of` gives its n-th
    /// alternative, every range one of its ends, and every entry that may be enabled is.
    Probe(usize),
}

impl Choices {
    fn draw(self, path: &str) -> Draw {
        match self {
            Choices::Seed(seed) => Seed(seed).key(Purpose::Scenario, path).draw(0, 0),
            Choices::Probe(n) => Draw(if n % 2 == 0 { 0 } else { u64::MAX }),
        }
    }

    fn index(self, path: &str, len: usize) -> usize {
        match self {
            Choices::Seed(_) => self.draw(path).below(len as u64) as usize,
            Choices::Probe(n) => n % len,
        }
    }
}

/// What a draw came to.
enum Drawn {
    /// This value, as TOML.
    Text(String),
    /// This alternative of a `one_of`.
    Alternative(usize),
}

/// All draws of a file, in the order in which [`each`] comes to them.
pub(super) struct Draws {
    drawn: Vec<Drawn>,
    /// The most alternatives that any draw has: so many probes see all of them.
    pub widest: usize,
}

/// Makes every draw in `root`, which is not changed, or says what is wrong with them.
pub(super) fn make(root: &mut DeTable<'_>, choices: Choices) -> Result<Draws, Vec<Diagnostic>> {
    let (mut draws, mut problems) = (Draws { drawn: Vec::new(), widest: 1 }, Vec::new());
    each(root, &mut |path, value| match one(path, value, choices) {
        Ok((drawn, alternatives)) => {
            draws.drawn.push(drawn);
            draws.widest = draws.widest.max(alternatives);
        }
        Err(problem) => problems.push(problem),
    });
    if problems.is_empty() { Ok(draws) } else { Err(problems) }
}

/// Puts the values in place of the draws, and says by key path what each came to, as TOML.
pub(super) fn apply<'i>(root: &mut DeTable<'i>, draws: &'i Draws) -> Vec<(String, String)> {
    let mut made: Vec<(String, String)> = Vec::new();
    let mut drawn = draws.drawn.iter();
    each(root, &mut |path, value| match drawn.next() {
        Some(Drawn::Text(text)) => {
            if let Ok(new) = DeValue::parse(text) {
                *value.get_mut() = new.into_inner();
                made.push((path.to_owned(), text.clone()));
            }
        }
        Some(Drawn::Alternative(index)) => {
            if let Some((_, choices)) = parts(value.get_ref())
                && let Some(choice) = choices.get_ref().get(index)
            {
                *value = choice.clone();
                // What was drawn inside the other alternatives has come to nothing.
                let (all, chosen) = (format!("{path}.one_of["), format!("{path}.one_of[{}]", index + 1));
                made.retain(|(path, _)| !path.starts_with(&all) || path.starts_with(&chosen));
                made.push((path.to_owned(), as_toml(value)));
            }
        }
        None => {}
    });
    made
}

fn as_toml(value: &Spanned<DeValue<'_>>) -> String {
    toml::Value::deserialize(ValueDeserializer::from(value.clone())).map_or_else(|_| String::new(), |v| v.to_string())
}

/// The three spellings.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Draw,
    OneOf,
    Chance,
}

/// A table is a draw if the name of one is its only key.
fn parts<'v, 'i>(value: &'v DeValue<'i>) -> Option<(Kind, &'v Spanned<DeValue<'i>>)> {
    let table = value.as_table().filter(|table| table.len() == 1)?;
    [("draw", Kind::Draw), ("one_of", Kind::OneOf), ("chance", Kind::Chance)]
        .into_iter()
        .find_map(|(name, kind)| Some((kind, table.get(name)?)))
}

type Visit<'f, 'i> = dyn FnMut(&str, &mut Spanned<DeValue<'i>>) + 'f;

/// Calls `visit` for every draw and its key path, inner ones first. Entries of lists count from one, as the default
/// names of faults do; named faults go by their name, so that removing another one moves nothing.
fn each<'i>(root: &mut DeTable<'i>, visit: &mut Visit<'_, 'i>) {
    for (key, value) in root.iter_mut() {
        match value.get_mut() {
            DeValue::Array(workloads) if key.get_ref() == "workload" => {
                for (i, workload) in workloads.iter_mut().enumerate() {
                    walk(&format!("workload[{}]", i + 1), workload, visit);
                }
            }
            DeValue::Array(rules) if key.get_ref() == "fault" => {
                for (i, rule) in rules.iter_mut().enumerate() {
                    let name = rule.get_ref().get("name").and_then(|name| name.get_ref().as_str());
                    let path = format!("fault[{}]", name.map_or((i + 1).to_string(), str::to_owned));
                    each_of_rule(&path, rule, visit);
                }
            }
            _ => walk(key.get_ref(), value, visit),
        }
    }
}

fn each_of_rule<'i>(path: &str, rule: &mut Spanned<DeValue<'i>>, visit: &mut Visit<'_, 'i>) {
    let DeValue::Table(rule) = rule.get_mut() else { return };
    for (key, value) in rule.iter_mut() {
        let path = format!("{path}.{}", key.get_ref());
        match &**key.get_ref() {
            "every" | "for" => {}
            "do" if parts(value.get_ref()).is_some_and(|(kind, _)| kind == Kind::OneOf) => {
                children(&path, value.get_mut(), visit);
            }
            _ => walk(&path, value, visit),
        }
    }
}

fn walk<'i>(path: &str, value: &mut Spanned<DeValue<'i>>, visit: &mut Visit<'_, 'i>) {
    // Asked before the children are replaced, so that both passes see the same draws.
    let is_draw = parts(value.get_ref()).is_some();
    children(path, value.get_mut(), visit);
    if is_draw {
        visit(path, value);
    }
}

fn children<'i>(path: &str, value: &mut DeValue<'i>, visit: &mut Visit<'_, 'i>) {
    match value {
        DeValue::Table(table) => {
            for (key, value) in table.iter_mut() {
                walk(&format!("{path}.{}", key.get_ref()), value, visit);
            }
        }
        DeValue::Array(array) => {
            for (i, value) in array.iter_mut().enumerate() {
                walk(&format!("{path}[{}]", i + 1), value, visit);
            }
        }
        _ => {}
    }
}

/// Makes one draw; also says how many alternatives it has.
fn one(path: &str, value: &Spanned<DeValue<'_>>, choices: Choices) -> Result<(Drawn, usize), Diagnostic> {
    let Some((kind, argument)) = parts(value.get_ref()) else {
        return Err(Diagnostic::error("not a draw").at(value.span()));
    };
    if path == "system.name" {
        return Err(Diagnostic::error("the system cannot be drawn")
            .at(value.span())
            .label("expected a string")
            .help("write one scenario for each system"));
    }
    match kind {
        Kind::OneOf => match argument.get_ref().as_array().map(|array| array.len()) {
            None => Err(expected_array("one_of", argument)),
            Some(0) => Err(Diagnostic::error("`one_of` has nothing to choose from")
                .at(argument.span())
                .label("expected at least one value")),
            Some(len) => Ok((Drawn::Alternative(choices.index(path, len)), len)),
        },
        Kind::Chance => {
            let chance = number(argument.get_ref()).filter(|chance| (0.0..=1.0).contains(chance)).ok_or_else(|| {
                Diagnostic::error("`chance` is not a probability")
                    .at(argument.span())
                    .label("expected a number from 0 to 1")
            })?;
            let entry = path.ends_with("].enabled");
            let yes =
                (entry && matches!(choices, Choices::Probe(_))) || choices.draw(path).chance(Probability::new(chance));
            Ok((Drawn::Text(yes.to_string()), 2))
        }
        Kind::Draw => {
            let text = bounds(argument)?.between(choices.draw(path)).map_err(|(low, high)| {
                Diagnostic::error(format!("the range of a draw is empty: {low} is above {high}"))
                    .at(argument.span())
                    .label("expected [lowest, highest]")
            })?;
            Ok((Drawn::Text(text), 2))
        }
    }
}

fn expected_array(name: &str, found: &Spanned<DeValue<'_>>) -> Diagnostic {
    Diagnostic::error(format!("`{name}` is not an array"))
        .at(found.span())
        .label(format!("expected an array, found a value of type {}", found.get_ref().type_str()))
}

/// The two ends of a range, both included.
enum Bounds {
    Integers(i64, i64),
    Floats(f64, f64),
    Times(Time, Time),
    Offsets(Offset, Offset),
}

fn bounds(argument: &Spanned<DeValue<'_>>) -> Result<Bounds, Diagnostic> {
    let Some(array) = argument.get_ref().as_array() else { return Err(expected_array("draw", argument)) };
    let malformed = |span: Range<usize>, label: &str| {
        Diagnostic::error("`draw` is not a range")
            .at(span)
            .label(label)
            .help("give the lowest and the highest value: [3, 7], [0.1, 0.5] or [\"1ms\", \"50ms\"]")
    };
    let [low, high] = &array[..] else { return Err(malformed(argument.span(), "expected two values")) };
    if let (Some(low), Some(high)) = (integer(low.get_ref()), integer(high.get_ref())) {
        return Ok(Bounds::Integers(low, high));
    }
    if let (Some(low), Some(high)) = (number(low.get_ref()), number(high.get_ref())) {
        return Ok(Bounds::Floats(low, high));
    }
    let (Some(low_text), Some(high_text)) = (low.get_ref().as_str(), high.get_ref().as_str()) else {
        return Err(malformed(argument.span(), "expected two numbers or two durations"));
    };
    let malformed = |end: &Spanned<DeValue<'_>>| malformed(end.span(), "expected a duration such as \"50ms\"");
    if [low_text, high_text].iter().any(|text| text.starts_with(['-', '+'])) {
        let (from, to) =
            (read(low_text).ok_or_else(|| malformed(low))?, read(high_text).ok_or_else(|| malformed(high))?);
        return Ok(Bounds::Offsets(from, to));
    }
    Ok(Bounds::Times(read(low_text).ok_or_else(|| malformed(low))?, read(high_text).ok_or_else(|| malformed(high))?))
}

impl Bounds {
    /// A value between them as TOML; the ends as text if they are the wrong way round.
    fn between(self, draw: Draw) -> Result<String, (String, String)> {
        // Offsets by wrapping, so that the whole range of 64-bit integers may be drawn from.
        let integer = |low: i64, high: i64| low.wrapping_add_unsigned(draw.between(0, high.wrapping_sub(low) as u64));
        match self {
            Bounds::Integers(low, high) if low <= high => Ok(integer(low, high).to_string()),
            Bounds::Floats(low, high) if low <= high => Ok(format!("{:?}", low + draw.unit() * (high - low))),
            Bounds::Times(low, high) if low <= high => {
                Ok(format!("\"{}\"", Time::from_nanos(draw.between(low.nanos(), high.nanos()))))
            }
            Bounds::Offsets(low, high) if low.nanos() <= high.nanos() => {
                Ok(format!("\"{}\"", Offset::from_nanos(integer(low.nanos(), high.nanos()))))
            }
            Bounds::Integers(low, high) => Err((low.to_string(), high.to_string())),
            Bounds::Floats(low, high) => Err((low.to_string(), high.to_string())),
            Bounds::Times(low, high) => Err((low.to_string(), high.to_string())),
            Bounds::Offsets(low, high) => Err((low.to_string(), high.to_string())),
        }
    }
}

fn integer(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    let number = match value {
        DeValue::Float(float) => float.as_str().parse().ok()?,
        _ => integer(value)? as f64,
    };
    f64::is_finite(number).then_some(number)
}

fn read<'t, T: Deserialize<'t>>(text: &'t str) -> Option<T> {
    T::deserialize(StrDeserializer::<Error>::new(text)).ok()
}
