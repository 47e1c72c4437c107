//! Nodes: machines with a name, a role, an address, a disk, a clock, and one incarnation after another.

use std::any::Any;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;

use crate::base::seed::Key;
use crate::base::{GroupId, NodeId};
use crate::kernel::{self, Clock, Ready};
use crate::net::Sockets;
use crate::system::RoleMain;

impl NodeId {
    /// Its name, as in `server-0`. Only inside a simulation.
    pub fn name(self) -> String {
        kernel::with(|state| state.name_of(self))
    }
}

/// The node on which the calling code runs.
pub fn this() -> NodeId {
    kernel::with(|state| state.here())
}

/// The incarnation of the running node: 1 at first boot, one more at each restart.
pub fn incarnation() -> u32 {
    kernel::with(|state| {
        state.here();
        state.current.incarnation
    })
}

/// The node of that name, if the cluster has one.
pub fn lookup(name: &str) -> Option<NodeId> {
    kernel::with(|state| state.find_node(name))
}

/// All nodes of a role, in order.
pub fn of_role(role: &str) -> Vec<NodeId> {
    kernel::with(|state| state.nodes.iter().filter(|node| node.role == role).map(|node| node.id).collect())
}

/// All nodes of the home group of that one, in order.
pub(crate) fn peers_of(id: NodeId) -> Vec<NodeId> {
    let home = kernel::with(|state| state.node(id).home());
    home.nodes()
}

/// The kernel's side of a node.
pub(crate) struct Node {
    pub id: NodeId,
    pub name: String,
    pub role: String,
    /// Its home group, and the others that it has observed an event of.
    pub groups: Vec<GroupId>,
    pub up: bool,
    pub incarnation: u32,
    /// How many pauses are in force.
    pub paused: u32,
    /// Ready tasks that wait for the end of the pause.
    pub stalled: Vec<Ready>,
    /// When its CPU is done with the last poll.
    pub busy_until: u64,
    /// Ready tasks that wait for the CPU, and whether an event is set for when it is free.
    pub run_queue: BinaryHeap<Reverse<Ready>>,
    pub cpu_wait: bool,
    /// What a poll costs, and the slow-downs in force, by fault, oldest first.
    pub poll_cost: u64,
    pub slow_polls: Vec<(u32, u64)>,
    /// Its code, run at each boot.
    pub main: Option<RoleMain>,
    /// Polls in this run, and those since it was last idle.
    pub polls: u64,
    pub streak: u32,
    /// Tasks spawned in this incarnation.
    pub spawned: u32,
    pub sockets: Sockets,
    pub clock: Clock,
    /// The stream behind `sim::rand` on this node, and how many draws were made.
    pub random: Key,
    pub draws: u64,
    pub locals: Vec<(usize, Rc<dyn Any>)>,
}

impl Node {
    pub fn home(&self) -> GroupId {
        self.groups[0]
    }
}

impl kernel::State {
    pub(crate) fn name_of(&self, id: NodeId) -> String {
        match self.nodes.get(id.index()) {
            Some(node) => node.name.clone(),
            None if id == NodeId::HOST => "the host".to_owned(),
            None => format!("{id:?}"),
        }
    }

    pub(crate) fn find_node(&self, name: &str) -> Option<NodeId> {
        self.nodes.iter().find(|node| node.name == name).map(|node| node.id)
    }

    pub(crate) fn add_node(&mut self, name: &str, role: &str, group: &str) -> NodeId {
        let id = NodeId(u16::try_from(self.nodes.len()).expect("at most 65535 nodes"));
        assert!(id != NodeId::HOST, "at most 65535 nodes");
        self.nodes.push(Node {
            id,
            name: name.to_owned(),
            role: role.to_owned(),
            groups: Vec::new(),
            up: false,
            incarnation: 0,
            paused: 0,
            stalled: Vec::new(),
            busy_until: 0,
            run_queue: BinaryHeap::new(),
            cpu_wait: false,
            poll_cost: self.usual_poll_cost(),
            slow_polls: Vec::new(),
            main: None,
            polls: 0,
            streak: 0,
            spawned: 0,
            sockets: Sockets::default(),
            clock: Clock::default(),
            random: self.seed.key(crate::base::seed::Purpose::Node, name),
            draws: 0,
            locals: Vec::new(),
        });
        let group = self.group(group);
        self.groups[group.index()].nodes.push(id);
        self.seen_in(id, group);
        let names: Vec<String> = self.nodes.iter().map(|node| node.name.clone()).collect();
        self.net.add_node(self.seed, &names);
        self.disks.add(self.seed, name);
        self.devices.add(self.seed, name);
        self.settle_disk(id);
        id
    }

    pub(crate) fn usual_poll_cost(&self) -> u64 {
        match self.policy {
            kernel::Policy::Fifo => 0,
            kernel::Policy::Random => self.cpu.poll.as_nanos() as u64,
        }
    }
}
