//! The bytes of a file: what the page cache shows, and next to that what is durable where it differs.
//!
//! The cache is one vector, so that reading is copying. A [`Shadow`] exists only for a sector whose cached bytes are not what
//! is durable; so memory is proportional to the data, however often it is overwritten. A sector without a shadow is durable
//! as it is cached (one that was never written is a hole: zeros in both).
//!
//! The bytes of a sector beyond the end of its file are zeros, cached and durable.

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use super::error;
use super::lengths::Lengths;
use super::sector::{self, Block, SECTOR};
use super::shadow::{Shadow, Stamp, Version};
use super::space::Space;

/// The longest file: files are memory here.
pub(super) const LONGEST: u64 = 1 << 30;

/// So many are quickly written.
const FEW_ZEROS: usize = 1 << 18;

/// What a fault did to a durable sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damage {
    /// It has other bytes.
    Wrong,
    /// It cannot be read.
    Bad,
}

/// A sync that is under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnderWay {
    /// It covers what was written up to here.
    pub since: u64,
    /// The length then, and whether there was a change of it to write.
    pub len: u64,
    pub len_changed: bool,
}

/// See the module's words.
#[derive(Debug)]
pub(super) struct Content {
    pub bytes: Vec<u8>,
    pub durable_len: u64,
    /// The changes of the length that are still to be written.
    pub lengths: Lengths,
    pub shadows: BTreeMap<u64, Shadow>,
    /// Of what is durable.
    pub damage: BTreeMap<u64, Damage>,
    pub syncing: Option<UnderWay>,
    space: Rc<Space>,
    /// Sectors of the account that are this file's.
    held: u64,
}

impl Content {
    pub fn new(space: Rc<Space>) -> Content {
        Content {
            bytes: Vec::new(),
            durable_len: 0,
            lengths: Lengths::default(),
            shadows: BTreeMap::new(),
            damage: BTreeMap::new(),
            syncing: None,
            space,
            held: 0,
        }
    }

    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// How many of this many bytes can be read.
    pub fn readable(&self, wanted: usize, offset: u64) -> usize {
        wanted.min(self.bytes.len() - offset.min(self.len()) as usize)
    }

    /// Reads what is there of `buf.len()` bytes.
    pub fn read(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let from = offset.min(self.len()) as usize;
        let n = self.readable(buf.len(), offset);
        if n > 0 && !self.damage.is_empty() && self.is_bad(offset / SECTOR as u64, sector::count(offset + n as u64)) {
            return Err(error::io());
        }
        buf[..n].copy_from_slice(&self.bytes[from..from + n]);
        Ok(n)
    }

    /// Whether any of these sectors would have to be read from a place that cannot be.
    fn is_bad(&self, from: u64, to: u64) -> bool {
        let mut bad = self.damage.range(from..to).filter(|(_, damage)| **damage == Damage::Bad);
        bad.any(|(sector, _)| !self.shadows.get(sector).is_some_and(|shadow| shadow.is_cached()))
    }

    /// Writes, and says how many bytes: fewer if there is space for only some, or if a bad sector is in the way.
    pub fn write(&mut self, data: &[u8], offset: u64, stamp: Stamp) -> io::Result<usize> {
        if data.is_empty() {
            // Nothing is written, so no gap before it either.
            return Ok(0);
        }
        let old = self.len();
        let wanted =
            offset.checked_add(data.len() as u64).filter(|&end| end <= LONGEST).ok_or_else(error::too_large)?;
        let end = self.up_to_bad(offset, wanted, old)?;
        let end = self.up_to_full(end);
        if end <= offset {
            self.settle_space();
            return Err(error::no_space());
        }
        let data = &data[..(end - offset) as usize];
        if offset > old {
            // Up to the first that is written.
            self.bring_back(old, sector::start(offset / SECTOR as u64), stamp);
        }
        for sector in offset / SECTOR as u64..sector::count(end) {
            let first = sector::start(sector);
            // What is beyond the end needs no reading either.
            let whole = offset <= first && (end >= first + SECTOR as u64 || end >= old);
            self.touch(sector, whole, stamp);
        }
        if offset == old {
            self.bytes.extend_from_slice(data);
        } else {
            if end > old {
                self.grow(end as usize);
            }
            self.bytes[offset as usize..end as usize].copy_from_slice(data);
        }
        // A failed sync may have dropped the length; the sync of what is now written beyond the durable one needs it.
        if end > old {
            self.lengths.append(stamp.seq, old, end);
        } else if end > self.durable_len && self.lengths.changed().is_none() {
            self.lengths.append(stamp.seq, self.durable_len, old);
        }
        Ok(data.len())
    }

    /// How far a write gets: a sector that it covers only in part has to be read first.
    fn up_to_bad(&self, offset: u64, end: u64, old: u64) -> io::Result<u64> {
        if self.damage.is_empty() {
            return Ok(end);
        }
        let (first, last) = (offset / SECTOR as u64, (end - 1) / SECTOR as u64);
        let starts_inside = offset > sector::start(first) && sector::start(first) < old;
        let ends_inside = end < sector::start(last + 1).min(old);
        if starts_inside && self.is_bad(first, first + 1) {
            return Err(error::io());
        }
        match ends_inside && self.is_bad(last, last + 1) {
            true if sector::start(last) <= offset => Err(error::io()),
            true => Ok(sector::start(last)),
            false => Ok(end),
        }
    }

    /// How far there is space, which is taken.
    fn up_to_full(&mut self, end: u64) -> u64 {
        let needed = sector::count(end).saturating_sub(self.held);
        if needed > 0 {
            self.held += self.space.take(needed);
        }
        end.min(sector::start(self.held))
    }

