//! What a crash leaves of a file.
//!
//! The page cache may have been written back in any order and at any time since the last sync. So each sector that is dirty
//! ends as any of its versions since then (as the cache shows it, one in the middle, the one that a sync under way was
//! writing, or the durable one). The length, which is written apart from the data, ends as the old one, the new one, or, if the
//! file grew, something between. A file is cut whole or not at all, as journaling file systems do it. Where the length is
//! there and the data is not, a file shows zeros, garbage, or what was in that place of the disk before (Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014).
//!
//! Deciding is apart from doing: the same decision makes a crash and an image of one.

use super::content::{Content, Damage};
use super::dice::{About, Dice, Mode, split};
use super::sector::{self, Block, SECTOR};
use super::shadow::Shadow;
use crate::base::seed::Draw;

/// What is left of a file.
pub(super) struct Survival {
    pub len: u64,
    /// What each sector holds that had other versions than the durable one.
    pub sectors: Vec<(u64, Block, Origin)>,
    pub counts: Counts,
}

/// Where the bytes of a sector came from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Origin {
    /// It is as it was durable.
    Durable,
    /// It was written back before the crash; whether from damaged bytes.
    Written { tainted: bool },
    /// It was never written.
    Void,
}

/// What a crash did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Bytes that were there and are not.
    pub bytes: u64,
    /// Sectors that were not durable and came through.
    pub kept: u64,
    /// Those that did not.
    pub lost: u64,
    /// Writes of which a part came through.
    pub torn: u64,
    /// Sectors with garbage: bytes that were never written there.
    pub garbage: u64,
    /// Changes of names that came through, and that did not.
    pub kept_names: u64,
    pub lost_names: u64,
}

impl Counts {
    pub fn add(&mut self, other: &Counts) {
        self.bytes += other.bytes;
        self.kept += other.kept;
        self.lost += other.lost;
        self.torn += other.torn;
        self.garbage += other.garbage;
        self.kept_names += other.kept_names;
        self.lost_names += other.lost_names;
    }
}

impl Content {
    /// The sequence numbers of what is not durable.
    pub fn unsynced(&self) -> impl Iterator<Item = u64> {
        self.shadows.values().filter(|shadow| shadow.dirty).map(|shadow| shadow.seq).chain(self.len_changed)
    }

    /// Decides what a crash leaves. `stale` gives what some other sector of the disk holds.
    pub fn survival(&self, inode: u64, dice: &Dice, stale: &dyn Fn(Draw) -> Option<Block>) -> Survival {
        let len = self.surviving_len(inode, dice);
        let mut counts = Counts { bytes: self.len().abs_diff(len), ..Counts::default() };
        let mut sectors = Vec::new();
        let mut writes: Vec<(u64, bool)> = Vec::new();
        for (&sector, shadow) in &self.shadows {
            let start = sector::start(sector);
            let is_there = start < len;
            let (block, origin, is_newest) = self.surviving(inode, sector, shadow, dice, stale);
            if start < self.len() {
                let kept = is_there && is_newest;
                counts.kept += u64::from(kept);
                counts.lost += u64::from(!kept);
                if shadow.dirty {
                    writes.push((shadow.seq, kept));
                }
            }
            if is_there {
                counts.bytes += self.differing(sector, &block, len);
                counts.garbage += u64::from(origin == Origin::Void && block.iter().any(|&byte| byte != 0));
                sectors.push((sector, block, origin));
            }
        }
        writes.sort_unstable();
        counts.torn = writes
            .chunk_by(|a, b| a.0 == b.0)
            .filter(|write| write.iter().any(|(_, kept)| *kept) && write.iter().any(|(_, kept)| !*kept))
            .count() as u64;
        Survival { len, sectors, counts }
    }

    /// Whether a crash leaves these bytes as the cache shows them, whatever it decides.
    pub fn is_certain(&self, from: u64, to: u64) -> bool {
        from <= to && to <= self.least_len() && self.are_certain(from / SECTOR as u64, from, to)
    }

    /// The least length that there is now, or may be after a crash.
    fn least_len(&self) -> u64 {
        let least = self.durable_len.min(self.len());
        match self.syncing {
            Some(sync) if sync.len_changed && self.len_changed.is_some() => least.min(sync.len),
            _ => least,
        }
    }

    /// Whether in all that a crash may leave of sectors from `first` on, these bytes are the same.
    fn are_certain(&self, first: u64, from: u64, to: u64) -> bool {
        self.shadows.range(first..sector::count(to).max(first)).all(|(&sector, shadow)| {
            let Some(durable) = &shadow.durable else { return false };
            let start = sector::start(sector);
            let (a, b) = (from.max(start), to.min(start + SECTOR as u64));
            let shown = &self.bytes[a as usize..b as usize];
            let older = [&shadow.middle, &shadow.pending].into_iter().flatten().map(|version| &version.block);
            older.chain([durable]).all(|block| block[(a - start) as usize..(b - start) as usize] == *shown)
        })
    }

