//! The crash image: what would be on a node's disk if it lost power now.

use std::collections::BTreeMap;

use crate::base::NodeId;
use crate::kernel;

/// What becomes of what is not durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// All of it is lost, changes too: an old name or old bytes are there that a crash may also replace. What is certain to
    /// survive, [`survives`] says.
    Everything,
    /// Nothing is lost.
    Nothing,
    /// One of the outcomes that a crash may have; another number, another one.
    Drawn(u64),
}

/// What is on a disk after a crash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CrashImage {
    files: BTreeMap<String, Vec<u8>>,
}

impl CrashImage {
    /// The bytes of a file, if it is there. A sector that cannot be read any more has zeros here: see [`damaged`].
    pub fn read(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// All files, by path.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
    }
}

/// What would be on the node's disk if it lost power now, or lost it just now if it is down. For checks: it changes nothing.
pub fn crash_image(node: NodeId, loss: Loss) -> CrashImage {
    kernel::with(|state| CrashImage { files: state.disks.of(node).image(loss) })
}

/// The bytes `from..to` of a file, as far as they are durable: what [`Loss::Everything`] leaves of them. None if the file or
/// its end is not sure to be there. For checks that look at a few bytes often: an image copies the whole disk.
pub fn durable_bytes(node: NodeId, path: &str, from: u64, to: u64) -> Option<Vec<u8>> {
    kernel::with(|state| state.disks.of(node).durable(path, from, to))
}

/// Whether a power failure now, whatever it draws, leaves the bytes `from..to` of a file as they are read now, under that
/// name: none of its sectors, its length and its names on the way there can become another. For checks of what was promised
/// to be durable: it copies nothing. What a fault has destroyed before is another question: see [`damaged`].
pub fn survives(node: NodeId, path: &str, from: u64, to: u64) -> bool {
    kernel::with(|state| state.disks.of(node).is_certain(path, from, to))
}

/// Whether a fault destroyed any of the bytes `from..to` of a file, and nothing durable has been written over it since: bit
/// rot, a sector that cannot be read, a write that went elsewhere. Also true if the disk was wiped, the file had these bytes
/// before, and no file of that name has so many now. For checks: what a system lost otherwise is its own fault.
pub fn damaged(node: NodeId, path: &str, from: u64, to: u64) -> bool {
    kernel::with(|state| state.disks.of(node).is_damaged_at(path, from, to))
}

/// Whether a fault destroyed any byte of a file, as [`damaged`] says it of some. Also true if the disk was wiped and the file is
/// shorter now than it was then, or gone.
pub fn damaged_file(node: NodeId, path: &str) -> bool {
    kernel::with(|state| state.disks.of(node).is_file_damaged(path))
}

/// Whether a fault destroyed anything on a disk, or may have: a sector is damaged as [`damaged`] says it, a sync lied, the
/// disk was wiped and nothing was made durable on it since, or its settings let a sync lie or go astray now. For checks that cannot say which bytes they miss.
pub fn damaged_disk(node: NodeId) -> bool {
    kernel::with(|state| state.is_disk_damaged(node))
}
