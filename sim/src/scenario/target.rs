//! Whom a fault hits: names as a scenario writes them, resolved when the fault fires.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::suggest;
use crate::base::glob_matches;

/// Some nodes: the union of what each target stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets(pub Vec<Target>);

/// A description of nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Every node.
    All,
    /// In a partition: every node that no other group has.
    Rest,
    /// The node that observed the event, or invoked the operation, that triggered the fault.
    This,
    /// A node (`server-0`), a role (`server`), a zone (`zone-1`), a selector (`primary`) or a glob (`server-*`): told apart
    /// when resolved.
    Name(String),
    /// Some of the nodes, drawn each time the fault fires.
    Random {
        /// How many.
        count: Count,
        /// Of which: a name or all. Of [`ZONES`], all nodes of so many zones.
        of: Box<Target>,
    },
}

/// What zones are drawn from: `random(zone)`.
pub const ZONES: &str = "zone";

/// The zone of each node, by the roles of all in order: the n-th node of a role is in zone n modulo `zones`.
pub(crate) fn zones_of<'r>(roles: impl Iterator<Item = &'r str>, zones: u16) -> Vec<u16> {
    let mut of_role = BTreeMap::<&str, usize>::new();
    let mut zone = |role| {
        let n = of_role.entry(role).or_default();
        *n += 1;
        ((*n - 1) % usize::from(zones.max(1))) as u16
    };
    roles.map(&mut zone).collect()
}

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
    /// How many that is of so many.
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
}

impl Targets {
    /// Whether a node of that name and role is among them, as far as names alone can tell: selectors and draws, which
    /// depend on the moment, name nobody here.
    pub fn names(&self, name: &str, role: &str) -> bool {
        self.0.iter().any(|target| match target {
            Target::All => true,
            Target::Name(known) => known == name || known == role || glob_matches(known, name),
            Target::Rest | Target::This | Target::Random { .. } => false,
        })
    }
}

const DRAWS: [&str; 3] = ["random", "minority", "majority"];

impl FromStr for Target {
    type Err = String;

    /// The error is a title, with a line `help: ..` where there is something to say.
    fn from_str(text: &str) -> Result<Target, String> {
        let Some((function, rest)) = text.split_once('(') else { return plain(text) };
        let function = function.trim();
        if !DRAWS.contains(&function) {
            return Err(format!("unknown target `{text}`\nhelp: {}", suggest(function, "choices among nodes", DRAWS)));
        }
        let Some(arguments) = rest.trim_end().strip_suffix(')') else {
            return Err(format!("the target `{text}` does not end with `)`"));
        };
        let (count, of) = match (function, arguments.split_once(',')) {
            ("random", None) => (Count::Nodes(1), arguments),
            ("random", Some((count, of))) => match count.trim().parse() {
                Ok(count) if count > 0 => (Count::Nodes(count), of),
                _ => {
                    return Err(format!(
                        "`{}` is not a number of nodes\nhelp: write it as in random(2, server)",
                        count.trim()
                    ));
                }
            },
            ("minority", None) => (Count::Minority, arguments),
            ("majority", None) => (Count::Majority, arguments),
            _ => return Err(format!("`{function}` takes one name\nhelp: write it as in {function}(server)")),
        };
        match plain(of)? {
            of @ (Target::Rest | Target::This) => {
                Err(format!("`{of}` cannot be drawn from\nhelp: write it as in {function}(server)"))
            }
            of => Ok(Target::Random { count, of: Box::new(of) }),
        }
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
        _ => match name.chars().find(|&c| c.is_whitespace() || c.is_control() || "(),".contains(c)) {
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
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        assert_eq!(" random( 1 ,server ) ".parse::<Target>().unwrap().to_string(), "random(server)");
    }

    #[test]
    fn malformed_targets_are_refused() {
        for text in
            ["", "a b", "a,b", "random", "random()", "random(a", "random(0, a)", "random(x, a)", "random(1, a, b)"]
        {
            assert!(text.parse::<Target>().is_err(), "{text:?}");
        }
        for text in
            ["minority(1, a)", "random(rest)", "random(self)", "some(a)", "a)", "random(random(a))", "random(a) b"]
        {
            assert!(text.parse::<Target>().is_err(), "{text:?}");
        }
    }
}
