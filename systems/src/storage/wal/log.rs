//! An open log as the committer has it: its segments, its mark, and where everything is.

use super::format::Name;
use super::mark::{Mark, MarkFile};
use super::segment::{LOST, Place, Segment};
use super::{Location, Options};
use crate::storage::StorageError;
use crate::storage::directory;

/// The durable part of a log.
#[derive(Debug)]
pub struct Log {
    /// As it was opened.
    pub options: Options,
    /// The first record.
    pub first: u64,
    /// The last record.
    pub last: u64,
    /// Its segments; the last one is written to. Never empty while the log is open.
    pub segments: Vec<Segment>,
    /// The last segment's name is not durable yet.
    pub unnamed: bool,
    /// The file of marks.
    pub marks: MarkFile,
    /// The last mark that was written.
    pub mark: Mark,
}

impl Log {
    /// The segment that is written to.
    pub fn active(&self) -> &Segment {
        self.segments.last().expect("an open log has a segment")
    }

    /// The name of a segment that begins with `first` and overrules all others from there on.
    pub fn next_name(&self, first: u64) -> Name {
        Name::new(self.active().name.sequence + 1, first)
    }

    /// The next mark when everything is durable.
    pub fn settled(&self) -> Mark {
        let active = self.active();
        Mark {
            sequence: self.mark.sequence + 1,
            first: self.first,
            synced: self.last,
            written: self.last,
            segment: active.name.sequence,
            end: active.end,
        }
    }

    /// The segment with this record, and where in it that is; [`LOST`] if it is lost.
    pub fn find(&self, index: u64) -> Option<(&Segment, Place)> {
        let after = self.segments.partition_point(|segment| segment.name.first <= index);
        let segment = self.segments[..after].last()?;
        (self.first <= index && index <= self.last).then(|| (segment, segment.place(index)))
    }

    /// Where a record's payload is.
    pub fn locate(&self, index: u64) -> Option<Location> {
        let (segment, place) = self.find(index)?;
        (place != LOST).then(|| segment.location(place))
    }

    /// The range of lost records that begins with `index`.
    pub fn lost_from(&self, index: u64) -> (u64, u64) {
        let is_lost = |index: &u64| self.find(*index).is_some_and(|(_, place)| place == LOST);
        let lost = (index..=self.last).take_while(is_lost).count() as u64;
        (index, index + lost.max(1) - 1)
    }

    /// Calls a record lost, until the log is opened again.
    pub fn give_up(&mut self, index: u64) {
        let after = self.segments.partition_point(|segment| segment.name.first <= index);
        if let Some(segment) = self.segments[..after].last_mut() {
            let first = segment.name.first;
            segment.places[(index - first) as usize] = LOST;
        }
    }

    /// What a segment has to note that cuts the log at `from`: ranges that were given up, and are noted only in segments that
    /// it overrules.
    pub fn to_note(&self, from: u64) -> Vec<(u64, u64)> {
        let (kept, dead) = self.segments.split_at(self.segments.partition_point(|segment| segment.name.first < from));
        let noted = |range: &(u64, u64)| {
            kept.iter().flat_map(|segment| &segment.notes).any(|note| note.0 <= range.0 && range.1 <= note.1)
        };
        let notes = dead.iter().flat_map(|segment| &segment.notes);
        let clipped = notes.map(|&(first, last)| (first.max(self.first), last.min(from - 1)));
        clipped.filter(|range| range.0 <= range.1 && !noted(range)).collect()
    }

    /// Forgets the records from `from` on, in memory, and returns the segments that have none left.
    pub fn forget_from(&mut self, from: u64) -> Vec<Segment> {
        let kept = self.segments.partition_point(|segment| segment.name.first < from);
        let dead = self.segments.split_off(kept);
        if let Some(segment) = self.segments.last_mut() {
            segment.places.truncate((from - segment.name.first) as usize);
        }
        self.last = from - 1;
        dead
    }
}

/// Removes files, durably: a name that came back after a later change would be old news in the wrong place.
pub async fn unlink(dir: &str, dead: impl IntoIterator<Item = String>) -> Result<(), StorageError> {
    let mut any = false;
    for path in dead {
        directory::remove(&path).await?;
        any = true;
    }
    if any {
        directory::sync(dir).await?;
    }
    Ok(())
}
