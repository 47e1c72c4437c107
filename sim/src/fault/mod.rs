//! Faults as data: every fault is one value that can be read from a scenario, applied, undone, printed, counted, and
//! recorded at an exact virtual time.
//!
//! The type parameter is how nodes are named: [`crate::scenario::Targets`] in a scenario file, where `"primary"` means
//! whoever that is when the fault fires; [`NodeId`]s once it is resolved; plain names in a frozen file.

mod apply;

use serde::{Deserialize, Serialize};

pub(crate) use apply::{apply, describe, undo};

use crate::net::LinkPatch;
use crate::node::NodeId;
use crate::scenario::units::{Offset, Time};

/// What a fault does. Each is undone when its `for` is over, and at the latest when the run heals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault<N> {
    /// The nodes stop at once and lose their memory and what they had not synced. Undone: they restart.
    Crash(N),
    /// The nodes crash and start again at once, a new incarnation each.
    Restart(N),
    /// The nodes crash and lose their disks too. Undone: they restart, empty.
    Wipe(N),
    /// The nodes' tasks stop running, as in a long garbage collection; clocks and network go on. Undone: they resume.
    Pause(N),
    /// Only nodes of the same group reach each other; nodes in no group reach everybody.
    Partition {
        /// The sides.
        groups: Vec<N>,
        /// What becomes of messages that are under way.
        #[serde(default)]
        in_flight: InFlight,
    },
    /// Nothing gets from `from` to `to`; the other direction works.
    OneWay {
        /// The senders that are not heard.
        from: N,
        /// The receivers that do not hear them.
        to: N,
        /// What becomes of messages that are under way.
        #[serde(default)]
        in_flight: InFlight,
    },
    /// Each of the nodes is cut off from every other node.
    Isolate(N),
    /// Messages from `from` to `to` wait, and arrive in one burst when it is undone.
    Clog {
        /// The senders.
        from: N,
        /// The receivers.
        to: N,
    },
    /// The links from `from` to `to` get other properties.
    Link {
        /// The senders.
        from: N,
        /// The receivers.
        to: N,
        /// What changes.
        set: LinkPatch,
    },
    /// The nodes' wall clocks are stepped by `offset`, forward or backward. Undone: stepped back.
    Clock {
        /// Whose clocks.
        nodes: N,
        /// By how much.
        offset: Offset,
    },
    /// Each poll on the nodes takes this long.
    SlowCpu {
        /// Which nodes.
        nodes: N,
        /// The virtual time of one poll.
        poll: Time,
    },
    /// The nodes crash and start again at once with other parameters. Undone: they restart with their former ones.
    Reconfigure {
        /// Which nodes.
        nodes: N,
        /// Keys of `[system]` and their new values.
        with: toml::Table,
    },
}

/// What a partition does to messages that are under way when it begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InFlight {
    /// They are lost.
    #[default]
    Drop,
    /// They arrive.
    Deliver,
}

impl<N> Fault<N> {
    /// Its name: the key under `do`, and the name that it is counted under.
    pub fn name(&self) -> &'static str {
        match self {
            Fault::Crash(_) => "crash",
            Fault::Restart(_) => "restart",
            Fault::Wipe(_) => "wipe",
            Fault::Pause(_) => "pause",
            Fault::Partition { .. } => "partition",
            Fault::OneWay { .. } => "one_way",
            Fault::Isolate(_) => "isolate",
            Fault::Clog { .. } => "clog",
            Fault::Link { .. } => "link",
            Fault::Clock { .. } => "clock",
            Fault::SlowCpu { .. } => "slow_cpu",
            Fault::Reconfigure { .. } => "reconfigure",
        }
    }

    /// The names of all faults.
    pub const NAMES: [&'static str; 12] = [
        "crash",
        "restart",
        "wipe",
        "pause",
        "partition",
        "one_way",
        "isolate",
        "clog",
        "link",
        "clock",
        "slow_cpu",
        "reconfigure",
    ];

    /// All its node lists, in the order in which they are written.
    pub fn targets(&self) -> Vec<&N> {
        match self {
            Fault::Crash(nodes) | Fault::Restart(nodes) | Fault::Wipe(nodes) | Fault::Pause(nodes) => vec![nodes],
            Fault::Partition { groups, .. } => groups.iter().collect(),
            Fault::OneWay { from, to, .. } | Fault::Clog { from, to } | Fault::Link { from, to, .. } => vec![from, to],
            Fault::Isolate(nodes)
            | Fault::Clock { nodes, .. }
            | Fault::SlowCpu { nodes, .. }
            | Fault::Reconfigure { nodes, .. } => vec![nodes],
        }
    }

    /// The same fault with its nodes named otherwise. `rename` is called in the order of [`Fault::targets`].
    pub fn map<M>(self, mut rename: impl FnMut(N) -> M) -> Fault<M> {
        match self {
            Fault::Crash(nodes) => Fault::Crash(rename(nodes)),
            Fault::Restart(nodes) => Fault::Restart(rename(nodes)),
            Fault::Wipe(nodes) => Fault::Wipe(rename(nodes)),
            Fault::Pause(nodes) => Fault::Pause(rename(nodes)),
            Fault::Partition { groups, in_flight } => {
                Fault::Partition { groups: groups.into_iter().map(rename).collect(), in_flight }
            }
            Fault::OneWay { from, to, in_flight } => Fault::OneWay { from: rename(from), to: rename(to), in_flight },
            Fault::Isolate(nodes) => Fault::Isolate(rename(nodes)),
            Fault::Clog { from, to } => Fault::Clog { from: rename(from), to: rename(to) },
            Fault::Link { from, to, set } => Fault::Link { from: rename(from), to: rename(to), set },
            Fault::Clock { nodes, offset } => Fault::Clock { nodes: rename(nodes), offset },
            Fault::SlowCpu { nodes, poll } => Fault::SlowCpu { nodes: rename(nodes), poll },
            Fault::Reconfigure { nodes, with } => Fault::Reconfigure { nodes: rename(nodes), with },
        }
    }
}

impl Fault<Vec<NodeId>> {
    /// The nodes that it takes down for as long as it lasts, which the fault budget counts.
    pub fn takes_down(&self) -> &[NodeId] {
        match self {
            Fault::Crash(nodes) | Fault::Wipe(nodes) => nodes,
            _ => &[],
        }
    }

    /// The nodes whose memory it destroys: a protected node is not among them.
    pub fn destroys(&self) -> &[NodeId] {
        match self {
            Fault::Crash(nodes) | Fault::Restart(nodes) | Fault::Wipe(nodes) => nodes,
            Fault::Reconfigure { nodes, .. } => nodes,
            _ => &[],
        }
    }
}
