//! The memberships in each server's log, rebuilt from its entries, independently of the server's own view.

use std::collections::BTreeMap;

use sim::NodeId;

/// A membership.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Voters {
    /// The voters; in a joint membership the new ones.
    pub incoming: Vec<u64>,
    /// The old voters of a joint membership; otherwise empty.
    pub outgoing: Vec<u64>,
    /// The learners.
    pub learners: Vec<u64>,
}

impl Voters {
    /// Whether the servers for which `yes` is true are a majority of both sets.
    pub fn decided(&self, yes: impl Fn(u64) -> bool) -> bool {
        let majority = |of: &[u64]| of.is_empty() || 2 * of.iter().filter(|&&id| yes(id)).count() > of.len();
        majority(&self.incoming) && majority(&self.outgoing)
    }

    /// Whether every quorum of this membership shares a server with every quorum of `other`.
    pub fn overlaps(&self, other: &Voters) -> bool {
        let mut all: Vec<u64> =
            [&self.incoming, &self.outgoing, &other.incoming, &other.outgoing].into_iter().flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        let has = |set: u32, id: u64| all.binary_search(&id).is_ok_and(|at| set >> at & 1 == 1);
        !(0..1u32 << all.len()).any(|set| self.decided(|id| has(set, id)) && other.decided(|id| !has(set, id)))
    }
}

/// The memberships in each server's log, by index.
#[derive(Default)]
pub struct Memberships(BTreeMap<NodeId, BTreeMap<u64, Voters>>);

impl Memberships {
    /// Records that an entry was appended at `index`: earlier entries from `index` on are gone.
    pub fn appended(&mut self, node: NodeId, index: u64) {
        if let Some(log) = self.0.get_mut(&node) {
            log.split_off(&index);
        }
    }

    /// Records a membership in a server's log. `base` marks the membership of the snapshot, which replaces all earlier ones.
    pub fn has(&mut self, node: NodeId, index: u64, base: bool, voters: Voters) {
        let log = self.0.entry(node).or_default();
        if base {
            log.clear();
        }
        log.insert(index, voters);
    }

    /// The latest membership in a server's log.
    pub fn in_force(&self, node: NodeId) -> Option<&Voters> {
        self.0.get(&node)?.values().next_back()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voters(incoming: &[u64], outgoing: &[u64]) -> Voters {
        Voters { incoming: incoming.to_vec(), outgoing: outgoing.to_vec(), learners: Vec::new() }
    }

    #[test]
    fn one_server_more_or_less_overlaps_and_two_may_not() {
        let three = voters(&[1, 2, 3], &[]);
        assert!(three.overlaps(&voters(&[1, 2, 3, 4], &[])) && three.overlaps(&voters(&[1, 2], &[])));
        assert!(!three.overlaps(&voters(&[1, 2, 3, 4, 5], &[])) && !three.overlaps(&voters(&[1], &[])));
    }

    #[test]
    fn a_joint_membership_overlaps_both_sides() {
        let (old, new) = (voters(&[1, 2, 3], &[]), voters(&[4, 5, 6], &[]));
        let joint = voters(&[4, 5, 6], &[1, 2, 3]);
        assert!(!old.overlaps(&new) && old.overlaps(&joint) && joint.overlaps(&new));
    }
}
