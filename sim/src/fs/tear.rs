//! Which version of a sector a crash leaves, and the unit in which the versions differ.
//!
//! The unit that is never torn is a sector of 512 bytes, or by configuration a page of 4096 bytes, a word of 8 bytes or a byte. A
//! smaller unit tears within sectors: some units are new, the others old. A larger one keeps sectors together: all sectors of a
//! page are as they were at one moment.

use super::content::Content;
use super::crash::Origin;
use super::dice::{About, Dice, Mode, split};
use super::lengths::Moment;
use super::sector::{self, Block, SECTOR};
use super::shadow::{Shadow, Version};
use crate::base::seed::{Draw, Probability};

/// How often a sector of which several versions exist is torn, if its unit is smaller than a sector.
const TORN: f64 = 0.25;

/// What a crash leaves of a sector.
pub(super) struct Left {
    pub block: Block,
    pub origin: Origin,
    /// Whether that is what the cache shows.
    pub is_newest: bool,
    /// Whether a part of what the cache shows is there, and a part is not.
    pub is_torn: bool,
}

/// One of a sector's versions.
#[derive(Clone, Copy)]
enum Which<'a> {
    Newest,
    Older(&'a Version),
    /// None if nothing ever was durable.
    Durable,
}

/// A sector of a file at a crash.
pub(super) struct Place<'a> {
    pub content: &'a Content,
    pub inode: u64,
    pub sector: u64,
    pub shadow: &'a Shadow,
    /// The length that the crash leaves.
    pub moment: Moment,
    pub dice: &'a Dice,
    /// Gives what some other sector of the disk holds.
    pub stale: &'a dyn Fn(Draw) -> Option<Block>,
}

impl<'a> Place<'a> {
    /// Decides.
    pub fn left(&self) -> Left {
        let draw = self.dice.draw(About::Sector, self.inode, self.sector);
        let which = if self.dice.rules.atomic > SECTOR { self.of_page() } else { self.drawn(draw) };
        let is_newest = matches!(which, Which::Newest);
        let (block, origin) = self.version(which);
        let left = Left { block, origin, is_newest, is_torn: false };
        let can_tear = self.dice.rules.atomic < SECTOR && matches!(self.dice.mode, Mode::Each(_));
        if !can_tear || !self.shadow.dirty || !self.fits(self.shadow.seq) {
            return left;
        }
        match split(draw, 1).chance(Probability::new(TORN)) {
            true => self.torn(left, split(draw, 2)),
            false => left,
        }
    }

