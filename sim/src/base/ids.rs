//! Whom a run is about: nodes, and the addresses of what listens on them.

use std::fmt;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// A node of the cluster: its index, in the order in which nodes were added.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub(crate) u16);

impl NodeId {
    /// Not a node: the host program that drives the simulation.
    pub(crate) const HOST: NodeId = NodeId(u16::MAX);

    /// The `index`-th node of the cluster.
    pub const fn new(index: u16) -> NodeId {
        NodeId(index)
    }

    /// Its position in the order in which nodes were added.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Its address, the same in all its incarnations: 10.0.x.y.
    pub fn ip(self) -> Ipv4Addr {
        let host = self.0 + 1;
        Ipv4Addr::new(10, 0, (host >> 8) as u8, host as u8)
    }

    /// The address of `port` on this node.
    pub fn port(self, port: u16) -> Addr {
        Addr { node: self, port }
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}", self.0)
    }
}

/// A group of nodes, by its number: groups are numbered in the order in which their first nodes were added. See
/// [`group`](mod@crate::group).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GroupId(pub(crate) u16);

impl GroupId {
    /// The `index`-th group of the cluster.
    pub const fn new(index: u16) -> GroupId {
        GroupId(index)
    }

    /// Its position in the order of all groups.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Debug for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "group {}", self.0)
    }
}

/// Where a datagram goes to or came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Addr {
    /// The machine.
    pub node: NodeId,
    /// The service on it. Several services share a node.
    pub port: u16,
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.node.ip(), self.port)
    }
}
