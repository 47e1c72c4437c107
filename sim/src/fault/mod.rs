//! Faults as data: every fault is one value that can be read from a scenario, applied, undone, printed, counted, and
//! recorded at an exact virtual time.
//!
//! The type parameter is how nodes are named: [`crate::scenario::Targets`] in a scenario file, where `"primary"` means
//! whoever that is when the fault fires; [`NodeId`]s once it is resolved; plain names in a frozen file.

mod apply;
mod describe;
pub(crate) mod nemesis;

use serde::{Deserialize, Serialize};

pub(crate) use apply::{Stage, apply, undo};
pub(crate) use describe::describe;
pub use nemesis::Nemesis;

use crate::base::{Effects, NodeId, Offset, Size, Time};
use crate::fs::DiskPatch;
use crate::net::LinkPatch;

/// What a fault does. Each is undone when its `for` is over, and at the latest when the run heals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Fault<N> {
    /// The machines lose power, all at the same instant: memory is gone, and what they had not synced. Undone: they
    /// start again.
    Crash(N),
    /// The processes are killed; the machines live on, and what they had written without a sync stays. Undone: they
    /// start again.
    Kill(N),
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
    /// The nodes stand in a ring, in this order, and each hears only its nearest neighbours: so many that with itself
    /// they are a majority, another one for every node (Jepsen calls it majorities-ring). Of three nodes each hears only
    /// the next one.
    Ring(N),
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
    /// The nodes' clocks go wrong: wall clocks are stepped by `offset`, and both clocks run faster or slower by
    /// `drift_ppm`. Undone: the rate is right again and wall clocks show the time again; a monotonic clock keeps what it
    /// has gained or lost.
    Clock {
        /// Whose clocks.
        nodes: N,
        /// The step of the wall clock, forward or backward.
        #[serde(default, skip_serializing_if = "Offset::is_zero")]
        offset: Offset,
        /// By how much they run fast (or slow, if negative), in millionths.
        #[serde(default, skip_serializing_if = "is_zero")]
        drift_ppm: i64,
    },
    /// Each poll on the nodes takes this long.
    SlowCpu {
        /// Which nodes.
        nodes: N,
        /// The virtual time of one poll.
        poll: Time,
    },
    /// The nodes' disks get other properties.
    Disk {
        /// Whose disks.
        nodes: N,
        /// What changes. Large beside the other faults, so it is apart.
        set: Box<DiskPatch>,
    },
    /// No read, write or sync on the nodes' disks comes to its end. Undone: all of them do.
    DiskStall(N),
    /// From now on only so much more fits on the nodes' disks.
    DiskFull {
        /// Whose disks.
        nodes: N,
        /// How much more fits.
        #[serde(default)]
        free: Size,
    },
    /// In some sectors of what is durable on the nodes' disks one bit flips. It stays so until the sector is written again.
    BitRot {
        /// Whose disks.
        nodes: N,
        /// How many sectors on each.
        #[serde(default = "one_sector")]
        sectors: u64,
        /// Of which files; `*` is any characters.
        #[serde(default = "all_files")]
        files: String,
    },
    /// Some sectors of what is durable on the nodes' disks cannot be read any more, until they are written again as a whole
    /// (latent sector errors).
    BadSectors {
        /// Whose disks.
        nodes: N,
        /// How many sectors on each.
        #[serde(default = "one_sector")]
        sectors: u64,
        /// Of which files; `*` is any characters.
        #[serde(default = "all_files")]
        files: String,
    },
    /// The nodes crash and start again at once with other parameters. Undone: they restart with their former ones.
    Reconfigure {
        /// Which nodes.
        nodes: N,
        /// Keys of `[system]` and their new values.
        with: toml::Table,
    },
    /// The operator does something that the system offers: adds a server, moves a shard.
    Action {
        /// Which of the system's actions.
        name: String,
        /// The action's own arguments.
        #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
        args: toml::Table,
        /// Which operator: the first of these that is up. Without it, the first of all operators that is up.
        #[serde(default = "none", skip_serializing_if = "Option::is_none")]
        on: Option<N>,
    },
    /// The code-level fault points whose names match (`*` is any characters) are on.
    Buggify(String),
}

/// Clocks run between half and twice as fast as time: what is beyond is no clock.
pub(crate) const MOST_DRIFT_PPM: i64 = 1_000_000;
/// See [`MOST_DRIFT_PPM`].
pub(crate) const LEAST_DRIFT_PPM: i64 = -500_000;

