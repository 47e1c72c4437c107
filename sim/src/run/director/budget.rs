//! The fault budget: what may not happen, because what it would break is nobody's bug.

use std::collections::BTreeMap;

use super::Director;
use crate::base::NodeId;
use crate::check::guarded;
use crate::fault::Fault;
use crate::kernel;
use crate::scenario::plan::MaxDown;
use crate::system::Protected;

impl Director {
    /// Why the fault may not happen, if it may not.
    pub(super) fn over_budget(&self, fault: &Fault<Vec<NodeId>>) -> Option<String> {
        if !fault.destroys().is_empty() || !fault.damages().is_empty() {
            let mut each = self.protected.iter().filter_map(|groups| guarded(&"what is protected", || groups()));
            if let Some(why) = each.find_map(|protected| loses(fault, &protected)) {
                return Some(why.to_owned());
            }
        }
        let mut by_role: BTreeMap<&str, usize> = BTreeMap::new();
        let up = |node: &&NodeId| kernel::with(|state| state.node(**node).up);
        for node in fault.takes_down().iter().filter(up) {
            *by_role.entry(&self.nodes[node.index()].2).or_default() += 1;
        }
        for (role, more) in by_role {
            let of_role = self.nodes.iter().filter(|(_, _, of)| of == role);
            let (down, all) = kernel::with(|state| {
                of_role.fold((0, 0), |(down, all), (id, ..)| (down + usize::from(!state.node(*id).up), all + 1))
            });
            let allowed = match self.max_down {
                MaxDown::All => continue,
                MaxDown::Nodes(n) => n,
                MaxDown::Minority => (all - 1) / 2,
            };
            if down + more > allowed {
                return Some(format!("{down} of {all} {role} nodes are down and max_down allows {allowed}"));
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