    /// One of all versions.
    fn drawn(&self, draw: Draw) -> Which<'a> {
        let shadow = self.shadow;
        if shadow.dirty && self.dice.keeps(shadow.seq, draw) && self.fits(shadow.seq) {
            return Which::Newest;
        }
        let older = [&shadow.middle, &shadow.pending].into_iter().flatten().filter(|version| self.fits(version.seq));
        let version = match self.dice.mode {
            Mode::Until(last) => older.filter(|version| version.seq <= last).max_by_key(|version| version.seq),
            Mode::Each(_) => {
                let n = draw.again().below(1 + older.clone().count() as u64);
                older.enumerate().find(|(i, _)| *i as u64 + 1 == n).map(|(_, version)| version)
            }
            Mode::Nothing | Mode::Everything => None,
        };
        version.map_or(Which::Durable, Which::Older)
    }

    /// The one of the moment at which the whole page is: now, when the sync under way began, or when the page was durable.
    fn of_page(&self) -> Which<'a> {
        let (content, dice, shadow) = (self.content, self.dice, self.shadow);
        let sectors = (dice.rules.atomic / SECTOR) as u64;
        let page = self.sector / sectors;
        let end = sector::start((page + 1) * sectors);
        if content.lengths.undone(u64::MAX, self.moment).is_some_and(|cut| cut < end) {
            return Which::Durable;
        }
        let dirty = content.shadows.range(page * sectors..(page + 1) * sectors).filter(|(_, shadow)| shadow.dirty);
        let newest = dirty.map(|(_, shadow)| shadow.seq).max().unwrap_or(0);
        let draw = dice.draw(About::Page, self.inode, page);
        if dice.keeps(newest, draw) {
            return if shadow.dirty { Which::Newest } else { Which::Durable };
        }
        let Some(sync) = content.syncing else { return Which::Durable };
        let is_then = match dice.mode {
            Mode::Until(last) => sync.since <= last,
            Mode::Each(_) => draw.again().below(2) == 0,
            Mode::Nothing | Mode::Everything => false,
        };
        match &shadow.pending {
            _ if !is_then => Which::Durable,
            Some(version) => Which::Older(version),
            None if shadow.dirty && shadow.seq <= sync.since => Which::Newest,
            None => Which::Durable,
        }
    }

    /// Whether what was written then may be there: no cut that came before the write, and that the crash undid, took this
    /// sector.
    fn fits(&self, seq: u64) -> bool {
        let undone = if self.dice.rules.pieces { None } else { self.content.lengths.undone(seq, self.moment) };
        undone.is_none_or(|cut| sector::start(self.sector + 1) <= cut)
    }

    fn version(&self, which: Which) -> (Block, Origin) {
        let (content, shadow, sector) = (self.content, self.shadow, self.sector);
        let (block, seq, origin) = match which {
            Which::Newest => {
                let origin = Origin::Written { tainted: shadow.tainted };
                (sector::copy(&content.bytes, sector), shadow.seq, origin)
            }
            Which::Older(version) => (version.block.clone(), version.seq, Origin::Written { tainted: version.tainted }),
            Which::Durable => match &shadow.durable {
                Some(durable) => (durable.clone(), 0, Origin::Durable),
                None => return (self.void(), Origin::Void),
            },
        };
        self.without_what_was_cut(block, seq, origin)
    }

    /// What was cut off since that version was written, by a cut that the crash left, is zeros.
    fn without_what_was_cut(&self, mut block: Block, seq: u64, origin: Origin) -> (Block, Origin) {
        if self.dice.rules.pieces {
            return (block, origin);
        }
        let Some(cut) = self.content.lengths.cut_to(seq, self.moment) else { return (block, origin) };
        let keeps = cut.saturating_sub(sector::start(self.sector)).min(SECTOR as u64) as usize;
        block[keeps..].fill(0);
        (block, if keeps == 0 { Origin::Written { tainted: false } } else { origin })
    }

    /// What is there if it was never written.
    fn void(&self) -> Block {
        let start = sector::start(self.sector);
        if !self.dice.rules.pieces && self.content.lengths.is_extension(start, self.moment) {
            return sector::zeros();
        }
        void(self.dice, self.inode, self.sector, self.stale)
    }

    /// Some units are new and the others old.
    fn torn(&self, left: Left, draw: Draw) -> Left {
        let (newest, tainted) = match self.version(Which::Newest) {
            (block, Origin::Written { tainted }) => (block, tainted),
            (block, _) => (block, false),
        };
        let (older, origin) =
            if left.is_newest { self.version(Which::Durable) } else { (left.block.clone(), left.origin) };
        let unit = self.dice.rules.atomic;
        let (new_first, at) = (draw.below(3), draw.again().between(1, (SECTOR / unit) as u64 - 1));
        let is_new = |i: u64| match new_first {
            0 => i < at,
            1 => i >= at,
            _ => split(draw, i).0.is_multiple_of(2),
        };
        let mut block = older.clone();
        for (i, (to, from)) in (0..).zip(block.chunks_exact_mut(unit).zip(newest.chunks_exact(unit))) {
            if is_new(i) {
                to.copy_from_slice(from);
            }
        }
        if block == newest || block == older {
            return left;
        }
        let tainted = tainted || matches!(origin, Origin::Written { tainted: true });
        Left { block, origin: Origin::Written { tainted }, is_newest: false, is_torn: true }
    }
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
