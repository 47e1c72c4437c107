//! Whom a fault hits: names as a scenario writes them, resolved when the fault fires.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::suggest;
use crate::base::glob_matches;
use crate::system::NodeSpec;

/// Some nodes: the union of what each target stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets(pub Vec<Target>);

/// A description of nodes.
///
/// ```text
/// target = term { "&" term }                  the nodes that all terms stand for
/// term   = ["!"] (name | draw)                with `!`, all nodes but these
/// name   = "all" | "rest" | "self" | node | group | role | zone | selector | glob
/// draw   = "random" "(" [number ","] target ")" | ("minority" | "majority") "(" target ")"
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Every node.
    All,
    /// In a partition: every node that no other group has.
    Rest,
    /// The node that observed the event, or invoked the operation, that triggered the fault.
    This,
    /// A node (`server-0`), a group (`shard-1`), a role (`server`), a zone (`zone-1`), a selector (`primary`) or a glob (`server-*`):
    /// told apart when resolved.
    Name(String),
    /// Every node that is not among these.
    Not(Box<Target>),
    /// The nodes that all of these stand for, in the order of the first.
    And(Vec<Target>),
    /// Some of the nodes, drawn each time the fault fires.
    Random {
        /// How many.
        count: Count,
        /// Of which. Of [`ZONES`], all nodes of that many zones.
        of: Box<Target>,
    },
}

/// What zones are drawn from: `random(zone)`.
pub const ZONES: &str = "zone";

/// How many nodes to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// So many, or all if there are fewer.
    Nodes(u64),
    /// The largest number that is less than half.
    Minority,
    /// The smallest number that is more than half.
    Majority,
}

impl Count {
    /// The number of nodes to draw from a pool of `all`.
    pub(crate) fn of(self, all: usize) -> usize {
        let wanted = match self {
            Count::Nodes(n) => usize::try_from(n).unwrap_or(usize::MAX),
            Count::Minority => all.saturating_sub(1) / 2,
            Count::Majority => all / 2 + 1,
        };
        wanted.min(all)
    }
}

impl Target {
    /// The target without `random(..)` and the like around it.
    pub fn base(&self) -> &Target {
        match self {
            Target::Random { of, .. } => of,
            plain => plain,
        }
    }

    /// The target itself, and all that it is made of, outermost first.
    pub fn parts(&self) -> Vec<&Target> {
        let mut parts = vec![self];
        match self {
            Target::Not(of) | Target::Random { of, .. } => parts.extend(of.parts()),
            Target::And(terms) => parts.extend(terms.iter().flat_map(Target::parts)),
            Target::All | Target::Rest | Target::This | Target::Name(_) => {}
        }
        parts
    }

    /// All names in it, and whether each is drawn from.
    pub(crate) fn names(&self) -> Vec<(&str, bool)> {
        match self {
            Target::Name(name) => vec![(name, false)],
            Target::Not(of) => of.names(),
            Target::And(terms) => terms.iter().flat_map(Target::names).collect(),
            Target::Random { of, .. } => of.names().into_iter().map(|(name, _)| (name, true)).collect(),
            Target::All | Target::Rest | Target::This => Vec::new(),
        }
    }

    /// Whether a node of that name, role and group is among them, as far as names alone can tell: what depends on the moment
    /// names no node here, with `!` or without.
    fn has(&self, node: &NodeSpec) -> Option<bool> {
        match self {
            Target::All => Some(true),
            Target::Name(known) => Some(
                *known == node.name || *known == node.role || *known == node.group || glob_matches(known, &node.name),
            ),
            Target::Not(of) => of.has(node).map(|is_named| !is_named),
            Target::And(terms) => terms.iter().map(|term| term.has(node)).reduce(|a, b| Some(a? && b?)).flatten(),
            Target::Rest | Target::This | Target::Random { .. } => None,
        }
    }
}

impl Targets {
    /// The first target that is `part`, or is made of it.
    pub fn mentions(&self, part: &Target) -> Option<&Target> {
        self.0.iter().find(|target| target.parts().contains(&part))
    }

    /// Whether the node is among them, as far as names alone can tell: selectors and draws, which depend on the moment, name
    /// no node here.
    pub fn names(&self, node: &NodeSpec) -> bool {
        self.0.iter().any(|target| target.has(node).unwrap_or(false))
    }
}

const DRAWS: [&str; 3] = ["random", "minority", "majority"];

impl FromStr for Target {
    type Err = String;

    /// The error is a title, with a line `help: ..` where there is something to say.
    fn from_str(text: &str) -> Result<Target, String> {
        let terms =
            split(text, '&').into_iter().map(|term| parse_term(term, text)).collect::<Result<Vec<Target>, String>>()?;
        match <[Target; 1]>::try_from(terms) {
            Ok([one]) => Ok(one),
            Err(terms) => Ok(Target::And(terms)),
        }
    }
}

/// The parts between separators that are not within parentheses.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut depth, mut from, mut parts) = (0, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if c == separator && depth == 0 => {
                parts.push(&text[from..at]);
                from = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

