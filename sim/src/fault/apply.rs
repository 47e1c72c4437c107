//! Applying and undoing a fault that is resolved to nodes.

use std::task::Waker;

use super::describe::describe;
use super::{Fault, InFlight};
use crate::base::{NodeId, glob_matches};
use crate::host::{self, Death};
use crate::kernel::{self, BoxFuture, State};
use crate::system::RoleMain;
use crate::trace::digest::{Tag, hash_bytes};
use crate::trace::record::Kind;

type Resolved = Fault<Vec<NodeId>>;

/// The parts of the system under test that faults act on.
pub(crate) trait Stage {
    /// The code of a node with the parameters that it has by now.
    fn main_of(&self, node: NodeId) -> Option<RoleMain>;

    /// Whether a fault that is still in force holds the node down.
    fn is_held_down(&self, node: NodeId) -> bool;

    /// Puts other parameters on top of a node's, under the number of the fault, or takes them off again.
    fn reconfigure(&self, node: NodeId, fault: u32, with: Option<&toml::Table>);

    /// An action that the system offers, and the node that it runs on: the first of these that is up, or else of all operators.
    /// `None` if there is none.
    fn action(&self, name: &str, args: &toml::Table, on: Option<&[NodeId]>) -> Option<(NodeId, BoxFuture)>;
}

/// Applies a fault under a number that its undo will be known by.
pub(crate) fn apply(id: u32, fault: &Resolved, stage: &dyn Stage) {
    kernel::with(|state| {
        let text = describe(state, fault);
        state.digest.event(Tag::Fault, u64::from(id), hash_bytes(text.as_bytes()), state.now);
        state.record(NodeId::HOST, Kind::Fault, |_| text);
    });
    match fault {
        Fault::Crash(nodes) => host::crash(nodes, Death::Power),
        Fault::Kill(nodes) => host::crash(nodes, Death::Process),
        Fault::Wipe(nodes) => host::crash(nodes, Death::Disk),
        Fault::Restart(nodes) => {
            host::crash(nodes, Death::Power);
            host::boot_all(nodes);
        }
        Fault::Reconfigure { nodes, with } => {
            nodes.iter().for_each(|&node| stage.reconfigure(node, id, Some(with)));
            restart_with_new_code(nodes, stage);
        }
        Fault::Action { name, args, on } => {
            if let Some((operator, action)) = stage.action(name, args, on.as_deref()) {
                host::spawn_on(operator, action);
            }
        }
        _ => wake(kernel::with(|state| state.apply(id, fault))),
    }
}

/// Wakes what is not the kernel's own, with nothing borrowed.
fn wake(wakers: Vec<Waker>) {
    wakers.into_iter().for_each(Waker::wake);
}

/// Undoes it. What was crashed is started again, unless it runs or another fault holds it down.
pub(crate) fn undo(id: u32, fault: &Resolved, stage: &dyn Stage) {
    kernel::with(|state| {
        state.digest.event(Tag::Undo, u64::from(id), 0, state.now);
        state.record(NodeId::HOST, Kind::Fault, |state| format!("undo {}", describe(state, fault)));
    });
    match fault {
        Fault::Crash(nodes) | Fault::Kill(nodes) | Fault::Wipe(nodes) => {
            nodes.iter().filter(|&&node| !stage.is_held_down(node)).for_each(|&node| host::boot(node));
        }
        Fault::Restart(_) | Fault::Action { .. } => {}
        Fault::Reconfigure { nodes, .. } => {
            nodes.iter().for_each(|&node| stage.reconfigure(node, id, None));
            restart_with_new_code(nodes, stage);
        }
        _ => wake(kernel::with(|state| state.undo(id, fault))),
    }
}

/// One that another fault holds down has its new code when it starts again.
fn restart_with_new_code(nodes: &[NodeId], stage: &dyn Stage) {
    host::crash(nodes, Death::Power);
    for &node in nodes {
        host::set_main(node, stage.main_of(node));
    }
    nodes.iter().filter(|&&node| !stage.is_held_down(node)).for_each(|&node| host::boot(node));
}

/// The directed links that a fault cuts.
fn cuts(fault: &Resolved, all: usize) -> Vec<(NodeId, NodeId)> {
    let mut links = Vec::new();
    let mut both = |a: NodeId, b: NodeId| {
        if a != b {
            links.extend([(a, b), (b, a)]);
        }
    };
    match fault {
        Fault::Partition { groups, .. } => {
            for (i, group) in groups.iter().enumerate() {
                for other in &groups[i + 1..] {
                    group.iter().for_each(|&a| other.iter().for_each(|&b| both(a, b)));
                }
            }
        }
        Fault::Isolate(nodes) => {
            for &a in nodes {
                for b in (0..all as u16).map(NodeId) {
                    // Between two isolated nodes the link would be listed from either end.
                    if !nodes.contains(&b) || a < b {
                        both(a, b);
                    }
                }
            }
        }
        Fault::Ring(nodes) => {
            for (i, &hears) in nodes.iter().enumerate() {
                let neighbours = heard_in_ring(i, nodes.len());
                let cut = (0..nodes.len()).filter(|other| *other != i && !neighbours.contains(other));
                links.extend(cut.map(|other| (nodes[other], hears)));
            }
        }
        Fault::OneWay { from, to, .. } => links.extend(pairs(from, to)),
        _ => {}
    }
    links
}

/// Whom the node at a place in a ring of `n` hears: the next, the one before, the next but one, and so on, until with
/// itself they are a majority. Such a majority is another one for every place.
fn heard_in_ring(place: usize, n: usize) -> Vec<usize> {
    let by_distance = (1..n).flat_map(|distance| [(place + distance) % n, (place + n - distance) % n]);
    let mut heard: Vec<usize> = Vec::new();
    for other in by_distance {
        if heard.len() < n / 2 && !heard.contains(&other) {
            heard.push(other);
        }
    }
    heard
}

