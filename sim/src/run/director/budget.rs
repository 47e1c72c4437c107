//! The fault budget rejects faults whose damage would not be a bug of the system.

use std::collections::BTreeMap;

use super::{Director, id};
use crate::base::NodeId;
use crate::check::guarded;
use crate::fault::Fault;
use crate::kernel;
use crate::system::Protected;

impl Director {
    /// The reason why the budget rejects the fault; `None` if the budget allows it.
    pub(super) fn over_budget(&self, fault: &Fault<Vec<NodeId>>) -> Option<String> {
        if !fault.destroys().is_empty() || !fault.damages().is_empty() {
            let mut each = self.protected.iter().filter_map(|groups| guarded(&"what is protected", || groups()));
            if let Some(why) = each.find_map(|protected| loses(fault, &protected)) {
                return Some(why.to_owned());
            }
        }
        let nodes = &self.roster.nodes;
        let mut by_group: BTreeMap<&str, (NodeId, usize)> = BTreeMap::new();
        let up = |node: &&NodeId| kernel::with(|state| state.node(**node).up);
        for &node in fault.takes_down().iter().filter(up) {
            by_group.entry(&nodes[node.index()].group).or_insert((node, 0)).1 += 1;
        }
        for (group, (first, more)) in by_group {
            let (down, all) = kernel::with(|state| {
                let of_group = (0..nodes.len()).filter(|&index| nodes[index].group == group);
                of_group.fold((0, 0), |(down, all), index| (down + usize::from(!state.node(id(index)).up), all + 1))
            });
            let Some(allowed) = self.max_down.of(&nodes[first.index()]).allows(all) else { continue };
            if down + more > allowed {
                return Some(format!("{down} of {all} {group} nodes are down and max_down allows {allowed}"));
            }
        }
        None
    }
}

/// What that is protected would be lost for good.
fn loses(fault: &Fault<Vec<NodeId>>, protected: &Protected) -> Option<&'static str> {
    let (destroyed, damaged) = (fault.destroys(), fault.damages());
    let dies = |group: &Vec<NodeId>| !group.is_empty() && group.iter().all(|node| destroyed.contains(node));
    if protected.memories.iter().any(dies) {
        return Some("it would destroy the last copy");
    }
    let is_damaged = |node: &NodeId| damaged.contains(node) || kernel::with(|state| state.is_disk_damaged(*node));
    let ruined = |group: &Vec<NodeId>| group.iter().any(|node| damaged.contains(node)) && group.iter().all(is_damaged);
    protected.disks.iter().any(ruined).then_some("it would damage the last whole disk")
}
