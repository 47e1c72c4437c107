//! What serde and the TOML parser say, in the words of this format.
//!
//! Their errors are one string and a span. Own `Deserialize` implementations add lines that begin with `label: ` and
//! `help: ` to theirs, which is the only way to hand more than a title through serde.

use toml::de::Error;

use super::error::{Diagnostic, suggest};

/// A text that is not TOML.
pub(super) fn syntax(error: &Error) -> Diagnostic {
    let (title, label) = match error.message().split_once(", expected ") {
        Some((title, expected)) => (title, format!("expected {expected}")),
        None if error.message() == "duplicate key" => ("duplicate key", "it has a value already".to_owned()),
        None => (error.message(), String::new()),
    };
    Diagnostic::error(format!("not valid TOML: {title}")).at(error.span().unwrap_or(0..0)).label(label)
}

/// TOML that is not a scenario.
pub(super) fn shape(error: &Error) -> Diagnostic {
    message(error.message()).at(error.span().unwrap_or(0..0))
}

/// The diagnostic, still without a place.
pub(super) fn message(text: &str) -> Diagnostic {
    let mut lines = text.lines();
    let mut diagnostic = title(lines.next().unwrap_or_default());
    for line in lines {
        if let Some(label) = line.strip_prefix("label: ") {
            diagnostic = diagnostic.label(label);
        } else if let Some(help) = line.strip_prefix("help: ") {
            diagnostic = diagnostic.help(help);
        }
    }
    diagnostic
}

fn title(text: &str) -> Diagnostic {
    if let Some((name, mut known)) = unknown(text, "unknown field `") {
        // Some keys are read before the others, and are not known to serde: those of entries.
        if known.contains(&"do") || known.contains(&"phase") {
            known.push("enabled");
        }
        Diagnostic::error(format!("unknown key `{name}`"))
            .label("not a key of this table")
            .help(suggest(name, "its keys", known))
    } else if let Some((name, known)) = unknown(text, "unknown variant `") {
        let choices = suggest(name, "expected one of", known);
        let help = match choices.contains("`log_normal`") {
            true => format!("{choices}, in a table such as {{ constant = \"5ms\" }}"),
            false => choices,
        };
        Diagnostic::error(format!("unknown value `{name}`")).label("not one of the choices").help(help)
    } else if let Some((names, known)) =
        text.strip_prefix("unexpected keys in table: ").and_then(|rest| rest.split_once(", available keys: "))
    {
        let name = names.split(", ").next().unwrap_or(names);
        Diagnostic::error(format!("unknown key `{name}`")).label("not a key of this table").help(suggest(
            name,
            "its keys",
            known.split(", "),
        ))
    } else if let Some(name) = text.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        missing(name)
    } else if let Some(expected) = text.strip_prefix("expected a duration such as ") {
        duration(expected)
    } else if let Some((found, expected)) = mismatch(text) {
        mismatched(found, expected)
    } else if let Some(length) = text.strip_prefix("expected tuple with length ") {
        Diagnostic::error(format!("expected {length} values")).label(format!("expected an array of {length} values"))
    } else if text.starts_with("wanted exactly 1 element") || text == "wanted string or table" {
        Diagnostic::error("expected a table with exactly one key").label("exactly one key says which kind it is")
    } else {
        Diagnostic::error(text)
    }
}

/// The name, and the names in back-ticks that it could have been.
fn unknown<'a>(text: &'a str, prefix: &str) -> Option<(&'a str, Vec<&'a str>)> {
    let rest = text.strip_prefix(prefix)?;
    let (name, known) = rest.rsplit_once("`, expected ").or_else(|| rest.rsplit_once("`, there are no "))?;
    Some((name, known.split('`').skip(1).step_by(2).collect()))
}

fn missing(name: &str) -> Diagnostic {
    let diagnostic = Diagnostic::error(format!("missing key `{name}`"));
    match name {
        "system" => diagnostic
            .label("expected a table `[system]`")
            .help("say which system this is about: [system], and below it name = \"primary_backup\""),
        "do" => diagnostic
            .label("this fault does not say what happens")
            .help("add what happens, for example: do = { crash = \"primary\" }"),
        _ => diagnostic.label(format!("expected `{name} = ...` in this table")),
    }
}

fn duration(text: &str) -> Diagnostic {
    let (examples, found) = text.split_once(", found ").unwrap_or((text, ""));
    Diagnostic::error("not a duration")
        .label(found)
        .help(format!("a duration is a number and a unit (ns, us, ms, s, m, h), such as {examples}"))
}

/// Splits serde's "invalid type: a, expected b".
fn mismatch(text: &str) -> Option<(&str, &str)> {
    let kinds = ["invalid type: ", "invalid value: ", "invalid length "];
    kinds.iter().find_map(|kind| text.strip_prefix(kind)).and_then(|rest| rest.rsplit_once(", expected "))
}

fn mismatched(found: &str, expected: &str) -> Diagnostic {
    if found == "unit variant" {
        return Diagnostic::error("expected a value for this name")
            .label("a bare name")
            .help("write it as a table with one key and its value, such as { constant = \"5ms\" }");
    }
    let is_list = found == "map" && expected == "a sequence";
    let expected = in_our_words(expected);
    let found = match found.split_once(' ') {
        None if found == "map" => "a table".to_owned(),
        None if found == "sequence" => "an array".to_owned(),
        None => format!("{found} values"),
        Some(("floating", number)) => number.replacen("point", "the number", 1),
        Some((kind, value)) => format!("the {kind} {value}"),
    };
    let diagnostic =
        Diagnostic::error(format!("expected {expected}, found {found}")).label(format!("expected {expected}"));
    match is_list {
        true => diagnostic.help("a list of tables has double brackets, such as [[fault]]"),
        false => diagnostic,
    }
}

fn in_our_words(expected: &str) -> String {
    let words = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, zero or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "string" => "a string",
        "a boolean" => "true or false",
        "a map" => "a table",
        "a sequence" => "an array",
        _ if expected.starts_with("struct ") => "a table",
        _ => {
            return match expected.split_once("tuple of size ") {
                Some((_, size)) => format!("an array of {size} values"),
                None => expected.to_owned(),
            };
        }
    };
    words.to_owned()
}
