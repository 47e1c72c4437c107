//! The fault budget, `[run] max_down`: how many nodes of a group may be down at once.

use std::fmt;

use serde::de::{Error, MapAccess, Unexpected, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::glob_matches;
use crate::system::{NodeSpec, OPERATOR};

/// How many nodes of one group may be down at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Fewer than half of its nodes: none of one or two.
    #[default]
    Minority,
    /// All of them.
    All,
    /// At most this many.
    #[serde(untagged)]
    Nodes(usize),
}

impl Limit {
    /// How many of `all` nodes it allows to be down; none without limit.
    pub(crate) fn allows(self, all: usize) -> Option<usize> {
        match self {
            Limit::All => None,
            Limit::Nodes(most) => Some(most),
            Limit::Minority => Some(all.saturating_sub(1) / 2),
        }
    }
}

/// The fault budget: a fault that would exceed it does not happen. One limit for every group, or a table of limits by the name of
/// groups or roles, in which `*` stands for any characters; a minority where the table says nothing. Operators have no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaxDown {
    /// By pattern, the longest first.
    limits: Vec<(String, Limit)>,
}

impl MaxDown {
    /// The same limit for every group.
    pub fn each(limit: Limit) -> MaxDown {
        MaxDown { limits: vec![("*".to_owned(), limit)] }
    }

    /// The patterns of a table; none if there is one limit for all.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = &str> {
        self.limits.iter().map(|(pattern, _)| pattern.as_str()).filter(|pattern| *pattern != "*")
    }

    /// Whether the limit under that pattern is of the node's group.
    pub(crate) fn is_of(pattern: &str, node: &NodeSpec) -> bool {
        glob_matches(pattern, &node.group) || node.role == pattern
    }

    /// The limit of the group of that node.
    pub(crate) fn of(&self, node: &NodeSpec) -> Limit {
        if node.role == OPERATOR {
            return Limit::All;
        }
        let by = |wanted: &dyn Fn(&str) -> bool| self.limits.iter().find(|(pattern, _)| wanted(pattern));
        let found = by(&|pattern| pattern == node.group)
            .or_else(|| by(&|pattern| pattern == node.role))
            .or_else(|| by(&|pattern| glob_matches(pattern, &node.group)));
        found.map_or_else(Limit::default, |(_, limit)| *limit)
    }
}

impl Default for MaxDown {
    fn default() -> Self {
        MaxDown::each(Limit::default())
    }
}

impl Serialize for MaxDown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.limits[..] {
            [(pattern, limit)] if pattern == "*" => limit.serialize(serializer),
            limits => {
                let mut table = serializer.serialize_map(Some(limits.len()))?;
                limits.iter().try_for_each(|(pattern, limit)| table.serialize_entry(pattern, limit))?;
                table.end()
            }
        }
    }
}

const EXPECTED: &str = "\"minority\", \"all\" or a number of nodes";

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LimitVisitor;
        impl Visitor<'_> for LimitVisitor {
            type Value = Limit;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Limit, E> {
                match text {
                    "minority" => Ok(Limit::Minority),
                    "all" => Ok(Limit::All),
                    _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }
            fn visit_i64<E: Error>(self, nodes: i64) -> Result<Limit, E> {
                usize::try_from(nodes).map(Limit::Nodes).map_err(|_| E::invalid_value(Unexpected::Signed(nodes), &self))
            }
        }
        deserializer.deserialize_any(LimitVisitor)
    }
}

impl<'de> Deserialize<'de> for MaxDown {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MaxDownVisitor;
        impl<'de> Visitor<'de> for MaxDownVisitor {
            type Value = MaxDown;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<MaxDown, E> {
                let text = serde::de::value::StrDeserializer::<E>::new(text);
                Limit::deserialize(text).map(MaxDown::each)
            }
            fn visit_i64<E: Error>(self, nodes: i64) -> Result<MaxDown, E> {
                let nodes = serde::de::value::I64Deserializer::<E>::new(nodes);
                Limit::deserialize(nodes).map(MaxDown::each)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<MaxDown, A::Error> {
                let mut limits: Vec<(String, Limit)> = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    limits.push(entry);
                }
                limits.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.len()));
                Ok(MaxDown { limits })
            }
        }
        deserializer.deserialize_any(MaxDownVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize, Serialize)]
    struct Run {
        max_down: MaxDown,
    }

    fn of(text: &str, group: &str, role: &str) -> Limit {
        let run: Run = toml::from_str(&format!("max_down = {text}")).unwrap();
        let again: Run = toml::from_str(&toml::to_string(&run).unwrap()).unwrap();
        assert_eq!(run, again, "as it is written down");
        run.max_down.of(&NodeSpec { name: format!("{group}-0"), role: role.to_owned(), group: group.to_owned() })
    }

    #[test]
    fn one_limit_is_of_every_group_and_of_no_operator() {
        assert_eq!(of("1", "server", "server"), Limit::Nodes(1));
        assert_eq!(of("\"all\"", "server", "server"), Limit::All);
        assert_eq!(of("0", OPERATOR, OPERATOR), Limit::All);
    }

    #[test]
    fn the_name_counts_before_the_longest_glob_and_a_minority_where_nothing_is_said() {
        let table = r#"{ "*" = 3, "shard-*" = "minority", shard-2 = 0, worker = "all" }"#;
        assert_eq!(of(table, "shard-1", "shard"), Limit::Minority);
        assert_eq!(of(table, "shard-2", "shard"), Limit::Nodes(0));
        assert_eq!(of(table, "worker", "worker"), Limit::All);
        assert_eq!(of(table, "fast", "worker"), Limit::All);
        assert_eq!(of("{ a = 0, worker = 2 }", "a", "worker"), Limit::Nodes(0), "a group before its role");
        assert_eq!(of(table, "master", "master"), Limit::Nodes(3));
        assert_eq!(of("{ worker = 2 }", "master", "master"), Limit::Minority);
    }
}
