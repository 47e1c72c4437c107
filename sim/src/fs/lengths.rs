//! The changes of a file's length that are not durable.
//!
//! A file system makes them in order: a crash keeps the first few. A `set_len` is one transaction, as journaling file systems do
//! it. Appended data is written back piece by piece, and the length follows it.

use super::sector::{self, SECTOR};
use crate::base::seed::Draw;

/// More are not remembered: a crash then leaves none of the earliest ones.
const MOST: usize = 16;

/// A change of the length, or some writes that appended one after the other.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Change {
    /// The sequence numbers of the first and the last of the writes.
    first: u64,
    last: u64,
    from: u64,
    to: u64,
    is_append: bool,
}

/// A moment in the order of the changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moment {
    /// The length of the file.
    pub len: u64,
    /// The changes up to this sequence number have happened.
    pub seq: u64,
}

/// See the module's words.
#[derive(Debug, Default)]
pub(super) struct Lengths {
    changes: Vec<Change>,
    /// The least length among those that were forgotten.
    least_forgotten: Option<u64>,
}

impl Lengths {
    /// The sequence number of the last change.
    pub fn changed(&self) -> Option<u64> {
        self.changes.last().map(|change| change.last)
    }

    /// A write ends beyond the end.
    pub fn append(&mut self, seq: u64, from: u64, to: u64) {
        match self.changes.last_mut() {
            Some(change) if change.is_append && change.to == from => (change.last, change.to) = (seq, to),
            _ => self.push(Change { first: seq, last: seq, from, to, is_append: true }),
        }
    }

    /// The length is set.
    pub fn set(&mut self, seq: u64, from: u64, to: u64) {
        self.push(Change { first: seq, last: seq, from, to, is_append: false });
    }

    fn push(&mut self, change: Change) {
        if self.changes.len() == MOST {
            let forgotten = self.changes.remove(0);
            let least = forgotten.from.min(forgotten.to);
            self.least_forgotten = Some(self.least_forgotten.map_or(least, |before| before.min(least)));
        }
        self.changes.push(change);
    }

    /// The changes up to a sequence number are over; the durable length is `len`.
    pub fn settle(&mut self, since: u64, len: u64) {
        self.changes.retain(|change| change.last > since);
        match self.changes.first_mut() {
            Some(change) => (change.first, change.from) = (change.first.max(since + 1), len),
            None => self.least_forgotten = None,
        }
    }

    pub fn clear(&mut self) {
        *self = Lengths::default();
    }

    /// The least length that there was since the durable one.
    pub fn least(&self) -> u64 {
        let lengths = self.changes.iter().map(|change| change.from.min(change.to));
        lengths.chain(self.least_forgotten).min().unwrap_or(u64::MAX)
    }

    /// Of the changes that began by `last`, the last one: whether all of it was over then, and from what to what it goes.
    pub fn at(&self, last: u64) -> Option<At> {
        let change = self.changes.iter().rfind(|change| change.first <= last)?;
        let moment = Moment { len: change.to, seq: change.last };
        Some(if change.last <= last { At::After(moment) } else { At::Within(change.from, change.to) })
    }

    /// Draws a moment: somewhere within an append, or the end of some change. With `pieces` each change is piecemeal, as
    /// an append is.
    pub fn drawn(&self, draw: Draw, pieces: bool) -> Option<Moment> {
        let change = self.changes.get(draw.again().below(self.changes.len() as u64) as usize)?;
        let (low, high) = (change.from.min(change.to), change.from.max(change.to));
        let (from, to) = (low / SECTOR as u64 + 1, sector::count(high));
        let is_piecemeal = pieces || change.is_append && change.from < change.to;
        let len = match is_piecemeal && from < to {
            true => sector::start(draw.between(from, to - 1)),
            false => change.to,
        };
        Some(Moment { len, seq: change.last })
    }

    /// The length that a cut left after the moment, where the write of that sequence number came after the cut: the bytes
    /// beyond are of a file that the crash did not leave.
    pub fn undone(&self, seq: u64, moment: Moment) -> Option<u64> {
        let undone = self.cuts().filter(|cut| moment.seq < cut.last && cut.last <= seq);
        undone.map(|cut| cut.to).min()
    }

    /// The least length since the write of that sequence number, by cuts that came before the moment: what was written is gone
    /// from there on.
    pub fn cut_to(&self, seq: u64, moment: Moment) -> Option<u64> {
        let cuts = self.cuts().filter(|cut| seq < cut.last && cut.last <= moment.seq);
        cuts.map(|cut| cut.to).min()
    }

    fn cuts(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.to < change.from)
    }

    /// Whether these bytes came to the file by a `set_len` before the moment: they are zeros until they are written.
    pub fn is_extension(&self, at: u64, moment: Moment) -> bool {
        let extends = |change: &Change| !change.is_append && change.last <= moment.seq;
        self.changes.iter().any(|change| extends(change) && change.from <= at && at < change.to)
    }
}

/// See [`Lengths::at`].
pub(super) enum At {
    After(Moment),
    Within(u64, u64),
}
