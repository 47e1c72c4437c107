//! What faults do to what is durable.

use std::rc::Rc;

use super::content::{Content, Damage};
use super::inode::Inode;
use super::sector::{self, SECTOR};
use crate::base::seed::Draw;

/// A durable sector whose cached bytes are the same: there is something to lose.
pub(super) struct Place {
    pub path: String,
    pub inode: Rc<Inode>,
    pub sector: u64,
}

impl Place {
    /// One bit is another.
    pub fn corrupt(&self, bit: Draw) {
        let mut content = self.inode.content.borrow_mut();
        // A sector that is read.
        let used = (content.durable_len - sector::start(self.sector)).min(SECTOR as u64);
        let bit = bit.below(used * 8) as usize;
        content.alter(self.sector, Damage::Wrong, |block| block[bit / 8] ^= 1 << (bit % 8));
    }

    /// It cannot be read any more.
    pub fn spoil(&self) {
        self.inode.content.borrow_mut().alter(self.sector, Damage::Bad, |block| *block = [0; SECTOR]);
    }

    /// Other bytes are written there.
    pub fn overwrite(&self, with: &[u8; SECTOR]) {
        self.inode.content.borrow_mut().alter(self.sector, Damage::Wrong, |block| *block = *with);
    }
}

impl Content {
    /// How many durable sectors have nothing newer in the cache.
    pub fn clean_sectors(&self) -> u64 {
        let durable = sector::count(self.durable_len);
        durable - self.shadows.range(..durable).count() as u64
    }

    /// Whether a sector is one of them.
    pub fn is_clean(&self, sector: u64) -> bool {
        sector::start(sector) < self.durable_len && !self.shadows.contains_key(&sector)
    }

    /// The n-th of them.
    pub fn clean_sector(&self, n: u64) -> u64 {
        let mut at = n;
        for &shadowed in self.shadows.keys() {
            if shadowed > at {
                break;
            }
            at += 1;
        }
        at
    }

    /// Does something to a clean sector. It shows at once: the cache need not hold what is clean.
    fn alter(&mut self, sector: u64, damage: Damage, alter: impl FnOnce(&mut [u8; SECTOR])) {
        if self.damage.get(&sector) == Some(&Damage::Bad) {
            return;
        }
        let before = sector::copy(&self.bytes, sector);
        let mut block = before.clone();
        alter(&mut block);
        sector::put(&mut self.bytes, sector, &block);
        // What landed in the place of the same bytes has damaged nothing.
        if damage == Damage::Bad || sector::copy(&self.bytes, sector) != before {
            self.damage.insert(sector, damage);
        }
    }

    /// Whether any of these bytes was damaged, and not written again since.
    pub fn is_damaged(&self, from: u64, to: u64) -> bool {
        let sectors = from / SECTOR as u64..sector::count(to);
        !sectors.is_empty() && self.damage.range(sectors).next().is_some()
    }
}
