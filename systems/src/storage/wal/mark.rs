//! The mark: how far the log has come, written apart from the log itself.
//!
//! A log alone cannot tell a record that was torn when the machine crashed from one that rotted after it was acknowledged: both
//! are bytes with a bad checksum near the end. The first has to be cut off, the second must never be (Alagappan et al.,
//! "Protocol-Aware Recovery for Consensus-Based Storage", FAST 2018, section 3.3). So each batch of records is written
//! together with a mark that says up to where the log was durable before (`synced`: what is missing up to there is damage),
//! and up to where it will be (`written`: what is missing behind that was never acknowledged).
//!
//! In between is the batch itself, which cannot be told. Where that is not good enough the mark is written when the batch is
//! durable ([`super::Marking`]): then both numbers are the same, and there is nothing in between. Either way a mark means
//! what it says, whatever the log was opened with.
//!
//! A mark is written twice, and the next one to two other places, so that the last one is never touched while its successor
//! is being written: of two slots, each with two copies, one is always whole after a crash, and a sector that rots
//! takes nothing along. Only when both copies of a slot are bad may a mark be unknown that was newer than
//! the one in the other slot; then [`Marks::sound`] is false, and what is bad near the end counts as ambiguous.
//!
//! What marks say stays true: `synced` was durable when the mark was *written*, so it does not matter whether a mark that is
//! read is itself durable or only in the page cache.

use sim::fs::{self, File, OpenOptions};
use sim::rand;

use super::format::hex;
use crate::storage::directory::{self, DRAFT, join};
use crate::storage::error::Context;
use crate::storage::window::{TRIES, Window};
use crate::storage::{StorageError, checksum};

/// A sector, that disks write whole or not at all.
const SECTOR: usize = 512;

/// Where the copies are, two for each slot: one to a block of 4 KiB, as some disks fail by that.
const PLACES: [[u64; 2]; 2] = [[0, 8192], [4096, 12288]];

/// What begins every file name of marks.
const PREFIX: &str = "mark-";

/// How far a log has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// How many marks came before it.
    pub sequence: u64,
    /// The first record of the log. What is left of those before it is being removed.
    pub first: u64,
    /// The last record that was durable when this was written.
    pub synced: u64,
    /// The last record of the batch that was written with this.
    pub written: u64,
    /// The segment that the batch went to.
    pub segment: u64,
    /// Where in that segment the batch ends.
    pub end: u64,
}

impl Mark {
    /// Of a log that has nothing yet.
    pub const START: Mark = Mark { sequence: 0, first: 1, synced: 0, written: 0, segment: 0, end: 0 };

    fn numbers(&self) -> [u64; 6] {
        [self.sequence, self.first, self.synced, self.written, self.segment, self.end]
    }

    /// A sector with this mark, for this place in the file with this salt.
    fn encode(&self, salt: u64, place: u64) -> [u8; SECTOR] {
        let mut sector = [0; SECTOR];
        for (bytes, number) in sector.chunks_mut(8).zip(self.numbers()) {
            bytes.copy_from_slice(&number.to_le_bytes());
        }
        let crc = seal(&sector[..48], salt, place);
        sector[48..52].copy_from_slice(&crc.to_le_bytes());
        sector
    }

    fn decode(sector: &[u8], salt: u64, place: u64) -> Option<Mark> {
        let bytes = sector.first_chunk::<52>()?;
        let crc = u32::from_le_bytes(bytes[48..].try_into().expect("four bytes"));
        if crc != seal(&bytes[..48], salt, place) {
            return None;
        }
        let number = |i: usize| u64::from_le_bytes(bytes[8 * i..8 * i + 8].try_into().expect("eight bytes"));
        Some(Mark {
            sequence: number(0),
            first: number(1),
            synced: number(2),
            written: number(3),
            segment: number(4),
            end: number(5),
        })
    }
}

/// Covers where the mark belongs, as that of a record does.
fn seal(bytes: &[u8], salt: u64, place: u64) -> u32 {
    crc32c::crc32c_append(checksum(&[salt, place]), bytes)
}

/// What the file of marks said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// The newest mark that could be read, if any could.
    pub newest: Option<Mark>,
    /// Whether that is sure to be the newest one that there was.
    pub sound: bool,
}

/// The file of marks.
#[derive(Clone, Debug)]
pub struct MarkFile {
    file: File,
    path: String,
    salt: u64,
}

