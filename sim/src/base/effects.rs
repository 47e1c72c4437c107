//! What happened to messages, disks and operations, counted.

use std::collections::BTreeMap;

/// Counts by name: faults applied, effects, events, operations. What `[expect]` is compared with.
pub type Dose = BTreeMap<String, u64>;

macro_rules! effects {
    ($($(#[$doc:meta])* $field:ident => $name:literal,)+) => {
        /// What happened to messages, disks and operations, counted on the hot path as plain numbers.
        #[derive(Clone, Debug, Default)]
        pub(crate) struct Effects { $($(#[$doc])* pub $field: u64,)+ }

        impl Effects {
            /// What is counted.
            pub const NAMES: &[&str] = &[$($name),+];

            /// Adds all counts above zero.
            pub fn add_to(&self, dose: &mut Dose) {
                $(if self.$field > 0 { dose.insert($name.to_owned(), self.$field); })+
            }
        }
    };
}

effects! {
    /// Dropped because a partition was in force.
    partitioned => "net.partitioned",
    /// Dropped by a link's loss.
    lost => "net.lost",
    /// Copies made.
    duplicated => "net.duplicated",
    /// Held back so that others overtake.
    reordered => "net.reordered",
    /// Altered under way and caught by the checksum.
    corrupted => "net.corrupted",
    /// Held by a clog.
    held => "net.held",
    /// Waited until a link of limited bandwidth was free.
    queued => "net.queued",
    /// Dropped because the queue of such a link was full.
    overflowed => "net.overflowed",
    /// Arrived at a node that was down.
    node_down => "net.node_down",
    /// Arrived at a port that was not bound.
    not_bound => "net.not_bound",
    /// Loopback that outlived its sender's incarnation.
    old_incarnation => "net.old_incarnation",
    /// Disk operations.
    disk_ops => "disk.ops",
    /// Bytes that a crash lost.
    unsynced_bytes => "disk.unsynced_bytes",
    /// Creations, renames and removals that a crash lost.
    unsynced_names => "disk.unsynced_names",
    /// Sectors that were not durable and came through a crash.
    kept_sectors => "disk.kept_sectors",
    /// Sectors that were not durable and did not come through.
    lost_sectors => "disk.lost_sectors",
    /// Writes of which a part came through a crash.
    torn => "disk.torn",
    /// Sectors that a crash left with garbage: bytes that were never written there.
    garbage => "disk.garbage",
    /// Creations, renames and removals that were not durable and came through a crash.
    kept_names => "disk.kept_names",
    /// Reads that failed.
    read_errors => "disk.read_errors",
    /// Writes that failed.
    write_errors => "disk.write_errors",
    /// Syncs that failed.
    sync_errors => "disk.sync_errors",
    /// Reads that returned a wrong bit.
    corrupt_reads => "disk.corrupt_reads",
    /// Syncs that did nothing and said that they had.
    lies => "disk.lies",
    /// Sectors that a sync wrote in the place of others.
    misdirected => "disk.misdirected",
    /// Operations that waited for others, because the disk had a limit.
    disk_queued => "disk.queued",
    /// Operations that waited for the end of a stall.
    disk_stalled => "disk.stalled",
    /// Operations for which there was no space at all.
    disk_full => "disk.full",
    /// Writes for which there was only some.
    short_writes => "disk.short_writes",
    /// Sectors that rotted.
    rotten => "disk.rotten",
    /// Sectors that could not be read any more.
    bad_sectors => "disk.bad_sectors",
    /// Operations that failed on such a sector.
    bad_reads => "disk.bad_reads",
    /// Operations that a client waited for when a server went down.
    ops_in_flight_at_crash => "ops_in_flight_at_crash",
    /// Workloads that ended because their client went down.
    clients_lost => "client.lost",
    /// Workloads that began again because their client came back.
    clients_restarted => "client.restarted",
    /// Wakes that were stalled because their node was paused.
    stalled => "cpu.stalled",
    /// Code-level fault points that fired.
    buggified => "buggify.fired",
    /// Faults that the budget did not allow.
    refused => "fault.refused",
    /// Faults that fired but matched no node.
    missed => "fault.missed",
    /// Faults that were in force without an effect that could be counted.
    idle_faults => "fault.idle",
    /// Panics in destructors of crashed nodes, which no real machine runs.
    panics_on_dead_nodes => "panics_on_dead_nodes",
}
