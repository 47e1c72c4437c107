//! The memberships in each server's log, as its entries have them: what the server itself makes of them is not asked.

use std::collections::BTreeMap;

use sim::NodeId;

/// A membership: who decides, and who learns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Voters {
    /// Who votes, or will.
    pub incoming: Vec<u64>,
    /// Who voted, if a change is half done.
    pub outgoing: Vec<u64>,
    /// Who learns.
    pub learners: Vec<u64>,
}

impl Voters {
    /// Whether those who say yes are a majority of each of the two sets.
    pub fn decided(&self, yes: impl Fn(u64) -> bool) -> bool {
        let majority = |of: &[u64]| of.is_empty() || 2 * of.iter().filter(|&&id| yes(id)).count() > of.len();
        majority(&self.incoming) && majority(&self.outgoing)
    }

    /// Whether every quorum of this one has a server in common with every quorum of `other`.
    pub fn overlaps(&self, other: &Voters) -> bool {
        let mut all: Vec<u64> =
            [&self.incoming, &self.outgoing, &other.incoming, &other.outgoing].into_iter().flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        let has = |set: u32, id: u64| all.binary_search(&id).is_ok_and(|at| set >> at & 1 == 1);
        !(0..1u32 << all.len()).any(|set| self.decided(|id| has(set, id)) && other.decided(|id| !has(set, id)))
    }
}

/// See the module.
#[derive(Default)]
pub struct Memberships(BTreeMap<NodeId, BTreeMap<u64, Voters>>);

impl Memberships {
    /// An entry is in a server's log: what was there or behind it is not any more.
    pub fn appended(&mut self, node: NodeId, index: u64) {
        if let Some(log) = self.0.get_mut(&node) {
            log.split_off(&index);
        }
    }

    /// A membership is in a server's log. As the base it is all that the server has, until it says more.
    pub fn has(&mut self, node: NodeId, index: u64, base: bool, voters: Voters) {
        let log = self.0.entry(node).or_default();
        if base {
            log.clear();
        }
        log.insert(index, voters);
    }

    /// The last one in a server's log.
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