fn parse_term(term: &str, whole: &str) -> Result<Target, String> {
    if let Some(of) = term.trim().strip_prefix('!') {
        return Ok(Target::Not(Box::new(parse_term(of, whole)?)));
    }
    let Some((function, rest)) = term.split_once('(') else { return plain(term) };
    let function = function.trim();
    if !DRAWS.contains(&function) {
        return Err(format!("unknown target `{whole}`\nhelp: {}", suggest(function, "choices among nodes", DRAWS)));
    }
    let Some(arguments) = rest.trim_end().strip_suffix(')') else {
        return Err(format!("the target `{whole}` does not end with `)`"));
    };
    let (count, of) = match (function, &split(arguments, ',')[..]) {
        ("random", [_]) => (Count::Nodes(1), arguments),
        ("random", [count, of]) => match count.trim().parse() {
            Ok(count) if count > 0 => (Count::Nodes(count), *of),
            _ => {
                return Err(format!(
                    "`{}` is not a number of nodes\nhelp: write it as in random(2, server)",
                    count.trim()
                ));
            }
        },
        ("minority", [_]) => (Count::Minority, arguments),
        ("majority", [_]) => (Count::Majority, arguments),
        _ => return Err(format!("`{function}` takes one target\nhelp: write it as in {function}(server)")),
    };
    match of.parse::<Target>()? {
        of @ (Target::Rest | Target::This) => {
            Err(format!("`{of}` cannot be drawn from\nhelp: write it as in {function}(server)"))
        }
        of if of.parts().iter().any(|part| matches!(part, Target::Random { .. })) => {
            Err(format!("`{of}` is drawn already\nhelp: draw once, as in {function}(server)"))
        }
        of if of.parts().len() > 1 && of.parts().contains(&&Target::Name(ZONES.to_owned())) => {
            Err(format!("`{of}` cannot be drawn from\nhelp: draw zones alone, as in random({ZONES}) & server"))
        }
        of => Ok(Target::Random { count, of: Box::new(of) }),
    }
}

fn plain(text: &str) -> Result<Target, String> {
    let name = text.trim();
    match name {
        "" => Err("a target is empty\nhelp: name a node, a role or a selector, such as \"server\"".to_owned()),
        "all" => Ok(Target::All),
        "rest" => Ok(Target::Rest),
        "self" => Ok(Target::This),
        draw if DRAWS.contains(&draw) => {
            Err(format!("`{draw}` does not say of which nodes\nhelp: write it as in {draw}(server)"))
        }
        _ => match name.chars().find(|&c| c.is_whitespace() || c.is_control() || "(),!".contains(c)) {
            Some(c) => Err(format!(
                "a target cannot contain {c:?}\nhelp: several targets are an array: [\"server-0\", \"server-1\"]"
            )),
            None => Ok(Target::Name(name.to_owned())),
        },
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::All => f.write_str("all"),
            Target::Rest => f.write_str("rest"),
            Target::This => f.write_str("self"),
            Target::Name(name) => f.write_str(name),
            Target::Not(of) => write!(f, "!{of}"),
            Target::And(terms) => {
                let terms: Vec<String> = terms.iter().map(Target::to_string).collect();
                f.write_str(&terms.join(" & "))
            }
            Target::Random { count: Count::Nodes(1), of } => write!(f, "random({of})"),
            Target::Random { count: Count::Nodes(n), of } => write!(f, "random({n}, {of})"),
            Target::Random { count: Count::Minority, of } => write!(f, "minority({of})"),
            Target::Random { count: Count::Majority, of } => write!(f, "majority({of})"),
        }
    }
}

impl fmt::Display for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let targets: Vec<String> = self.0.iter().map(Target::to_string).collect();
        f.write_str(&targets.join(", "))
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Targets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0[..] {
            [one] => one.serialize(serializer),
            several => several.serialize(serializer),
        }
    }
}

const EXPECTED: &str = "a target such as \"primary\", \"random(server)\" or [\"server-0\", \"server-1\"]";

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneVisitor;
        impl Visitor<'_> for OneVisitor {
            type Value = Target;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Target, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(OneVisitor)
    }
}

impl<'de> Deserialize<'de> for Targets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ManyVisitor;
        impl<'de> Visitor<'de> for ManyVisitor {
            type Value = Targets;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Targets, E> {
                Ok(Targets(vec![text.parse().map_err(E::custom)?]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Targets, A::Error> {
                let mut targets = Vec::new();
                while let Some(target) = seq.next_element()? {
                    targets.push(target);
                }
                Ok(Targets(targets))
            }
        }
        deserializer.deserialize_any(ManyVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_prints_as_it_is_written() {
        for text in [
            "all",
            "rest",
            "self",
            "server-0",
            "random(zone)",
            "server-*",
            "random(server)",
            "random(2, all)",
            "minority(a-*)",
            "majority(x)",
            "leader & shard-1",
            "server & !leader",
            "!server-0 & !server-1",
            "random(2, server & zone-1 & !leader)",
            "random(zone) & server",
            "!random(server)",
            "!self & server",
            "!rest",
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        assert_eq!(" random( 1 ,server ) ".parse::<Target>().unwrap().to_string(), "random(server)");
        assert_eq!("a&! b".parse::<Target>().unwrap().to_string(), "a & !b");
    }

    #[test]
    fn malformed_targets_are_refused() {
        for text in
            ["", "a b", "a,b", "random", "random()", "random(a", "random(0, a)", "random(x, a)", "random(1, a, b)"]
        {
            assert!(text.parse::<Target>().is_err(), "{text:?}");
        }
        for text in [
            "minority(1, a)",
            "random(rest)",
            "random(self)",
            "some(a)",
            "a)",
            "random(random(a))",
            "random(a) b",
            "a &",
            "& a",
            "!",
            "a & & b",
            "a ! b",
            "random(a & random(b))",
            "random(a & zone)",
            "random(a & b",
            "some(a) & b",
        ] {
            assert!(text.parse::<Target>().is_err(), "{text:?}");
        }
    }
}