impl MarkFile {
    /// Reads the marks in a directory with these files. Makes a file of marks if there is none; if `fresh` is false there
    /// should have been one.
    pub async fn open(dir: &str, names: &[String], fresh: bool) -> Result<(MarkFile, Marks), StorageError> {
        let Some(salt) = names.iter().find_map(|name| hex(name.strip_prefix(PREFIX)?)) else {
            let marks = Marks { newest: fresh.then_some(Mark::START), sound: fresh };
            return Ok((MarkFile::create(dir).await?, marks));
        };
        let path = join(dir, &format!("{PREFIX}{salt:016x}"));
        let file = OpenOptions::new().read(true).write(true).open(&path).await.context("open", &path)?;
        let marks = read(&file, &path, salt).await?;
        Ok((MarkFile { file, path, salt }, marks))
    }

    /// Writes beside, syncs, renames, syncs the directory: a file of marks has marks from the beginning.
    async fn create(dir: &str) -> Result<MarkFile, StorageError> {
        let salt = rand::draw().0;
        let path = join(dir, &format!("{PREFIX}{salt:016x}"));
        let draft = format!("{path}{DRAFT}");
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&draft).await;
        let file = MarkFile { file: file.context("create", &draft)?, path, salt };
        for place in PLACES.concat() {
            file.put(&Mark::START, place).await?;
        }
        file.sync().await?;
        fs::rename(&draft, &file.path).await.context("rename", &draft)?;
        directory::sync(dir).await?;
        Ok(file)
    }

    /// Writes a mark to its slot. Durable after [`MarkFile::sync`].
    pub async fn write(&self, mark: &Mark) -> Result<(), StorageError> {
        for place in PLACES[(mark.sequence % 2) as usize] {
            self.put(mark, place).await?;
        }
        Ok(())
    }

    async fn put(&self, mark: &Mark, place: u64) -> Result<(), StorageError> {
        // The whole sector: that cures one that has gone bad.
        self.file.write_all_at(&mark.encode(self.salt, place), place).await.context("write", &self.path)
    }

    /// Makes what was written durable.
    pub async fn sync(&self) -> Result<(), StorageError> {
        self.file.sync_data().await.context("sync", &self.path)
    }

    /// Puts a mark into both slots, one after the other, durably: from now on no slot says anything older. Returns the
    /// second, which is the newest.
    pub async fn settle(&self, mark: Mark) -> Result<Mark, StorageError> {
        for sequence in [mark.sequence, mark.sequence + 1] {
            self.write(&Mark { sequence, ..mark }).await?;
            self.sync().await?;
        }
        Ok(Mark { sequence: mark.sequence + 1, ..mark })
    }
}

async fn read(file: &File, path: &str, salt: u64) -> Result<Marks, StorageError> {
    let mut window = Window::new(file.clone(), path);
    let mut marks = Marks { newest: None, sound: true };
    for slot in PLACES {
        let mut newest = None;
        for place in slot {
            newest = newer(newest, copy(&mut window, salt, place).await?);
        }
        marks.sound &= newest.is_some();
        marks.newest = newer(marks.newest, newest);
    }
    Ok(marks)
}

fn newer(a: Option<Mark>, b: Option<Mark>) -> Option<Mark> {
    a.into_iter().chain(b).max_by_key(|mark| mark.sequence)
}

async fn copy(window: &mut Window, salt: u64, place: u64) -> Result<Option<Mark>, StorageError> {
    for _ in 0..TRIES {
        let mark = Mark::decode(window.at(place, SECTOR).await?, salt, place);
        if mark.is_some() {
            return Ok(mark);
        }
        window.forget();
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_mark_is_read_as_it_was_written_and_where_it_was_written(
            numbers in any::<[u64; 6]>(),
            salt in any::<u64>(),
            bit in 0..52usize * 8,
        ) {
            let [sequence, first, synced, written, segment, end] = numbers;
            let mark = Mark { sequence, first, synced, written, segment, end };
            let mut sector = mark.encode(salt, 4096);
            prop_assert_eq!(Mark::decode(&sector, salt, 4096), Some(mark));
            prop_assert_eq!(Mark::decode(&sector, salt, 8192), None);
            prop_assert_eq!(Mark::decode(&sector, salt ^ 1, 4096), None);
            prop_assert_eq!(Mark::decode(&sector[..40], salt, 4096), None);
            sector[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Mark::decode(&sector, salt, 4096), None);
        }
    }

    #[test]
    fn a_sector_of_zeros_is_no_mark() {
        assert_eq!(Mark::decode(&[0; SECTOR], 0, 0), None);
    }
}
