//! Snapshot files: each is there whole, or it is not there.
//!
//! A snapshot is written to a draft, synced, given its name by a rename, and the directory is synced: until that has come
//! back nobody may rely on it, and nothing that it replaces may be removed. The one before is kept as well: when the newest
//! rots, the one before and the log behind it still make up the state. So a log may be cut up to the *older* of the two.
//!
//! A file begins with the snapshot's index, in eight bytes. What follows is a row of frames:
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

use sim::fs::{self, File, OpenOptions};
use sim::planted;

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
const KEPT: usize = 2;

/// The snapshots in a directory. It is theirs alone.
#[derive(Clone, Debug)]
pub struct Snapshots {
    dir: String,
}

/// A snapshot that is being written. Dropped without [`Writer::commit`] it was never there.
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
}

/// A snapshot that is sound.
#[derive(Debug)]
pub struct Snapshot {
    index: u64,
    len: u64,
    path: String,
    window: Window,
    at: u64,
    count: u64,
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
    /// only the process died, a name may have been there in the page cache alone.
    pub async fn open(dir: &str) -> Result<Snapshots, StorageError> {
        directory::create(dir).await?;
        directory::tidy(dir).await?;
        directory::sync(dir).await?;
        Ok(Snapshots { dir: dir.to_owned() })
    }

    /// Begins a snapshot of the state after record `index`.
    pub async fn create(&self, index: u64) -> Result<Writer, StorageError> {
        let path = self.path(index);
        let mut draft = format!("{path}{DRAFT}");
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
        Ok(Writer { snapshots, index, file, draft, path, buffer: Vec::new(), count: 0, end: INDEX as u64 })
    }

    /// The newest sound snapshot, read and verified from end to end, and the newer ones that are not sound.
    ///
    /// # Errors
    ///
    /// Those of the file system. A file that cannot be read, or not in parts, is skipped.
    pub async fn latest(&self) -> Result<(Option<Snapshot>, Vec<Skipped>), StorageError> {
        let mut skipped = Vec::new();
        for index in self.list().await?.into_iter().rev() {
            let path = self.path(index);
            let file = File::open(&path).await.context("open", &path)?;
            let window = Window::new(file, &path);
            let mut snapshot = Snapshot { index, len: 0, path: path.clone(), window, at: INDEX as u64, count: 0 };
            match snapshot.verify().await {
                Ok(()) => return Ok((Some(snapshot), skipped)),
                Err(why @ StorageError::Corrupt { .. }) => skipped.push(Skipped { path, index, why }),
                Err(error) => return Err(error),
            }
        }
        Ok((None, skipped))
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

    /// Makes the snapshot durable, and then removes those before the one before it.
    ///
    /// # Errors
    ///
    /// Those of the file system. Then it may be there after a crash or not, and nothing that it would replace may be
    /// removed. Another attempt begins with [`Snapshots::create`].
    pub async fn commit(mut self) -> Result<(), StorageError> {
        if !self.buffer.is_empty() {
            self.flush().await?;
        }
        self.put(LAST).await?;
        self.file.sync_all().await.context("sync", &self.draft)?;
        fs::rename(&self.draft, &self.path).await.context("rename", &self.draft)?;
        let snapshots = &self.snapshots;
        if !planted!("snapshot.no-dir-sync") {
            directory::sync(&snapshots.dir).await?;
        }
        let list = snapshots.list().await?;
        let older = list.into_iter().filter(|index| *index < self.index).rev();
        for old in older.skip(KEPT - 1) {
            directory::remove(&snapshots.path(old)).await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), StorageError> {
        let len = self.buffer.len();
        self.put(len as u32).await?;
        self.count += len as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Writes a frame with what is in the buffer.
    async fn put(&mut self, len: u32) -> Result<(), StorageError> {
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
    /// After which record this was the state.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// How many bytes it has.
    #[allow(clippy::len_without_is_empty, reason = "the length of a file, not of a collection")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The file.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The next piece of it; `None` at the end.
    ///
    /// # Errors
    ///
    /// `Corrupt` if it has gone bad since it was verified.
    pub async fn read(&mut self) -> Result<Option<Vec<u8>>, StorageError> {
        let mut why = "";
        for _ in 0..TRIES {
            let bytes = self.window.at(self.at, HEADER).await?;
            let len = bytes.get(4..8).map_or(0, |len| u32::from_le_bytes(len.try_into().expect("four bytes")) & !LAST);
            let bytes = self.window.at(self.at, HEADER + (len as usize).min(FRAME)).await?;
            match frame(bytes, self.index, self.at, self.count) {
                Ok(None) => return Ok(None),
                Ok(Some(data)) => {
                    let data = data.to_vec();
                    self.at += (HEADER + data.len()) as u64;
                    self.count += data.len() as u64;
                    return Ok(Some(data));
                }
                Err(wrong) => why = wrong,
            }
            self.window.forget();
        }
        Err(StorageError::Corrupt { path: self.path.clone(), offset: self.at, why })
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
        while self.read().await?.is_some() {}
        self.len = self.count;
        (self.at, self.count) = (INDEX as u64, 0);
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
