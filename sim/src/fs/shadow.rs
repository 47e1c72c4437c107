//! A sector whose cached bytes are not what is durable.

use super::dice::split;
use super::sector::{self, Block};
use crate::base::seed::Draw;

/// When something is written, in the count of its disk, and the draw that goes with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    pub seq: u64,
    pub draw: Draw,
}

/// A sector as it was at some moment since the last sync.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub block: Block,
    /// When it was written.
    pub seq: u64,
    /// Whether it was made from damaged bytes.
    pub tainted: bool,
}

/// The other versions of a sector than the cached one.
#[derive(Debug)]
pub(super) struct Shadow {
    /// What is durable; none if nothing ever was.
    pub durable: Option<Block>,
    /// Whether the next sync writes the cached bytes. Not so if they are cut off, or if a failed sync dropped them.
    pub dirty: bool,
    /// When the cached bytes were written, and whether they were made from damaged ones.
    pub seq: u64,
    pub tainted: bool,
    /// How many versions were overwritten since the last sync, and one of them: they all had their chance to be written
    /// back before the crash.
    overwritten: u64,
    pub middle: Option<Version>,
    /// What the sync that is under way writes, if that is no longer what is cached.
    pub pending: Option<Version>,
    /// Whether it is beyond the end of the file.
    is_cut: bool,
}

impl Shadow {
    /// The shadow of a durable sector that is about to be written.
    pub fn dirty(durable: Option<Block>, tainted: bool, seq: u64) -> Shadow {
        Shadow { durable, dirty: true, seq, tainted, overwritten: 0, middle: None, pending: None, is_cut: false }
    }

    /// The shadow of a sector that was just truncated.
    pub fn clean(durable: Option<Block>) -> Shadow {
        Shadow { dirty: false, is_cut: true, ..Shadow::dirty(durable, false, 0) }
    }

    /// Whether reading it needs no reading from the device.
    pub fn is_cached(&self) -> bool {
        !self.is_cut
    }

    /// Whether there is nothing to remember.
    pub fn is_void(&self) -> bool {
        self.is_cut && self.durable.is_none() && self.pending.is_none()
    }

    /// It is about to be written; `bytes` are as they were. `since` is when the sync under way began.
    pub fn write(&mut self, bytes: &[u8], sector: u64, whole: bool, stamp: Stamp, since: Option<u64>) {
        if self.dirty {
            self.stash(bytes, sector, since);
            self.overwritten += 1;
            // Of all versions overwritten so far each is the one remembered with the same probability.
            if split(stamp.draw, sector).below(self.overwritten) == 0 {
                self.middle =
                    Some(Version { block: sector::copy(bytes, sector), seq: self.seq, tainted: self.tainted });
            }
        } else {
            self.dirty = true;
            self.is_cut = false;
        }
        if whole {
            self.tainted = false;
        }
        self.seq = stamp.seq;
    }

    /// Stashes the cached bytes if the sync in progress must write them.
    fn stash(&mut self, bytes: &[u8], sector: u64, since: Option<u64>) {
        if self.dirty && self.pending.is_none() && since.is_some_and(|since| self.seq <= since) {
            self.pending = Some(Version { block: sector::copy(bytes, sector), seq: self.seq, tainted: self.tainted });
        }
    }

    /// It is about to be cut off.
    pub fn cut(&mut self, bytes: &[u8], sector: u64, since: Option<u64>) {
        self.stash(bytes, sector, since);
        self.dirty = false;
        self.tainted = false;
        self.is_cut = true;
        self.forget_versions();
    }

    /// It was cut off and is in the file again, as zeros.
    pub fn bring_back(&mut self, stamp: Stamp) {
        self.dirty = true;
        self.is_cut = false;
        self.tainted = false;
        self.seq = stamp.seq;
    }

    pub fn forget_versions(&mut self) {
        self.overwritten = 0;
        self.middle = None;
    }

    /// The sync under way is over and `version` is durable: older ones had their chance.
    pub fn became_durable(&mut self, version: Version, since: u64) {
        self.durable = Some(version.block);
        if self.middle.as_ref().is_some_and(|middle| middle.seq <= since) {
            self.forget_versions();
        }
    }

    /// The future of the sync in progress was dropped: each of its sectors may or may not have been written.
    pub fn abandon(&mut self) {
        if let Some(version) = self.pending.take()
            && self.dirty
            && self.middle.is_none()
        {
            self.middle = Some(version);
        }
    }
}