    fn surviving_len(&self, inode: u64, dice: &Dice) -> u64 {
        let (old, new) = (self.durable_len, self.len());
        let Some(seq) = self.len_changed else { return old };
        let draw = dice.draw(About::Length, inode, 0);
        if dice.keeps(seq, draw) {
            return new;
        }
        match dice.mode {
            Mode::Nothing | Mode::Everything => old,
            // As long as it was then, as far as anybody can tell.
            Mode::Until(last) if old < new => {
                let kept = self.shadows.iter().filter(|(_, shadow)| shadow.dirty && shadow.seq <= last);
                let end = kept.map(|(&sector, _)| sector::start(sector + 1)).max().unwrap_or(0);
                end.clamp(old, new)
            }
            Mode::Until(_) => old,
            Mode::Each(_) => {
                let draw = draw.again();
                let (from, to) = (old / SECTOR as u64 + 1, sector::count(new));
                match draw.below(4) {
                    // Only growth is piecemeal: a file system journals a cut as one transaction.
                    0 if old < new && from < to => sector::start(draw.again().between(from, to - 1)),
                    1 => self.syncing.filter(|sync| sync.len_changed).map_or(old, |sync| sync.len),
                    _ => old,
                }
            }
        }
    }

    /// What a sector holds afterwards, and whether that is what the cache shows.
    fn surviving(
        &self,
        inode: u64,
        sector: u64,
        shadow: &Shadow,
        dice: &Dice,
        stale: &dyn Fn(Draw) -> Option<Block>,
    ) -> (Block, Origin, bool) {
        let draw = dice.draw(About::Sector, inode, sector);
        if shadow.dirty && dice.keeps(shadow.seq, draw) {
            let block = sector::copy(&self.bytes, sector);
            return (block, Origin::Written { tainted: shadow.tainted }, true);
        }
        let older = [&shadow.middle, &shadow.pending].into_iter().flatten();
        let version = match dice.mode {
            Mode::Until(last) => older.filter(|version| version.seq <= last).max_by_key(|version| version.seq),
            Mode::Each(_) => {
                let n = 1 + older.clone().count() as u64;
                older.enumerate().find(|(i, _)| *i as u64 + 1 == draw.again().below(n)).map(|(_, version)| version)
            }
            Mode::Nothing | Mode::Everything => None,
        };
        if let Some(version) = version {
            return (version.block.clone(), Origin::Written { tainted: version.tainted }, false);
        }
        if let Some(durable) = &shadow.durable {
            return (durable.clone(), Origin::Durable, false);
        }
        (void(dice, inode, sector, stale), Origin::Void, false)
    }

    /// How many of the bytes that the cache shows in a sector are others in `block`.
    fn differing(&self, sector: u64, block: &[u8; SECTOR], len: u64) -> u64 {
        let start = sector::start(sector) as usize;
        let end = (start + SECTOR).min(self.bytes.len()).min(len as usize);
        let shown = self.bytes.get(start..end).unwrap_or_default();
        shown.iter().zip(block).filter(|(a, b)| a != b).count() as u64
    }

    /// The crash happens.
    pub fn become_what_survived(&mut self, survival: Survival) {
        self.bytes = survived(std::mem::take(&mut self.bytes), &survival);
        for (sector, _, origin) in &survival.sectors {
            match origin {
                // What a sync wrote elsewhere was never written here: a fault is still why.
                Origin::Durable | Origin::Void => {}
                Origin::Written { tainted: true } => drop(self.damage.insert(*sector, Damage::Wrong)),
                Origin::Written { tainted: false } => drop(self.damage.remove(sector)),
            }
        }
        self.damage.split_off(&sector::count(survival.len));
        self.shadows.clear();
        self.durable_len = survival.len;
        self.len_changed = None;
        self.syncing = None;
    }
}

/// The bytes that survived of what the cache showed.
pub(super) fn survived(mut bytes: Vec<u8>, survival: &Survival) -> Vec<u8> {
    bytes.resize(survival.len as usize, 0);
    for (sector, block, _) in &survival.sectors {
        sector::put(&mut bytes, *sector, block);
    }
    bytes
}

/// What is in a sector that belongs to a file and was never written.
fn void(dice: &Dice, inode: u64, sector: u64, stale: &dyn Fn(Draw) -> Option<Block>) -> Block {
    let mut block = sector::zeros();
    if !dice.is_drawn() {
        return block;
    }
    let draw = dice.draw(About::Void, inode, sector);
    match draw.below(4) {
        0 => {
            for (i, word) in (1..).zip(block.chunks_exact_mut(8)) {
                word.copy_from_slice(&split(draw, i).0.to_le_bytes());
            }
        }
        1 => block = stale(draw.again()).unwrap_or(block),
        _ => {}
    }
    block
}
