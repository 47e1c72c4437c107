//! Faults in words, as traces and reports have them.

use super::{Fault, InFlight, Nemesis};
use crate::base::NodeId;
use crate::kernel::State;

/// A fault that is resolved: `crash server-0`, `partition {server-0 | server-1 server-2}`.
pub(crate) fn describe(state: &State, fault: &Fault<Vec<NodeId>>) -> String {
    fault.describe(|nodes| nodes.iter().map(|&node| state.name_of(node)).collect::<Vec<_>>().join(" "))
}

impl<N> Fault<N> {
    /// In words; `list` prints some nodes.
    pub fn describe(&self, list: impl Fn(&N) -> String) -> String {
        let name = self.name();
        match self {
            Fault::Crash(nodes)
            | Fault::Kill(nodes)
            | Fault::Restart(nodes)
            | Fault::Wipe(nodes)
            | Fault::Pause(nodes)
            | Fault::Ring(nodes)
            | Fault::DiskStall(nodes)
            | Fault::Isolate(nodes) => format!("{name} {}", list(nodes)),
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
            Fault::Clock { nodes, offset, drift_ppm } => {
                let offset = if offset.is_zero() { String::new() } else { format!(" {offset}") };
                let drift = if *drift_ppm == 0 { String::new() } else { format!(" {drift_ppm:+} ppm") };
                format!("{name} {}{offset}{drift}", list(nodes))
            }
            Fault::Action { name: action, args, on } => {
                let args =
                    if args.is_empty() { String::new() } else { format!(" {}", toml::Value::Table(args.clone())) };
                let on = on.as_ref().map(|on| format!(" on {}", list(on))).unwrap_or_default();
                format!("{name} {action}{args}{on}")
            }
            Fault::Buggify(points) => format!("{name} {points}"),
            Fault::SlowCpu { nodes, poll } => format!("{name} {} {poll} a poll", list(nodes)),
            Fault::Disk { nodes, set } => {
                let set = toml::Value::try_from(set).map(|value| value.to_string()).unwrap_or_default();
                format!("{name} {} {set}", list(nodes))
            }
            Fault::DiskFull { nodes, free } => format!("{name} {}, {free} free", list(nodes)),
            Fault::BitRot { nodes, sectors, files } | Fault::BadSectors { nodes, sectors, files } => {
                let files = if files == "*" { String::new() } else { format!(" of {files}") };
                format!("{name} {}, {sectors} sectors{files}", list(nodes))
            }
            Fault::Reconfigure { nodes, with } => {
                format!("{name} {} {}", list(nodes), toml::Value::Table(with.clone()))
            }
        }
    }
}

impl<N> Nemesis<N> {
    /// In words; `list` prints some nodes.
    pub fn describe(&self, list: impl Fn(&N) -> String) -> String {
        let (name, nodes) = (self.name(), list(self.nodes()));
        match self {
            Nemesis::Halves(_) | Nemesis::Bridge(_) | Nemesis::Swizzle(_) => format!("{name} {nodes}"),
            Nemesis::CrashLoop { up, down, .. } => format!("{name} {nodes}, {up} up and {down} down"),
            Nemesis::RollingRestart { down, pause, .. } => format!("{name} {nodes}, {down} down and {pause} apart"),
        }
    }
}

fn in_flight_note(in_flight: InFlight) -> &'static str {
    match in_flight {
        InFlight::Drop => "",
        InFlight::Deliver => ", what is under way arrives",
    }
}
