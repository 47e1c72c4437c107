//! The nodes of a cluster by the names that scenarios have for them: node, group, role, zone, glob.

use std::collections::{BTreeMap, BTreeSet};

use super::target::ZONES;
use crate::base::glob_matches;
use crate::system::{NodeSpec, OPERATOR};

/// The nodes of a cluster, by their numbers.
#[derive(Clone, Debug)]
pub(crate) struct Roster {
    pub nodes: Vec<NodeSpec>,
    /// The zone of each node. Operators stand for people, and are in no zone.
    zones: Vec<Option<u16>>,
}

impl Roster {
    /// The n-th node of each group is in zone n modulo `zones`.
    pub fn new(nodes: Vec<NodeSpec>, zones: u16) -> Roster {
        let mut seen = BTreeMap::<&str, u16>::new();
        let mut of = Vec::with_capacity(nodes.len());
        for NodeSpec { role, group, .. } in &nodes {
            let n = seen.entry(group).or_default();
            of.push((role != OPERATOR).then_some(*n % zones.max(1)));
            *n += 1;
        }
        Roster { zones: of, nodes }
    }

    /// The nodes that a name stands for: a node, a group or a role, a zone, or else a glob of node names.
    pub fn named(&self, name: &str) -> Vec<usize> {
        let exact = self.matching(|node| node.name == name);
        if !exact.is_empty() {
            return exact;
        }
        let several = self.matching(|node| node.group == name || node.role == name);
        if !several.is_empty() {
            return several;
        }
        match name.strip_prefix(ZONES).and_then(|rest| rest.strip_prefix('-')?.parse().ok()) {
            Some(zone) => self.in_zone(zone),
            None => self.matching(|node| glob_matches(name, &node.name)),
        }
    }

    fn matching(&self, wanted: impl Fn(&NodeSpec) -> bool) -> Vec<usize> {
        (0..self.nodes.len()).filter(|&index| wanted(&self.nodes[index])).collect()
    }

    /// The nodes of a zone.
    pub fn in_zone(&self, zone: u16) -> Vec<usize> {
        (0..self.nodes.len()).filter(|&index| self.zones[index] == Some(zone)).collect()
    }

    /// The zones that have nodes.
    pub fn zones(&self) -> BTreeSet<u16> {
        self.zones.iter().copied().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roster() -> Roster {
        let mut cluster = crate::Cluster::default();
        cluster.group("shard-1", "shard", 3).group("shard-2", "shard", 2).nodes("client", 1).nodes(OPERATOR, 1);
        Roster::new(cluster.list().to_vec(), 2)
    }

    #[test]
    fn a_name_is_a_node_a_group_a_role_a_zone_or_a_glob() {
        let roster = roster();
        for (name, nodes) in [
            ("shard-1-2", vec![2]),
            ("shard-1", vec![0, 1, 2]),
            ("shard", vec![0, 1, 2, 3, 4]),
            ("client", vec![5]),
            ("operator-0", vec![6]),
            ("*-0", vec![0, 3, 5, 6]),
            ("shard-2-*", vec![3, 4]),
            ("nobody", vec![]),
        ] {
            assert_eq!(roster.named(name), nodes, "{name}");
        }
    }

    #[test]
    fn the_nth_node_of_each_group_is_in_the_nth_zone_and_operators_are_in_none() {
        let roster = roster();
        assert_eq!(roster.named("zone-0"), [0, 2, 3, 5]);
        assert_eq!(roster.named("zone-1"), [1, 4]);
        assert!(roster.named("zone-2").is_empty());
        assert_eq!(roster.zones(), BTreeSet::from([0, 1]));
    }
}
