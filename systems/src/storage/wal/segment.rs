//! A segment of the log, and how a new one begins.
//!
//! Two rules carry the whole log:
//!
//! - **A segment begins only when all before it is settled**: every record below its first one is durable, or was given up.
//!   So a segment that is there is proof: what is bad in front of it is damage, and not something torn.
//! - **A later segment overrules the earlier ones** from its first record on. To cut the log is to begin a segment
//!   where the cut is: one name, that is there after a crash or is not. The bytes behind the cut count for nothing from that moment,
//!   however often a crash brings back a length that was cut or a file that was removed.
//!
//! Each life of a log begins a segment of its own. So a segment's bytes are written once: what is at a place is what was first
//! written there, or damage. A writer never appends behind an end that is not certain.

use std::rc::Rc;

use sim::fs::{self, File, OpenOptions};
use sim::planted;

use super::Location;
use super::format::{self, HEADER, Kind, Name};
use crate::storage::StorageError;
use crate::storage::directory::{self, DRAFT, join};
use crate::storage::error::Context;

/// Where a record is in its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where its header begins.
    pub offset: u64,
    /// How long its payload is.
    pub len: u32,
}

/// The place of a record that is lost.
pub const LOST: Place = Place { offset: u64::MAX, len: 0 };

/// A segment, with the place of each of its records: sixteen bytes of memory for each.
#[derive(Clone, Debug)]
pub struct Segment {
    /// What it is.
    pub name: Name,
    /// Its file.
    pub path: Rc<str>,
    /// That file, to read and to write.
    pub file: File,
    /// Where its records are, from the first on; [`LOST`] for those that are.
    pub places: Vec<Place>,
    /// Ranges of records in front of it that were given up as ambiguous, as noted in it.
    pub notes: Vec<(u64, u64)>,
    /// Where its last record ends.
    pub end: u64,
}

impl Segment {
    /// Its last record; one less than its first if it has none.
    pub fn last(&self) -> u64 {
        self.name.first + self.places.len() as u64 - 1
    }

    /// Where a record of it is, or [`LOST`].
    pub fn place(&self, index: u64) -> Place {
        let at = index.checked_sub(self.name.first).and_then(|at| self.places.get(at as usize));
        at.copied().unwrap_or(LOST)
    }

    /// Where a record's payload is.
    pub fn location(&self, place: Place) -> Location {
        Location { path: self.path.to_string(), offset: place.offset + HEADER as u64, len: u64::from(place.len) }
    }

    /// Opens the file of a segment; what is in it is not known yet.
    pub async fn open(dir: &str, name: Name) -> Result<Segment, StorageError> {
        let path = join(dir, &name.file_name());
        let file = OpenOptions::new().read(true).write(true).open(&path).await.context("open", &path)?;
        Ok(Segment { name, path: path.into(), file, places: Vec::new(), notes: Vec::new(), end: 0 })
    }

    /// Begins an empty segment. Its name is durable after a sync of the directory; nothing that is written to it may be
    /// acknowledged before.
    ///
    /// `ambiguous` are ranges of records that were given up for good. They are noted at the beginning, and are durable before
    /// the segment has its name: a reader of that name would otherwise believe that those records once were sound.
    pub async fn begin(dir: &str, name: Name, ambiguous: &[(u64, u64)]) -> Result<Segment, StorageError> {
        let path = join(dir, &name.file_name());
        let draft = format!("{path}{DRAFT}");
        let begun = if ambiguous.is_empty() { &path } else { &draft };
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(begun).await;
        let file = file.context("create", begun)?;
        let mut notes = Vec::new();
        for &(first, last) in ambiguous {
            format::put(&mut notes, &name, 0, Kind::Lost, name.first, name.first - 1, &format::note(first, last));
        }
        if !notes.is_empty() {
            file.write_all_at(&notes, 0).await.context("write", &draft)?;
            file.sync_data().await.context("sync", &draft)?;
            fs::rename(&draft, &path).await.context("rename", &draft)?;
        }
        Ok(Segment {
            name,
            path: path.into(),
            file,
            places: Vec::new(),
            notes: ambiguous.to_vec(),
            end: notes.len() as u64,
        })
    }

    /// Begins a segment that cuts the log off in front of its first record: durably, before anything goes on.
    pub async fn cut(dir: &str, name: Name, ambiguous: &[(u64, u64)]) -> Result<Segment, StorageError> {
        let segment = Segment::begin(dir, name, ambiguous).await?;
        if !planted!("wal.cut-without-sync") {
            directory::sync(dir).await?;
        }
        Ok(segment)
    }

    /// Gives the space behind the last record back, if that is possible. No rule depends on it: what is there is overruled.
    pub async fn shrink(&mut self) {
        let end = match self.places.last() {
            // What is behind may be what the record has become.
            Some(&LOST) => return,
            Some(place) => place.offset + format::size(place.len as usize),
            None => 0,
        };
        if self.file.set_len(end).await.is_ok() {
            self.end = end;
        }
    }
}
