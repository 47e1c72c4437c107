//! Groups: named lists of nodes that belong together, such as the members of one Raft cluster.
//!
//! A *role* is what a node runs; a *group* is whom it runs it with. Ten replica groups of a sharded store are ten groups of one role.
//! [`Cluster::group`](crate::Cluster::group) makes them; a node that was added without a group is in the group of its role's name. This
//! is the node's *home group*, and it does not change.
//!
//! A node may take part in other groups too: a library that runs a member of a group says so with each event, as in
//! `observe!(group: self.group, BecameLeader { term })`. Without it, an event belongs to the home group of the node that observes it.
//!
//! Invariants, selectors, protections and consistency metrics that are declared
//! [`per_group`](crate::Manifest::per_group) are kept once for each group, so each sees the events of one group alone. Groups are not
//! part of the digest.

use crate::base::{Addr, GroupId, NodeId};
use crate::kernel;

impl GroupId {
    /// Its name, as in `shard-1`. Only inside a simulation.
    pub fn name(self) -> String {
        kernel::with(|state| state.group_name(self).to_owned())
    }

    /// The nodes whose home group it is, in order. Only inside a simulation.
    pub fn nodes(self) -> Vec<NodeId> {
        kernel::with(|state| state.groups.get(self.index()).map(|group| group.nodes.clone()).unwrap_or_default())
    }

    /// The address of `port` on each of its nodes. Only inside a simulation.
    pub fn addrs(self, port: u16) -> Vec<Addr> {
        self.nodes().into_iter().map(|node| node.port(port)).collect()
    }
}

/// The home group of the node on which the calling code runs.
pub fn home() -> GroupId {
    kernel::with(|state| {
        let here = state.here();
        state.node(here).home()
    })
}

/// The group of that name, if the cluster has it.
pub fn lookup(name: &str) -> Option<GroupId> {
    kernel::with(|state| state.find_group(name))
}

/// The kernel's side of a group.
pub(crate) struct Group {
    pub name: String,
    /// Those whose home group it is, in order.
    pub nodes: Vec<NodeId>,
}

impl kernel::State {
    pub(crate) fn group_name(&self, id: GroupId) -> &str {
        self.groups.get(id.index()).map_or("no group", |group| &group.name)
    }

    pub(crate) fn find_group(&self, name: &str) -> Option<GroupId> {
        self.groups.iter().position(|group| group.name == name).map(|index| GroupId::new(index as u16))
    }

    /// The group of that name, made if there is none.
    pub(crate) fn group(&mut self, name: &str) -> GroupId {
        self.find_group(name).unwrap_or_else(|| {
            let id = GroupId::new(u16::try_from(self.groups.len()).expect("at most 65535 groups"));
            self.groups.push(Group { name: name.to_owned(), nodes: Vec::new() });
            id
        })
    }

    /// The node has been seen in the group: what happens to the node concerns the group from now on.
    pub(crate) fn seen_in(&mut self, node: NodeId, group: GroupId) {
        let groups = &mut self.nodes[node.index()].groups;
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
}
