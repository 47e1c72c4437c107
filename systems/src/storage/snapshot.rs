//! Snapshot files: after a crash each is there whole, or not at all.
//!
//! A snapshot is written to a draft, piece by piece, and takes its name by [`replace`](super::replace): until that returns, the
//! snapshot must not be relied on, and nothing that it replaces may be removed. The snapshot before the newest is kept as well: when
//! the newest rots, the one before and the log behind it still make up the state. So a log may be cut up to the *older* of the
//! two.
//!
//! Neither writing nor reading holds more than a frame and one value in memory, however large the snapshot is. A snapshot is a
//! sequence of bytes ([`Writer::write`], [`Snapshot::read`]), of values ([`Writer::put`], [`Snapshot::get`]), or of both, read as
//! they were written; any part of it can be read by its offset ([`Snapshot::seek`]).
//!
//! A file begins with the snapshot's index, in eight bytes. A row of frames follows; all but the last two have the same length:
//!
//! | bytes | of a frame |
//! |---|---|
//! | 0..4 | CRC-32C of the snapshot's index, the frame's offset, and all that follows |
//! | 4..8 | length of the data; in the last frame it has no data, and the highest bit is set |
//! | 8..16 | how many bytes of data came before |
//! | 16.. | data |
//!
//! Index and offset in the checksum tell a frame from one of another file or another place; the last frame tells a whole file
//! from one that was cut.

use std::cell::Cell;
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sim::fs::{self, File, OpenOptions};
use sim::{codec, planted};

use super::directory::{self, DRAFT, join};
use super::error::Context;
use super::window::{TRIES, WINDOW, Window};
use super::{StorageError, checksum};

/// The bytes of the index in front of the frames.
const INDEX: usize = 8;

/// The bytes of a frame in front of its data.
const HEADER: usize = 16;

/// The most data in a frame: what a window can hold at once.
const FRAME: usize = WINDOW / 2;

/// In the length of the last frame.
const LAST: u32 = 1 << 31;

/// What begins every file name of snapshots.
const PREFIX: &str = "snapshot-";

/// How many are kept.
pub(super) const KEPT: usize = 2;

/// The snapshots in a directory. It is theirs alone.
#[derive(Clone, Debug)]
pub struct Snapshots {
    dir: String,
    /// The number of drafts so far: two snapshots of one index may be written at a time.
    drafts: Rc<Cell<u64>>,
}

/// A snapshot that is being written. It exists from [`Writer::commit`] on. The draft of one that is dropped is removed when the
/// directory is opened the next time, or by [`Writer::discard`].
#[derive(Debug)]
pub struct Writer {
    snapshots: Snapshots,
    index: u64,
    file: File,
    draft: String,
    path: String,
    /// Data that is not written yet.
    buffer: Vec<u8>,
    /// How much data was written.
    count: u64,
    /// How long the file is.
    end: u64,
    /// The last frame is written.
    finished: bool,
}

/// A snapshot that is being read.
#[derive(Debug)]
pub struct Snapshot {
    index: u64,
    len: u64,
    path: String,
    window: Window,
    /// Where the next frame begins in the file, and how much data is in front of it.
    at: u64,
    count: u64,
    /// The data of the frame before that, and how much of it is read.
    frame: Vec<u8>,
    used: usize,
}

/// A snapshot file that is of no use.
#[derive(Clone, Debug)]
pub struct Skipped {
    /// The file.
    pub path: String,
    /// What it would be the snapshot of.
    pub index: u64,
    /// What is wrong with it.
    pub why: StorageError,
}

impl Snapshots {
    /// Opens the directory, or creates it, and clears away what was half written. What is there from now on is durable: when
    /// only the process crashed, a name may have been there in the page cache alone.
    pub async fn open(dir: &str) -> Result<Snapshots, StorageError> {
        directory::create(dir).await?;
        directory::tidy(dir).await?;
        directory::sync(dir).await?;
        Ok(Snapshots { dir: dir.to_owned(), drafts: Rc::default() })
    }