fn none<N>() -> Option<N> {
    None
}

fn one_sector() -> u64 {
    1
}

fn all_files() -> String {
    "*".to_owned()
}

fn is_zero(n: &i64) -> bool {
    *n == 0
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

/// A count that grows when a fault has an effect, and what it means if it did not.
pub(crate) type Evidence = (fn(&Effects) -> u64, &'static str);

impl<N> Fault<N> {
    /// Its name: the key under `do`, and the name that it is counted under.
    pub fn name(&self) -> &'static str {
        match self {
            Fault::Crash(_) => "crash",
            Fault::Kill(_) => "kill",
            Fault::Restart(_) => "restart",
            Fault::Wipe(_) => "wipe",
            Fault::Pause(_) => "pause",
            Fault::Partition { .. } => "partition",
            Fault::Ring(_) => "ring",
            Fault::OneWay { .. } => "one_way",
            Fault::Isolate(_) => "isolate",
            Fault::Clog { .. } => "clog",
            Fault::Link { .. } => "link",
            Fault::Clock { .. } => "clock",
            Fault::SlowCpu { .. } => "slow_cpu",
            Fault::Disk { .. } => "disk",
            Fault::DiskStall(_) => "disk_stall",
            Fault::DiskFull { .. } => "disk_full",
            Fault::BitRot { .. } => "bit_rot",
            Fault::BadSectors { .. } => "bad_sectors",
            Fault::Reconfigure { .. } => "reconfigure",
            Fault::Action { .. } => "action",
            Fault::Buggify(_) => "buggify",
        }
    }

    /// The names of all faults.
    pub const NAMES: [&'static str; 21] = [
        "crash",
        "kill",
        "restart",
        "wipe",
        "pause",
        "partition",
        "ring",
        "one_way",
        "isolate",
        "clog",
        "link",
        "clock",
        "slow_cpu",
        "disk",
        "disk_stall",
        "disk_full",
        "bit_rot",
        "bad_sectors",
        "reconfigure",
        "action",
        "buggify",
    ];

    /// All its node lists, in the order in which they are written.
    pub fn targets(&self) -> Vec<&N> {
        match self {
            Fault::Crash(nodes)
            | Fault::Kill(nodes)
            | Fault::Restart(nodes)
            | Fault::Wipe(nodes)
            | Fault::Pause(nodes)
            | Fault::Ring(nodes)
            | Fault::Isolate(nodes)
            | Fault::Clock { nodes, .. }
            | Fault::SlowCpu { nodes, .. }
            | Fault::Disk { nodes, .. }
            | Fault::DiskStall(nodes)
            | Fault::DiskFull { nodes, .. }
            | Fault::BitRot { nodes, .. }
            | Fault::BadSectors { nodes, .. }
            | Fault::Reconfigure { nodes, .. } => vec![nodes],
            Fault::Partition { groups, .. } => groups.iter().collect(),
            Fault::OneWay { from, to, .. } | Fault::Clog { from, to } | Fault::Link { from, to, .. } => vec![from, to],
            Fault::Action { on, .. } => on.iter().collect(),
            Fault::Buggify(_) => Vec::new(),
        }
    }

    /// The same fault with its nodes named otherwise. `rename` is called in the order of [`Fault::targets`].
    pub fn map<M>(self, mut rename: impl FnMut(N) -> M) -> Fault<M> {
        match self {
            Fault::Crash(nodes) => Fault::Crash(rename(nodes)),
            Fault::Kill(nodes) => Fault::Kill(rename(nodes)),
            Fault::Restart(nodes) => Fault::Restart(rename(nodes)),
            Fault::Wipe(nodes) => Fault::Wipe(rename(nodes)),
            Fault::Pause(nodes) => Fault::Pause(rename(nodes)),
            Fault::Partition { groups, in_flight } => {
                Fault::Partition { groups: groups.into_iter().map(rename).collect(), in_flight }
            }
            Fault::Ring(nodes) => Fault::Ring(rename(nodes)),
            Fault::OneWay { from, to, in_flight } => Fault::OneWay { from: rename(from), to: rename(to), in_flight },
            Fault::Isolate(nodes) => Fault::Isolate(rename(nodes)),
            Fault::Clog { from, to } => Fault::Clog { from: rename(from), to: rename(to) },
            Fault::Link { from, to, set } => Fault::Link { from: rename(from), to: rename(to), set },
            Fault::Clock { nodes, offset, drift_ppm } => Fault::Clock { nodes: rename(nodes), offset, drift_ppm },
            Fault::SlowCpu { nodes, poll } => Fault::SlowCpu { nodes: rename(nodes), poll },
            Fault::Disk { nodes, set } => Fault::Disk { nodes: rename(nodes), set },
            Fault::DiskStall(nodes) => Fault::DiskStall(rename(nodes)),
            Fault::DiskFull { nodes, free } => Fault::DiskFull { nodes: rename(nodes), free },
            Fault::BitRot { nodes, sectors, files } => Fault::BitRot { nodes: rename(nodes), sectors, files },
            Fault::BadSectors { nodes, sectors, files } => Fault::BadSectors { nodes: rename(nodes), sectors, files },
            Fault::Reconfigure { nodes, with } => Fault::Reconfigure { nodes: rename(nodes), with },
            Fault::Action { name, args, on } => Fault::Action { name, args, on: on.map(rename) },
            Fault::Buggify(points) => Fault::Buggify(points),
        }
    }

    /// Whether it is over as soon as it has happened: there is nothing to undo.
    pub fn is_momentary(&self) -> bool {
        matches!(self, Fault::Restart(_) | Fault::Action { .. } | Fault::BitRot { .. } | Fault::BadSectors { .. })
    }

    /// What its effect is counted by, if that can be counted: how much that is, and what it means if nothing was.
    pub(crate) fn evidence(&self) -> Option<Evidence> {
        match self {
            Fault::Partition { .. } | Fault::Ring(_) | Fault::OneWay { .. } | Fault::Isolate(_) => {
                Some((|effects| effects.partitioned, "no message was stopped"))
            }
            Fault::Clog { .. } => Some((|effects| effects.held, "no message was held")),
            Fault::Pause(_) => Some((|effects| effects.stalled, "nothing was due on the nodes")),
            // Another latency or bandwidth shows in what the clients see, and in no count.
            Fault::Link { set, .. } if set.latency.is_none() && set.bandwidth.is_none() => Some((
                |effects| {
                    effects.lost
                        + effects.duplicated
                        + effects.reordered
                        + effects.corrupted
                        + effects.queued
                        + effects.overflowed
                },
                "it happened to no message",
            )),
            // Nor does another latency or bandwidth of a disk.
            Fault::Disk { set, .. }
                if set.read.is_none() && set.write.is_none() && set.sync.is_none() && set.bandwidth.is_none() =>
            {
                Some((
                    |effects| {
                        effects.read_errors
                            + effects.write_errors
                            + effects.sync_errors
                            + effects.corrupt_reads
                            + effects.misdirected
                            + effects.lies
                            + effects.disk_queued
                            + effects.disk_full
                            + effects.short_writes
                    },
                    "it happened to no operation",
                ))
            }
            Fault::DiskStall(_) => Some((|effects| effects.disk_stalled, "no operation waited")),
            Fault::DiskFull { .. } => {
                Some((|effects| effects.disk_full + effects.short_writes, "nothing more was written than fits"))
            }
            Fault::Buggify(_) => Some((|effects| effects.buggified, "no such point fired")),
            _ => None,
        }
    }
}

impl Fault<Vec<NodeId>> {
    /// The nodes that it takes down for as long as it lasts, which the fault budget counts.
    pub fn takes_down(&self) -> &[NodeId] {
        match self {
            Fault::Crash(nodes) | Fault::Kill(nodes) | Fault::Wipe(nodes) => nodes,
            _ => &[],
        }
    }

    /// The nodes whose disks lose something, or may lose it, though nobody is told.
    pub fn damages(&self) -> &[NodeId] {
        match self {
            Fault::Wipe(nodes) | Fault::BitRot { nodes, .. } | Fault::BadSectors { nodes, .. } => nodes,
            Fault::Disk { nodes, set } if set.can_lose_silently() => nodes,
            _ => &[],
        }
    }

    /// The nodes whose memory it destroys: a protected node is not among them.
    pub fn destroys(&self) -> &[NodeId] {
        match self {
            Fault::Crash(nodes)
            | Fault::Kill(nodes)
            | Fault::Restart(nodes)
            | Fault::Wipe(nodes)
            | Fault::Reconfigure { nodes, .. } => nodes,
            _ => &[],
        }
    }
}
