//! Small pieces of text that several commands print.

use std::fmt;

/// How wide a block of text is at most.
const WIDTH: usize = 110;

/// Virtual time as `12.345678901s`.
pub struct Stamp(pub u64);

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}s", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

/// A duration of that many nanoseconds, to three digits: `1.23ms`, `45.6s`.
pub fn short(ns: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us"), (1, "ns")];
    let value = |per: u64| ns as f64 / per as f64;
    // What would be rounded up to a thousand is one of the next unit.
    let (per, unit) = UNITS.into_iter().find(|(per, _)| value(*per) >= 0.9995).unwrap_or(UNITS[3]);
    let decimals = match value(per) {
        _ if per == 1 => 0,
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    format!("{:.decimals$}{unit}", value(per))
}

/// The command that replays a run.
pub fn replay_line(scenario: &str, seed: u64, planted: &[String]) -> String {
    format!("cargo dst replay {} {seed}{}", quoted(scenario), planted_flags(planted))
}

/// The flags that switch known bugs on, each with a space before it.
pub fn planted_flags(planted: &[String]) -> String {
    planted.iter().map(|name| format!(" --planted {}", quoted(name))).collect()
}

/// A word as a shell reads it.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:@%+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// `title` and a list of words after it, wrapped, with the words aligned in column `indent`.
pub fn list(title: &str, indent: usize, words: impl IntoIterator<Item = String>, separator: &str) -> String {
    let mut text = format!("  {title:<width$}", width = indent.saturating_sub(2));
    let mut column = indent;
    for (i, word) in words.into_iter().enumerate() {
        let length = word.chars().count();
        if i > 0 && column + separator.len() + length > WIDTH {
            text += &format!("{}\n{:indent$}", separator.trim_end(), "");
            column = indent;
        } else if i > 0 {
            text += separator;
            column += separator.chars().count();
        }
        text += &word;
        column += length;
    }
    text.trim_end().to_owned() + "\n"
}

/// The first line, cut to what fits on one.
pub fn one_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let cut = line.chars().count() > WIDTH || text.lines().nth(1).is_some();
    let line: String = line.chars().take(WIDTH - 1).collect();
    if cut { line.trim_end_matches([':', ' ']).to_owned() + "…" } else { line }
}

/// Every line two columns further to the right.
pub fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}").trim_end().to_owned() + "\n").collect()
}

/// `1 run`, `2 runs`.
pub fn count(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_a_shell_would_split_are_quoted() {
        assert_eq!(quoted("scenarios/a_b-1.toml"), "scenarios/a_b-1.toml");
        assert_eq!(quoted("my file's.toml"), r"'my file'\''s.toml'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn a_replay_line_carries_the_planted_bugs() {
        let planted = ["a.b".to_owned(), "c d".to_owned()];
        assert_eq!(replay_line("x.toml", 17, &planted), "cargo dst replay x.toml 17 --planted a.b --planted 'c d'");
    }

    #[test]
    fn durations_have_three_digits() {
        let shown =
            [0, 7, 999, 1_000, 1_234, 99_949, 99_951, 999_499, 999_500, 1_500_000_000, 4_321_000_000_000].map(short);
        let expected =
            ["0ns", "7ns", "999ns", "1.00us", "1.23us", "99.9us", "100us", "999us", "1.00ms", "1.50s", "4321s"];
        assert_eq!(shown, expected);
    }

    #[test]
    fn one_line_shows_that_there_is_more() {
        assert_eq!(one_line("all of it"), "all of it");
        assert_eq!(one_line("the first:\nthe second"), "the first…");
        assert_eq!(one_line(&"x".repeat(WIDTH)).chars().count(), WIDTH - 1);
        assert_eq!(one_line(&"x".repeat(WIDTH + 1)).chars().count(), WIDTH);
    }

    #[test]
    fn long_lists_are_wrapped_and_aligned() {
        let words = (0..40).map(|i| format!("word-{i}"));
        let text = list("words", 10, words, ", ");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
        assert!(text.lines().skip(1).all(|line| line.starts_with("          word")), "{text}");
    }
}
