//! The device under the file system: how long its operations take, and whether they succeed.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::disk::Disk;
use super::on_disk;
use crate::net::Latency;
use crate::scenario::units::Time;
use crate::time;

/// What a disk is like.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiskConfig {
    /// How long a sync takes.
    pub sync: Latency,
}

impl Default for DiskConfig {
    /// A good solid-state disk: 100 µs to 1 ms a sync.
    fn default() -> Self {
        DiskConfig {
            sync: Latency::Uniform(Time::new(Duration::from_micros(100)), Time::new(Duration::from_millis(1))),
        }
    }
}

/// What a file system asks of its device.
pub(super) enum Operation {
    Read { bytes: usize },
    Write { bytes: usize },
    Sync,
}

/// Waits as long as the device takes.
pub(super) async fn serve(operation: Operation) -> io::Result<()> {
    match operation {
        Operation::Read { .. } | Operation::Write { .. } => {}
        Operation::Sync => {
            let latency = on_disk(Disk::next_sync_latency).await;
            time::sleep(latency).await;
        }
    }
    Ok(())
}
