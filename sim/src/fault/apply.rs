//! Applying and undoing a fault that is resolved to nodes.

use super::{Fault, InFlight};
use crate::host;
use crate::kernel::{self, State};
use crate::node::NodeId;
use crate::system::RoleMain;
use crate::trace::digest::{Tag, hash_bytes};
use crate::trace::record::Kind;

type Resolved = Fault<Vec<NodeId>>;

/// What a fault needs from whoever knows the system: the code of a node, with its own parameters or with others.
pub(crate) type MainOf<'a> = &'a dyn Fn(NodeId, Option<&toml::Table>) -> Option<RoleMain>;

/// Applies a fault under a number that its undo will be known by.
pub(crate) fn apply(id: u32, fault: &Resolved, main_of: MainOf<'_>) {
    kernel::with(|state| {
        let text = describe(state, fault);
        state.digest.event(Tag::Fault, u64::from(id), hash_bytes(text.as_bytes()), state.now);
        state.record(NodeId::HOST, Kind::Fault, |_| text);
    });
    match fault {
        Fault::Crash(nodes) => host::crash(nodes, false),
        Fault::Wipe(nodes) => host::crash(nodes, true),
        Fault::Restart(nodes) => {
            host::crash(nodes, false);
            host::boot_all(nodes);
        }
        Fault::Reconfigure { nodes, with } => {
            host::crash(nodes, false);
            for &node in nodes {
                host::set_main(node, main_of(node, Some(with)));
            }
            host::boot_all(nodes);
        }
        _ => kernel::with(|state| state.apply(id, fault)),
    }
}

/// Undoes it. What was crashed is started again unless something else has done so.
pub(crate) fn undo(id: u32, fault: &Resolved, main_of: MainOf<'_>) {
    kernel::with(|state| {
        state.digest.event(Tag::Undo, u64::from(id), 0, state.now);
        state.record(NodeId::HOST, Kind::Fault, |state| format!("undo {}", describe(state, fault)));
    });
    match fault {
        Fault::Crash(nodes) | Fault::Wipe(nodes) => host::boot_all(nodes),
        Fault::Restart(_) => {}
        Fault::Reconfigure { nodes, .. } => {
            host::crash(nodes, false);
            for &node in nodes {
                host::set_main(node, main_of(node, None));
            }
            host::boot_all(nodes);
        }
        _ => kernel::with(|state| state.undo(id, fault)),
    }
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
        Fault::OneWay { from, to, .. } => {
            links.extend(from.iter().flat_map(|&a| to.iter().filter(move |&&b| b != a).map(move |&b| (a, b))));
        }
        _ => {}
    }
    links
}

fn pairs(from: &[NodeId], to: &[NodeId]) -> Vec<(NodeId, NodeId)> {
    from.iter().flat_map(|&a| to.iter().filter(move |&&b| b != a).map(move |&b| (a, b))).collect()
}

impl State {
    fn apply(&mut self, id: u32, fault: &Resolved) {
        match fault {
            Fault::Pause(nodes) => nodes.iter().for_each(|&node| self.pause(node)),
            Fault::Partition { in_flight, .. } | Fault::OneWay { in_flight, .. } => {
                for (a, b) in cuts(fault, self.nodes.len()) {
                    let link = self.net.link(a, b);
                    link.cut += 1;
                    link.severed += u32::from(*in_flight == InFlight::Drop);
                }
            }
            Fault::Isolate(_) => {
                for (a, b) in cuts(fault, self.nodes.len()) {
                    let link = self.net.link(a, b);
                    link.cut += 1;
                    link.severed += 1;
                }
            }
            Fault::Clog { from, to } => pairs(from, to).into_iter().for_each(|(a, b)| self.net.link(a, b).clogged += 1),
            Fault::Link { from, to, set } => {
                pairs(from, to).into_iter().for_each(|(a, b)| self.net.link(a, b).patch(id, *set));
            }
            Fault::Clock { nodes, offset } => {
                nodes.iter().for_each(|&node| self.node(node).wall_offset += offset.nanos());
            }
            Fault::SlowCpu { nodes, poll } => {
                nodes.iter().for_each(|&node| self.node(node).slow_polls.push((id, poll.nanos())));
                self.settle_cpu(nodes);
            }
            Fault::Crash(_) | Fault::Wipe(_) | Fault::Restart(_) | Fault::Reconfigure { .. } => {}
        }
    }

    fn undo(&mut self, id: u32, fault: &Resolved) {
        match fault {
            Fault::Pause(nodes) => nodes.iter().for_each(|&node| self.resume(node)),
            Fault::Partition { .. } | Fault::OneWay { .. } | Fault::Isolate(_) => {
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
                pairs(from, to).into_iter().for_each(|(a, b)| self.net.link(a, b).unpatch(id));
            }
            Fault::Clock { nodes, offset } => {
                nodes.iter().for_each(|&node| self.node(node).wall_offset -= offset.nanos());
            }
            Fault::SlowCpu { nodes, .. } => {
                nodes.iter().for_each(|&node| self.node(node).slow_polls.retain(|(owner, _)| *owner != id));
                self.settle_cpu(nodes);
            }
            Fault::Crash(_) | Fault::Wipe(_) | Fault::Restart(_) | Fault::Reconfigure { .. } => {}
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

/// `crash server-0`, `partition {server-0 | server-1 server-2}`.
pub(crate) fn describe(state: &State, fault: &Resolved) -> String {
    let list = |nodes: &Vec<NodeId>| nodes.iter().map(|&node| state.name_of(node)).collect::<Vec<_>>().join(" ");
    let name = fault.name();
    match fault {
        Fault::Crash(nodes)
        | Fault::Restart(nodes)
        | Fault::Wipe(nodes)
        | Fault::Pause(nodes)
        | Fault::Isolate(nodes) => {
            format!("{name} {}", list(nodes))
        }
        Fault::Partition { groups, in_flight } => {
            let sides = groups.iter().map(list).collect::<Vec<_>>().join(" | ");
            format!("{name} {{{sides}}}{}", in_flight_note(*in_flight))
        }
        Fault::OneWay { from, to, in_flight } => {
            format!("{name} {} -/-> {}{}", list(from), list(to), in_flight_note(*in_flight))
        }
        Fault::Clog { from, to } => format!("{name} {} -> {}", list(from), list(to)),
        Fault::Link { from, to, set } => {
            let set = toml::Value::try_from(set).map(|value| value.to_string()).unwrap_or_default();
            format!("{name} {} -> {} {set}", list(from), list(to))
        }
        Fault::Clock { nodes, offset } => format!("{name} {} {offset}", list(nodes)),
        Fault::SlowCpu { nodes, poll } => format!("{name} {} {poll} a poll", list(nodes)),
        Fault::Reconfigure { nodes, with } => {
            format!("{name} {} {}", list(nodes), toml::Value::Table(with.clone()))
        }
    }
}

fn in_flight_note(in_flight: InFlight) -> &'static str {
    match in_flight {
        InFlight::Drop => "",
        InFlight::Deliver => ", what is under way arrives",
    }
}
