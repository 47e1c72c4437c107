//! What a crash leaves of a file.
//!
//! The page cache may have been written back in any order and at any time since the last sync. So each sector that is dirty
//! ends as any of its versions since then (as the cache shows it, one in the middle, the one that a sync under way was
//! writing, or the durable one); see [`super::tear`] for smaller and larger units. The length ends as it was at some moment since
//! then, and what the file holds agrees with it: nothing that a cut took away shows up behind the cut, nothing that was
//! written after a cut shows up without the cut, and what `set_len` added is zeros. Only appended data is piecemeal. There, where the
//! length is there and the data is not, a file shows zeros, garbage, or what was in that place of the disk before (Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014).
//!
//! Deciding is apart from doing: the same decision makes a crash and an image of one.

use super::content::{Content, Damage};
use super::dice::{About, Dice, Mode};
use super::lengths::{At, Moment};
use super::sector::{self, Block, SECTOR};
use super::tear::{Left, Place};
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
        self.shadows.values().filter(|shadow| shadow.dirty).map(|shadow| shadow.seq).chain(self.lengths.changed())
    }

    /// Decides what a crash leaves. `stale` gives what some other sector of the disk holds.
    pub fn survival(&self, inode: u64, dice: &Dice, stale: &dyn Fn(Draw) -> Option<Block>) -> Survival {
        let moment = self.surviving_len(inode, dice);
        let len = moment.len;
        let mut counts = Counts { bytes: self.len().abs_diff(len), ..Counts::default() };
        let mut sectors = Vec::new();
        let mut writes: Vec<(u64, bool)> = Vec::new();
        for (&sector, shadow) in &self.shadows {
            let start = sector::start(sector);
            let is_there = start < len;
            let Left { block, origin, is_newest, is_torn } =
                Place { content: self, inode, sector, shadow, moment, dice, stale }.left();
            if start < self.len() {
                let kept = is_there && is_newest;
                counts.kept += u64::from(kept);
                counts.lost += u64::from(!kept);
                if shadow.dirty {
                    writes.push((shadow.seq, kept));
                    writes.extend(is_torn.then_some((shadow.seq, true)));
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
        self.durable_len.min(self.len()).min(self.lengths.least())
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

    fn surviving_len(&self, inode: u64, dice: &Dice) -> Moment {
        let durable = Moment { len: self.durable_len, seq: 0 };
        let Some(seq) = self.lengths.changed() else { return durable };
        let newest = Moment { len: self.len(), seq };
        let draw = dice.draw(About::Length, inode, 0);
        if dice.keeps(seq, draw) {
            return newest;
        }
        let moment = match dice.mode {
            Mode::Nothing | Mode::Everything => None,
            Mode::Until(last) => self.lengths.at(last).map(|at| match at {
                At::After(moment) => moment,
                At::Within(from, to) => Moment { len: self.written_until(last).clamp(from, to.max(from)), seq: last },
            }),
            Mode::Each(_) => match draw.again().below(4) {
                0 => self.lengths.drawn(draw.again().again(), dice.rules.pieces),
                1 => {
                    let sync = self.syncing.filter(|sync| sync.len_changed);
                    sync.map(|sync| Moment { len: sync.len, seq: sync.since })
                }
                _ => None,
            },
        };
        moment.unwrap_or(durable)
    }

    /// How long the file was at that moment, as far as anybody can tell.
    fn written_until(&self, last: u64) -> u64 {
        let kept = self.shadows.iter().filter(|(_, shadow)| shadow.dirty && shadow.seq <= last);
        kept.map(|(&sector, _)| sector::start(sector + 1)).max().unwrap_or(0)
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
        self.lengths.clear();
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