    /// Cuts or extends.
    pub fn set_len(&mut self, len: u64, stamp: Stamp) -> io::Result<()> {
        let old = self.len();
        if len > LONGEST {
            return Err(error::too_large());
        }
        if len > old {
            if self.up_to_full(len) < len {
                self.settle_space();
                return Err(error::no_space());
            }
            self.bring_back(old, len, stamp);
            self.grow(len as usize);
        } else if len < old {
            let tail = len / SECTOR as u64;
            let is_hole = sector::start(tail) >= self.durable_len && !self.shadows.contains_key(&tail);
            if !len.is_multiple_of(SECTOR as u64) && !is_hole {
                // The rest of it becomes zeros.
                if self.is_bad(tail, tail + 1) {
                    return Err(error::io());
                }
                self.touch(tail, false, stamp);
            }
            (sector::count(len)..sector::count(old)).for_each(|sector| self.cut(sector));
            self.bytes.truncate(len as usize);
        } else {
            return Ok(());
        }
        self.lengths.set(stamp.seq, old, len);
        self.settle_space();
        Ok(())
    }

    /// Zeros up to a length. What is mostly a hole is new memory: its zeros cost nothing until they are written.
    fn grow(&mut self, len: usize) {
        if len < FEW_ZEROS || len / 2 < self.bytes.len() {
            return self.bytes.resize(len, 0);
        }
        let mut grown = vec![0; len];
        grown[..self.bytes.len()].copy_from_slice(&self.bytes);
        self.bytes = grown;
    }

    /// A sector is about to be written.
    fn touch(&mut self, sector: u64, whole: bool, stamp: Stamp) {
        let since = self.syncing.map(|under_way| under_way.since);
        if let Some(shadow) = self.shadows.get_mut(&sector) {
            return shadow.write(&self.bytes, sector, whole, stamp, since);
        }
        let durable = (sector::start(sector) < self.durable_len).then(|| sector::copy(&self.bytes, sector));
        let tainted = !whole && self.damage.contains_key(&sector);
        let mut shadow = Shadow::dirty(durable, tainted, stamp.seq);
        // A hole becomes durable with the length that the sync under way writes.
        if let Some(under_way) = self.syncing.filter(|under_way| sector::start(sector) < under_way.len)
            && shadow.durable.is_none()
        {
            let block = sector::copy(&self.bytes, sector);
            shadow.pending = Some(Version { block, seq: under_way.since, tainted: false });
        }
        self.shadows.insert(sector, shadow);
    }

    /// A sector is cut off. What it had stays durable until the new length is.
    fn cut(&mut self, sector: u64) {
        let since = self.syncing.map(|under_way| under_way.since);
        match self.shadows.get_mut(&sector) {
            Some(shadow) => {
                shadow.cut(&self.bytes, sector, since);
                if shadow.is_void() {
                    self.shadows.remove(&sector);
                }
            }
            None if sector::start(sector) < self.durable_len => {
                let shadow = Shadow::clean(Some(sector::copy(&self.bytes, sector)));
                self.shadows.insert(sector, shadow);
            }
            None => {}
        }
    }

    /// The file grows over sectors that were cut off before: what is durable there has to become zeros.
    fn bring_back(&mut self, old: u64, len: u64, stamp: Stamp) {
        let cut = sector::count(old)..sector::count(len).max(sector::count(old));
        for (_, shadow) in self.shadows.range_mut(cut) {
            shadow.bring_back(stamp);
        }
    }

    /// What is durable of a sector, if it ever was.
    pub fn on_platter(&self, sector: u64) -> Option<Block> {
        match self.shadows.get(&sector) {
            Some(shadow) => shadow.durable.clone(),
            None => (sector::start(sector) < self.durable_len).then(|| sector::copy(&self.bytes, sector)),
        }
    }

    /// A part of what is durable; none if the durable file ends before. Sectors that cannot be read have zeros.
    pub fn durable_bytes(&self, from: u64, to: u64) -> Option<Vec<u8>> {
        if from > to || to > self.durable_len {
            return None;
        }
        let mut part = Vec::with_capacity((to - from) as usize);
        for sector in from / SECTOR as u64..sector::count(to) {
            let start = sector::start(sector);
            let (a, b) = (from.saturating_sub(start), (to - start).min(SECTOR as u64));
            match self.shadows.get(&sector) {
                Some(shadow) => {
                    part.extend(shadow.durable.iter().flat_map(|block| &block[a as usize..b as usize]));
                }
                None => {
                    // The cache may have been cut where the durable length was not.
                    let [a, b] = [start + a, start + b].map(|at| at.min(self.len()) as usize);
                    part.extend_from_slice(&self.bytes[a..b]);
                }
            }
            part.resize((to.min(start + SECTOR as u64) - from) as usize, 0);
        }
        Some(part)
    }

    /// Brings the account up to date with the lengths.
    pub fn settle_space(&mut self) {
        let needed = sector::count(self.len().max(self.durable_len));
        if needed < self.held {
            self.space.release(self.held - needed);
        } else {
            self.space.take_anyway(needed - self.held);
        }
        self.held = needed;
    }

    /// Moves to a new account: the account of a disk after a crash, which excludes unreachable files.
    pub fn move_to(&mut self, space: &Rc<Space>) {
        self.space.release(self.held);
        self.held = 0;
        self.space = space.clone();
        self.settle_space();
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        self.space.release(self.held);
    }
}
