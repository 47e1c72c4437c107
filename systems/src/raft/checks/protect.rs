//! Protection from faults: see [`MajorityOfDisks`].

use std::collections::BTreeSet;

use sim::event::On;
use sim::system::Protect;
use sim::{GroupId, NodeId};

use super::super::events::{Forgotten, Members};

/// Keeps faults from damaging a majority of the disks. A server with a damaged disk may be lost for good, and without a
/// majority the cluster cannot make progress.
///
/// After the first membership change all disks are protected, because the next change may put any server into the majority.
#[derive(Default)]
pub struct MajorityOfDisks {
    /// The group of the disks.
    group: Option<GroupId>,
    /// Every server that was ever a member.
    members: BTreeSet<u64>,
    voters: BTreeSet<u64>,
    changed: bool,
    lost: BTreeSet<NodeId>,
}

impl Protect for MajorityOfDisks {
    fn subscribe(on: &mut On<Self>) {
        on.fold::<Members>(|this, moment, event| {
            this.group = Some(moment.group);
            this.members.extend(event.incoming.iter().chain(&event.outgoing).chain(&event.learners));
            if event.index == 0 {
                this.voters = event.incoming.iter().copied().collect();
            } else {
                this.changed |= !event.base || this.voters != event.incoming.iter().copied().collect();
            }
        });
        on.fold::<Forgotten>(|this, moment, _| {
            this.lost.insert(moment.node);
        });
    }

    fn memories(&self) -> Vec<Vec<NodeId>> {
        Vec::new()
    }

    fn disks(&self) -> Vec<Vec<NodeId>> {
        if self.changed {
            let mut all: BTreeSet<NodeId> = self.members.iter().map(|&id| NodeId::new(id as u16)).collect();
            all.extend(self.group.map(GroupId::nodes).unwrap_or_default());
            return all.into_iter().map(|server| vec![server]).collect();
        }
        let voters: Vec<NodeId> = self.voters.iter().map(|&id| NodeId::new(id as u16)).collect();
        // Of each so many, one must be whole; those that are lost are damaged whatever the simulator sees.
        let spare = (voters.len().saturating_sub(1) / 2).saturating_sub(self.lost.len());
        let left: Vec<NodeId> = voters.into_iter().filter(|voter| !self.lost.contains(voter)).collect();
        subsets(&left, spare + 1)
    }
}

/// All subsets of that size.
fn subsets(of: &[NodeId], size: usize) -> Vec<Vec<NodeId>> {
    if size == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (at, &first) in of.iter().enumerate() {
        for mut rest in subsets(&of[at + 1..], size - 1) {
            rest.insert(0, first);
            all.push(rest);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_five_disks_any_three_have_one_that_is_whole() {
        let mut protect = MajorityOfDisks { voters: (0..5).collect(), ..MajorityOfDisks::default() };
        assert_eq!(protect.disks().len(), 10);
        assert!(protect.disks().iter().all(|group| group.len() == 3));
        // One is lost: one more may be damaged.
        protect.lost.insert(NodeId::new(0));
        assert!(protect.disks().iter().all(|group| group.len() == 2 && !group.contains(&NodeId::new(0))));
        protect.lost.insert(NodeId::new(1));
        assert_eq!(protect.disks(), [2, 3, 4].map(|id| vec![NodeId::new(id)]));
    }
}