    /// Begins a snapshot of the state after record `index`.
    pub async fn create(&self, index: u64) -> Result<Writer, StorageError> {
        let path = self.path(index);
        let mut draft = format!("{path}.{}{DRAFT}", self.drafts.replace(self.drafts.get() + 1));
        if planted!("snapshot.in-place") {
            // Room for one is enough.
            for old in self.list().await? {
                directory::remove(&self.path(old)).await?;
            }
            draft.clone_from(&path);
        }
        let file =
            OpenOptions::new().write(true).create(true).truncate(true).open(&draft).await.context("create", &draft)?;
        let snapshots = self.clone();
        file.write_all_at(&index.to_le_bytes(), 0).await.context("write", &draft)?;
        Ok(Writer {
            snapshots,
            index,
            file,
            draft,
            path,
            buffer: Vec::new(),
            count: 0,
            end: INDEX as u64,
            finished: false,
        })
    }

    /// The newest sound snapshot, read and verified from end to end, and the newer ones that are not sound.
    ///
    /// # Errors
    ///
    /// Those of the file system. A file that cannot be read, or not in parts, is skipped.
    pub async fn latest(&self) -> Result<(Option<Snapshot>, Vec<Skipped>), StorageError> {
        let mut skipped = Vec::new();
        for index in self.list().await?.into_iter().rev() {
            match self.open_verified(index).await {
                Ok(snapshot) => return Ok((Some(snapshot), skipped)),
                Err(why @ StorageError::Corrupt { .. }) => {
                    skipped.push(Skipped { path: self.path(index), index, why });
                }
                Err(error) => return Err(error),
            }
        }
        Ok((None, skipped))
    }

    /// Opens a snapshot, and verifies it from end to end.
    ///
    /// # Errors
    ///
    /// `Corrupt` if it is not sound; those of the file system.
    pub async fn open_verified(&self, index: u64) -> Result<Snapshot, StorageError> {
        let mut snapshot = self.open_at(index).await?;
        snapshot.verify().await?;
        Ok(snapshot)
    }

    /// Opens a snapshot, which is verified as it is read.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub async fn open_at(&self, index: u64) -> Result<Snapshot, StorageError> {
        Snapshot::open(&self.path(index), index).await
    }

    /// Removes a snapshot that is of no use, if its file is there. A failure is of no consequence.
    pub async fn remove(&self, index: u64) {
        let _ = directory::remove(&self.path(index)).await;
    }

    /// The numbers of the snapshots that are there, ascending, sound or not.
    pub async fn list(&self) -> Result<Vec<u64>, StorageError> {
        let names = fs::read_dir(&self.dir).await.context("list", &self.dir)?;
        let mut list: Vec<u64> = names.iter().filter_map(|name| parse(name)).collect();
        list.sort_unstable();
        Ok(list)
    }

    fn path(&self, index: u64) -> String {
        join(&self.dir, &format!("{PREFIX}{index:016x}"))
    }
}

/// After which record the snapshot with this file name was made. `None` if a snapshot does not have such a name.
pub fn parse(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)
        .filter(|digits| digits.len() == 16)
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
}

