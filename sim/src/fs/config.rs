//! The properties of a disk, and patches of them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::dice::Rules;
use crate::base::{Capacity, Iops, Latency, Rate, Time};

/// The properties of a disk: the table `[disk]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiskConfig {
    /// The duration of a read.
    pub read: Latency,
    /// The duration of a write, which goes to the page cache. Zero by default.
    pub write: Latency,
    /// The duration of a sync.
    pub sync: Latency,
    /// The number of reads and syncs per second; operations queue for the disk. Unlimited by default.
    pub iops: Iops,
    /// The bytes per second of reads, and of writes during a sync. Unlimited by default.
    pub bandwidth: Rate,
    /// The capacity. Unlimited by default.
    pub capacity: Capacity,
    /// The probability that a read fails with EIO, 0 to 1. A retry may succeed.
    pub read_error: f64,
    /// The probability that a write fails with EIO after a part of it was written, 0 to 1.
    pub write_error: f64,
    /// The probability that a sync fails with EIO, 0 to 1. The sync drops its dirty pages, and later syncs do not write them.
    pub sync_error: f64,
    /// The probability that a read returns one flipped bit, 0 to 1. The bytes on the disk are right.
    pub corrupt_read: f64,
    /// The probability that a sector written by a sync lands in the place of another sector, 0 to 1. The sync succeeds.
    pub misdirect: f64,
    /// Whether a sync does nothing and succeeds.
    pub lying_sync: bool,
    /// The pages that a failed sync dropped.
    pub failed_sync: FailedSync,
    /// How a crash leaves a length that was not synced.
    pub lengths: Lengths,
    /// The bytes that a crash never tears: 1, 8, 512 or 4096.
    pub atomic: u16,
}

/// What the page cache shows where a failed sync dropped dirty pages. The pages count as clean in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailedSync {
    /// The new bytes, as ext4 and XFS do it.
    Clean,
    /// The old bytes, as Btrfs does it.
    Old,
    /// The new bytes after one failure and the old bytes after another.
    Any,
}

/// How a crash leaves a length that was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lengths {
    /// A `set_len` survives whole or not at all, as journaling file systems do it. Appended data survives in any part.
    Whole,
    /// Any length between the old and the new one survives, in sectors of 512 bytes. What a `set_len` cut off may be back behind
    /// it.
    Any,
}

impl Default for DiskConfig {
    /// A good solid-state disk: 20 to 100 µs per read, 100 µs to 1 ms per sync, without faults.
    fn default() -> Self {
        let us = |n| Time::new(Duration::from_micros(n));
        DiskConfig {
            read: Latency::Uniform(us(20), us(100)),
            write: Latency::Constant(us(0)),
            sync: Latency::Uniform(us(100), us(1000)),
            iops: Iops::UNLIMITED,
            bandwidth: Rate::UNLIMITED,
            capacity: Capacity::UNLIMITED,
            read_error: 0.0,
            write_error: 0.0,
            sync_error: 0.0,
            corrupt_read: 0.0,
            misdirect: 0.0,
            lying_sync: false,
            failed_sync: FailedSync::Any,
            lengths: Lengths::Whole,
            atomic: 512,
        }
    }
}

/// What is wrong with a key.
pub(crate) struct Problem {
    pub key: &'static str,
    /// What it is.
    pub title: String,
    /// What it should be.
    pub expected: &'static str,
}

impl DiskConfig {
    /// What is wrong with the numbers, if something is.
    pub(crate) fn problem(&self) -> Option<Problem> {
        for (key, value) in [
            ("read_error", self.read_error),
            ("write_error", self.write_error),
            ("sync_error", self.sync_error),
            ("corrupt_read", self.corrupt_read),
            ("misdirect", self.misdirect),
        ] {
            if !(0.0..=1.0).contains(&value) {
                let expected = "expected a probability from 0 to 1";
                return Some(Problem { key, title: format!("{key} is {value}"), expected });
            }
        }
        if ![1, 8, 512, 4096].contains(&self.atomic) {
            let title = format!("atomic is {}", self.atomic);
            return Some(Problem { key: "atomic", title, expected: "expected 1, 8, 512 or 4096" });
        }
        for (key, latency) in [("read", self.read), ("write", self.write), ("sync", self.sync)] {
            if let Some(problem) = latency.problem() {
                let (title, expected) = match problem.strip_suffix(", expected 0 to 1") {
                    Some(title) => (title.to_owned(), "expected 0 to 1"),
                    None => (problem, ""),
                };
                return Some(Problem { key, title, expected });
            }
        }
        None
    }

    /// This configuration with `patch` on top.
    pub(crate) fn patched(mut self, patch: &DiskPatch) -> DiskConfig {
        self.read = patch.read.unwrap_or(self.read);
        self.write = patch.write.unwrap_or(self.write);
        self.sync = patch.sync.unwrap_or(self.sync);
        self.iops = patch.iops.unwrap_or(self.iops);
        self.bandwidth = patch.bandwidth.unwrap_or(self.bandwidth);
        self.capacity = patch.capacity.unwrap_or(self.capacity);
        self.read_error = patch.read_error.unwrap_or(self.read_error);
        self.write_error = patch.write_error.unwrap_or(self.write_error);
        self.sync_error = patch.sync_error.unwrap_or(self.sync_error);
        self.corrupt_read = patch.corrupt_read.unwrap_or(self.corrupt_read);
        self.misdirect = patch.misdirect.unwrap_or(self.misdirect);
        self.lying_sync = patch.lying_sync.unwrap_or(self.lying_sync);
        self.failed_sync = patch.failed_sync.unwrap_or(self.failed_sync);
        self.lengths = patch.lengths.unwrap_or(self.lengths);
        self.atomic = patch.atomic.unwrap_or(self.atomic);
        self
    }

    /// What a crash may do.
    pub(super) fn rules(&self) -> Rules {
        Rules { pieces: self.lengths == Lengths::Any, atomic: usize::from(self.atomic) }
    }

    /// Whether a successful sync may lose or misplace data.
    pub(crate) fn can_lose_silently(&self) -> bool {
        self.lying_sync || self.misdirect > 0.0
    }
}

/// A change of some of a disk's properties; the others stay as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiskPatch {
    /// See [`DiskConfig::read`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read: Option<Latency>,
    /// See [`DiskConfig::write`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write: Option<Latency>,
    /// See [`DiskConfig::sync`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync: Option<Latency>,
    /// See [`DiskConfig::iops`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iops: Option<Iops>,
    /// See [`DiskConfig::bandwidth`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<Rate>,
    /// See [`DiskConfig::capacity`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
    /// See [`DiskConfig::read_error`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_error: Option<f64>,
    /// See [`DiskConfig::write_error`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_error: Option<f64>,
    /// See [`DiskConfig::sync_error`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_error: Option<f64>,
    /// See [`DiskConfig::corrupt_read`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrupt_read: Option<f64>,
    /// See [`DiskConfig::misdirect`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub misdirect: Option<f64>,
    /// See [`DiskConfig::lying_sync`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lying_sync: Option<bool>,
    /// See [`DiskConfig::failed_sync`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_sync: Option<FailedSync>,
    /// See [`DiskConfig::lengths`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lengths: Option<Lengths>,
    /// See [`DiskConfig::atomic`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub atomic: Option<u16>,
}

impl DiskPatch {
    /// Whether a successful sync may lose or misplace data with this patch.
    pub(crate) fn can_lose_silently(&self) -> bool {
        DiskConfig::default().patched(self).can_lose_silently()
    }
}
