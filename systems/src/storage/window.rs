//! Reading a file of any length through a buffer of fixed size, from a disk that may refuse or lie now and then.
//!
//! A read that fails may succeed when it is tried again, and so may one that brought a flipped bit. A sector that is bad for
//! good costs what was in it and nothing else: it reads as zeros, and as whatever lies on it has a checksum, zeros
//! are as good a way as any to say that it is not there.

use std::collections::BTreeSet;
use std::io;

use sim::fs::File;
use sim::time::{self, Duration};

use super::StorageError;
use super::error::Context;

/// The size of the buffer.
pub(super) const WINDOW: usize = 64 * 1024;

/// How often something is read before it is called lost. Sixteen: a disk that fails every third read is then
/// believed to be broken once in forty million.
pub(super) const TRIES: usize = 16;

/// The unit in which disks fail.
const SECTOR: usize = 512;

/// How long a disk is left alone after it failed.
const PAUSE: Duration = Duration::from_millis(1);

/// A piece of a file in memory, that moves along with what is asked for.
#[derive(Debug)]
pub(super) struct Window {
    file: File,
    path: String,
    start: u64,
    bytes: Vec<u8>,
    /// Sectors that were given up, by their offsets: they are not asked for again.
    bad: BTreeSet<u64>,
    /// How many bytes were read in all.
    pub read: u64,
}

impl Window {
    pub fn new(file: File, path: &str) -> Window {
        Window { file, path: path.to_owned(), start: 0, bytes: Vec::new(), bad: BTreeSet::new(), read: 0 }
    }

    /// How much memory it holds.
    pub fn size(&self) -> usize {
        self.bytes.capacity()
    }

    /// Forgets what it has, so that the next look at it is one at the disk.
    pub fn forget(&mut self) {
        self.bytes.clear();
    }

    /// From `offset` on as much as is in the buffer: at least `len` bytes, except at the end of the file. `len` is at most a
    /// window less a sector.
    pub async fn at(&mut self, offset: u64, len: usize) -> Result<&[u8], StorageError> {
        let held = self.start..self.start + self.bytes.len() as u64;
        if !held.contains(&offset) || offset + len as u64 > held.end {
            self.load(offset).await?;
        }
        let skip = ((offset - self.start) as usize).min(self.bytes.len());
        Ok(&self.bytes[skip..])
    }

    /// Calls `f` with the bytes `offset..offset + len`, piece after piece. `false` if the file ends before.
    pub async fn pieces(&mut self, offset: u64, len: usize, mut f: impl FnMut(&[u8])) -> Result<bool, StorageError> {
        let mut done = 0;
        while done < len {
            let wanted = (len - done).min(WINDOW - SECTOR);
            let piece = self.at(offset + done as u64, wanted).await?;
            if piece.len() < wanted {
                return Ok(false);
            }
            f(&piece[..wanted]);
            done += wanted;
        }
        Ok(true)
    }

    async fn load(&mut self, offset: u64) -> Result<(), StorageError> {
        self.start = offset / SECTOR as u64 * SECTOR as u64;
        self.bytes.resize(WINDOW, 0);
        let whole = match self.bad.range(self.start..self.start + WINDOW as u64).next() {
            None => again(&self.file, &mut self.bytes, self.start, TRIES / 4).await.context("read", &self.path)?,
            Some(_) => None,
        };
        let length = match whole {
            Some(length) => length,
            None => self.load_by_sector().await?,
        };
        self.bytes.truncate(length);
        self.read += length as u64;
        Ok(())
    }

    /// Some sector of the window is bad: the others are not.
    async fn load_by_sector(&mut self) -> Result<usize, StorageError> {
        let mut length = 0;
        for sector in self.bytes.chunks_mut(SECTOR) {
            let at = self.start + length as u64;
            let n = match self.bad.contains(&at) {
                true => None,
                false => again(&self.file, sector, at, TRIES).await.context("read", &self.path)?,
            };
            if n.is_none() {
                self.bad.insert(at);
                sector.fill(0);
            }
            length += n.unwrap_or(SECTOR);
            if n.is_some_and(|n| n < SECTOR) {
                break;
            }
        }
        Ok(length)
    }
}

/// Reads, some times over if the device fails. `None` if it did every time; other errors are no matter of luck.
async fn again(file: &File, buf: &mut [u8], offset: u64, tries: usize) -> io::Result<Option<usize>> {
    for _ in 0..tries {
        match file.read_at(buf, offset).await {
            Ok(n) => return Ok(Some(n)),
            Err(error) if is_device(&error) => time::sleep(PAUSE).await,
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Whether it is the device that failed (EIO).
fn is_device(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EIO)
}