fn pairs(from: &[NodeId], to: &[NodeId]) -> Vec<(NodeId, NodeId)> {
    from.iter().flat_map(|&a| to.iter().filter(move |&&b| b != a).map(move |&b| (a, b))).collect()
}

impl State {
    /// Returns wakers that are not the kernel's own.
    fn apply(&mut self, id: u32, fault: &Resolved) -> Vec<Waker> {
        match fault {
            Fault::Pause(nodes) => nodes.iter().for_each(|&node| self.pause(node)),
            Fault::Partition { in_flight, .. } | Fault::OneWay { in_flight, .. } => {
                for (a, b) in cuts(fault, self.nodes.len()) {
                    let link = self.net.link(a, b);
                    link.cut += 1;
                    link.severed += u32::from(*in_flight == InFlight::Drop);
                }
            }
            Fault::Isolate(_) | Fault::Ring(_) => {
                for (a, b) in cuts(fault, self.nodes.len()) {
                    let link = self.net.link(a, b);
                    link.cut += 1;
                    link.severed += 1;
                }
            }
            Fault::Clog { from, to } => pairs(from, to).into_iter().for_each(|(a, b)| self.net.link(a, b).clogged += 1),
            Fault::Link { from, to, set } => {
                let now = self.now;
                pairs(from, to).into_iter().for_each(|(a, b)| self.net.link(a, b).patch(now, id, *set));
            }
            Fault::Clock { nodes, offset, drift_ppm } => self.set_clocks(nodes, offset.nanos(), *drift_ppm),
            Fault::Buggify(points) => self.probes.force_buggify(self.seed, 1, |name| glob_matches(points, name)),
            Fault::SlowCpu { nodes, poll } => {
                nodes.iter().for_each(|&node| self.node(node).slow_polls.push((id, poll.nanos())));
                self.settle_cpu(nodes);
            }
            Fault::Disk { nodes, set } => {
                return nodes.iter().flat_map(|&node| self.patch_disk(node, id, **set)).collect();
            }
            Fault::DiskStall(nodes) => nodes.iter().for_each(|&node| self.stall_disk(node)),
            Fault::DiskFull { nodes, free } => nodes.iter().for_each(|&node| self.fill_disk(node, id, free.bytes())),
            Fault::BitRot { nodes, sectors, files } => {
                nodes.iter().for_each(|&node| self.rot(node, *sectors, files));
            }
            Fault::BadSectors { nodes, sectors, files } => {
                nodes.iter().for_each(|&node| self.spoil(node, *sectors, files));
            }
            Fault::Crash(_)
            | Fault::Kill(_)
            | Fault::Wipe(_)
            | Fault::Restart(_)
            | Fault::Reconfigure { .. }
            | Fault::Action { .. } => {}
        }
        Vec::new()
    }

    /// As [`State::apply`].
    fn undo(&mut self, id: u32, fault: &Resolved) -> Vec<Waker> {
        match fault {
            Fault::Pause(nodes) => nodes.iter().for_each(|&node| self.resume(node)),
            Fault::Partition { .. } | Fault::OneWay { .. } | Fault::Isolate(_) | Fault::Ring(_) => {
                cuts(fault, self.nodes.len()).into_iter().for_each(|(a, b)| self.net.link(a, b).cut -= 1);
            }
            Fault::Clog { from, to } => {
                for (a, b) in pairs(from, to) {
                    let link = self.net.link(a, b);
                    link.clogged -= 1;
                    if link.clogged == 0 {
                        self.release_held(a, b);
                    }
                }
            }
            Fault::Link { from, to, .. } => {
                let now = self.now;
                pairs(from, to).into_iter().for_each(|(a, b)| self.net.link(a, b).unpatch(now, id));
            }
            Fault::Clock { nodes, offset, drift_ppm } => self.set_clocks(nodes, -offset.nanos(), -drift_ppm),
            Fault::Buggify(points) => self.probes.force_buggify(self.seed, -1, |name| glob_matches(points, name)),
            Fault::SlowCpu { nodes, .. } => {
                nodes.iter().for_each(|&node| self.node(node).slow_polls.retain(|(owner, _)| *owner != id));
                self.settle_cpu(nodes);
            }
            Fault::Disk { nodes, .. } => {
                return nodes.iter().flat_map(|&node| self.unpatch_disk(node, id)).collect();
            }
            Fault::DiskStall(nodes) => return nodes.iter().flat_map(|&node| self.unstall_disk(node)).collect(),
            Fault::DiskFull { nodes, .. } => nodes.iter().for_each(|&node| self.unfill_disk(node, id)),
            Fault::Crash(_)
            | Fault::Kill(_)
            | Fault::Wipe(_)
            | Fault::Restart(_)
            | Fault::BitRot { .. }
            | Fault::BadSectors { .. }
            | Fault::Reconfigure { .. }
            | Fault::Action { .. } => {}
        }
        Vec::new()
    }

    /// Adds to what is wrong with the clocks.
    fn set_clocks(&mut self, nodes: &[NodeId], offset: i64, drift_ppm: i64) {
        let now = self.now;
        self.drifts |= drift_ppm != 0;
        for &node in nodes {
            self.node(node).clock.skew(now, offset, drift_ppm);
        }
    }

    /// The latest slow-down in force decides what a poll costs.
    fn settle_cpu(&mut self, nodes: &[NodeId]) {
        let usual = self.usual_poll_cost();
        for &id in nodes {
            let node = self.node(id);
            node.poll_cost = node.slow_polls.last().map_or(usual, |&(_, cost)| cost);
        }
    }
}