impl Writer {
    /// After which record it is the state.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Adds bytes.
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<(), StorageError> {
        while !bytes.is_empty() {
            let n = bytes.len().min(FRAME - self.buffer.len());
            self.buffer.extend_from_slice(&bytes[..n]);
            bytes = &bytes[n..];
            if self.buffer.len() == FRAME {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Adds a value, in the codec's bytes with their length in front. [`Snapshot::get`] reads it.
    ///
    /// # Errors
    ///
    /// `TooLarge` if the value does not fit into the codec; those of the file system.
    pub async fn put<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), StorageError> {
        let max = codec::LIMIT as usize;
        let bytes = codec::encode(value).map_err(|_| StorageError::TooLarge { len: max + 1, max })?;
        self.write(&(bytes.len() as u32).to_le_bytes()).await?;
        self.write(&bytes).await
    }

    /// How many bytes of data it has so far.
    #[allow(clippy::len_without_is_empty, reason = "the length of a file, not of a collection")]
    pub fn len(&self) -> u64 {
        self.count + self.buffer.len() as u64
    }

    /// Writes what is left. Nothing can be added any more, and nothing of it is durable.
    pub async fn finish(&mut self) -> Result<(), StorageError> {
        if self.finished {
            return Ok(());
        }
        if !self.buffer.is_empty() {
            self.flush().await?;
        }
        self.put_frame(LAST).await?;
        self.finished = true;
        Ok(())
    }

    /// Reads what is written so far, up to the last whole frame.
    pub async fn reader(&self) -> Result<Snapshot, StorageError> {
        Snapshot::open(&self.draft, self.index).await
    }

    /// Gives the snapshot up, and removes its draft. A failure is of no consequence: the next opening removes it.
    pub async fn discard(self) {
        let _ = directory::remove(&self.draft).await;
    }

    /// Makes the snapshot durable, and then removes those before the one before it.
    ///
    /// # Errors
    ///
    /// Those of the file system. Then it may be there after a crash or not, and nothing that it would replace may be
    /// removed. Another attempt begins with [`Snapshots::create`].
    pub async fn commit(mut self) -> Result<(), StorageError> {
        self.finish().await?;
        directory::replace(&self.file, &self.draft, &self.path).await?;
        let snapshots = &self.snapshots;
        let list = snapshots.list().await?;
        let older = list.into_iter().filter(|index| *index < self.index).rev();
        for old in older.skip(KEPT - 1) {
            directory::remove(&snapshots.path(old)).await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), StorageError> {
        let len = self.buffer.len();
        self.put_frame(len as u32).await?;
        self.count += len as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Writes a frame with what is in the buffer.
    async fn put_frame(&mut self, len: u32) -> Result<(), StorageError> {
        let mut frame = vec![0; 4];
        frame.extend_from_slice(&len.to_le_bytes());
        frame.extend_from_slice(&self.count.to_le_bytes());
        frame.extend_from_slice(&self.buffer);
        let crc = crc32c::crc32c_append(checksum(&[self.index, self.end]), &frame[4..]);
        frame[..4].copy_from_slice(&crc.to_le_bytes());
        self.file.write_all_at(&frame, self.end).await.context("write", &self.draft)?;
        self.end += frame.len() as u64;
        Ok(())
    }
}

/// A frame as it is in `bytes`, which begin at `at` in the file: its data, or that it is the last.
fn frame(bytes: &[u8], index: u64, at: u64, count: u64) -> Result<Option<&[u8]>, &'static str> {
    let (header, data) = bytes.split_at_checked(HEADER).ok_or("the file ends in the middle of a frame")?;
    let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
    let len = word(4);
    let data = data.get(..(len & !LAST) as usize).ok_or("the file ends in the middle of a frame")?;
    if planted!("snapshot.no-checksum") {
        return Ok((len & LAST == 0).then_some(data));
    }
    let crc = crc32c::crc32c_append(crc32c::crc32c_append(checksum(&[index, at]), &header[4..]), data);
    if crc != word(0) {
        return Err("the checksum of a frame is wrong");
    }
    if header[8..] != count.to_le_bytes() {
        return Err("a frame is missing");
    }
    Ok((len & LAST == 0).then_some(data))
}

impl Snapshot {
    async fn open(path: &str, index: u64) -> Result<Snapshot, StorageError> {
        let file = File::open(path).await.context("open", path)?;
        let (path, window) = (path.to_owned(), Window::new(file, path));
        Ok(Snapshot { index, len: 0, path, window, at: INDEX as u64, count: 0, frame: Vec::new(), used: 0 })
    }

    /// After which record this was the state.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// How many bytes of data it has, once it is verified; 0 before.
    #[allow(clippy::len_without_is_empty, reason = "the length of a file, not of a collection")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// How many bytes of data are read.
    pub fn position(&self) -> u64 {
        self.count - (self.frame.len() - self.used) as u64
    }

    /// The file.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The next piece of it; `None` at the end.
    ///
    /// # Errors
    ///
    /// `Corrupt` if it is not what was written.
    pub async fn read(&mut self) -> Result<Option<Vec<u8>>, StorageError> {
        if self.used == self.frame.len() && !self.next_frame().await? {
            return Ok(None);
        }
        let piece = self.frame.split_off(self.used);
        self.used = self.frame.len();
        Ok(Some(piece))
    }

    /// The next value that [`Writer::put`] wrote.
    ///
    /// # Errors
    ///
    /// `Corrupt` if there is no such value there, also at the end.
    pub async fn get<T: DeserializeOwned>(&mut self) -> Result<T, StorageError> {
        let len = self.read_exact(4).await?;
        let len = u32::from_le_bytes(len.try_into().expect("four bytes"));
        if u64::from(len) > codec::LIMIT {
            return Err(self.corrupt("a value is longer than the codec allows"));
        }
        let bytes = self.read_exact(len as usize).await?;
        codec::decode(&bytes).map_err(|_| self.corrupt("a value is of another type"))
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    ///
    /// `Corrupt` if fewer are left; as [`Snapshot::read`].
    pub async fn read_exact(&mut self, len: usize) -> Result<Vec<u8>, StorageError> {
        let bytes = self.read_up_to(len).await?;
        if bytes.len() < len { Err(self.corrupt("the data ends too early")) } else { Ok(bytes) }
    }

    /// The next `most` bytes; fewer only at the end.
    ///
    /// # Errors
    ///
    /// As [`Snapshot::read`].
    pub async fn read_up_to(&mut self, most: usize) -> Result<Vec<u8>, StorageError> {
        let mut bytes = Vec::with_capacity(most);
        while bytes.len() < most {
            if self.used == self.frame.len() && !self.next_frame().await? {
                break;
            }
            let n = (most - bytes.len()).min(self.frame.len() - self.used);
            bytes.extend_from_slice(&self.frame[self.used..self.used + n]);
            self.used += n;
        }
        Ok(bytes)
    }

    /// Goes to the byte of data at `offset`.
    ///
    /// # Errors
    ///
    /// `Corrupt` if the data ends before; as [`Snapshot::read`].
    pub async fn seek(&mut self, offset: u64) -> Result<(), StorageError> {
        if self.position() == offset {
            return Ok(());
        }
        // All frames in front of any byte are full, except the one that it is in.
        let before = offset / FRAME as u64;
        self.go_to_frame(before);
        let within = (offset % FRAME as u64) as usize;
        if within > 0 {
            self.read_exact(within).await?;
        }
        Ok(())
    }

    fn go_to_frame(&mut self, number: u64) {
        (self.at, self.count) = (INDEX as u64 + number * (HEADER + FRAME) as u64, number * FRAME as u64);
        self.frame.clear();
        self.used = 0;
    }

    fn corrupt(&self, why: &'static str) -> StorageError {
        StorageError::Corrupt { path: self.path.clone(), offset: self.at, why }
    }

    /// Reads the next frame. False at the end.
    async fn next_frame(&mut self) -> Result<bool, StorageError> {
        let mut why = "";
        for _ in 0..TRIES {
            let bytes = self.window.at(self.at, HEADER).await?;
            let len = bytes.get(4..8).map_or(0, |len| u32::from_le_bytes(len.try_into().expect("four bytes")) & !LAST);
            let bytes = self.window.at(self.at, HEADER + (len as usize).min(FRAME)).await?;
            match frame(bytes, self.index, self.at, self.count) {
                Ok(None) => return Ok(false),
                Ok(Some(data)) => {
                    self.frame.clear();
                    self.frame.extend_from_slice(data);
                    self.used = 0;
                    self.at += (HEADER + data.len()) as u64;
                    self.count += data.len() as u64;
                    return Ok(true);
                }
                Err(wrong) => why = wrong,
            }
            self.window.forget();
        }
        Err(self.corrupt(why))
    }

    /// Reads all of it, and goes back to its beginning.
    async fn verify(&mut self) -> Result<(), StorageError> {
        let mut named = false;
        for _ in 0..TRIES {
            named |= self.window.at(0, INDEX).await?.starts_with(&self.index.to_le_bytes());
            if named || planted!("snapshot.no-checksum") {
                break;
            }
            self.window.forget();
        }
        if !named && !planted!("snapshot.no-checksum") {
            return Err(StorageError::Corrupt { path: self.path.clone(), offset: 0, why: "the index is wrong" });
        }
        while self.next_frame().await? {}
        self.len = self.count;
        self.go_to_frame(0);
        Ok(())
    }
}

/// A snapshot's index and data, if these are the bytes of a sound one. For checks that look at a disk from outside.
///
/// # Errors
///
/// `Corrupt`, with no path.
pub fn decode(bytes: &[u8]) -> Result<(u64, Vec<u8>), StorageError> {
    let corrupt = |at: usize, why| StorageError::Corrupt { path: "a snapshot".to_owned(), offset: at as u64, why };
    let index = bytes.first_chunk::<INDEX>().ok_or_else(|| corrupt(0, "the file ends in the index"))?;
    let index = u64::from_le_bytes(*index);
    let (mut at, mut all) = (INDEX, Vec::new());
    while let Some(data) = frame(&bytes[at..], index, at as u64, all.len() as u64).map_err(|why| corrupt(at, why))? {
        at += HEADER + data.len();
        all.extend_from_slice(data);
    }
    Ok((index, all))
}
