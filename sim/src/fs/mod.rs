//! Files on a simulated disk, shaped like `tokio::fs` plus positioned I/O.
//!
//! Writes go to the page cache and are seen by every later read; only what was synced is sure to survive a crash. Names are
//! data of their directory: a file that was created, renamed or removed is so after a crash for sure only if [`sync_dir`]
//! came back first. A file's bytes and length are made durable by [`File::sync_all`].
//!
//! Errors are those of a real file system: [`io::Error`]s with the operating system's numbers.
//!
//! Paths are `/`-separated and relative to the node's own disk. The directory `""` is its root and always exists.

mod config;
mod damage;
mod device;
mod disk;
mod error;
mod image;
mod open;
mod serving;

pub(crate) use config::Problem;
pub use config::{DiskConfig, DiskPatch};
pub(crate) use device::Devices;
pub(crate) use disk::Disks;
pub use image::{CrashImage, Loss, crash_image, damaged};
pub use open::OpenOptions;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use crate::kernel::{self, State};
use device::Synced;
use disk::{Disk, Inode};
use open::Access;

/// An open file. It belongs to the incarnation that opened it.
#[derive(Debug, Clone)]
pub struct File {
    inode: Rc<RefCell<Inode>>,
    access: Access,
}

/// What is known of a file or directory besides its contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    len: u64,
    is_dir: bool,
}

impl Metadata {
    /// The length in bytes, as the page cache has it; 0 for a directory.
    #[allow(clippy::len_without_is_empty, reason = "as std's")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.is_dir
    }

    /// Whether it is a file.
    pub fn is_file(&self) -> bool {
        !self.is_dir
    }
}

/// Runs `op` on the node's disk. The dead have none: their operations never complete.
async fn on_disk<R>(op: impl FnOnce(&mut Disk) -> R) -> R {
    let mut op = Some(op);
    std::future::poll_fn(|_| {
        kernel::with(|state| {
            if !state.current.alive {
                return std::task::Poll::Pending;
            }
            let op = op.take().expect("polled after completion");
            std::task::Poll::Ready(op(state.disk()))
        })
    })
    .await
}

impl File {
    /// Opens an existing file for reading.
    pub async fn open(path: &str) -> io::Result<File> {
        OpenOptions::new().read(true).open(path).await
    }

    /// Creates an empty file, or empties an existing one, for writing.
    pub async fn create(path: &str) -> io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(true).open(path).await
    }

    /// Reads up to `buf.len()` bytes at `offset`; fewer only at the end of the file. Returns how many.
    pub async fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.access.may_read()?;
        let wrong_bit = device::read(buf.len()).await?;
        let n = on_disk(|_| self.inode.borrow().read_at(buf, offset)).await?;
        if let Some(bit) = wrong_bit {
            device::flip(&mut buf[..n], bit);
        }
        Ok(n)
    }

    /// Reads all of `buf` at `offset`.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the file ends before.
    pub async fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < buf.len() {
            match self.read_at(&mut buf[done..], offset + done as u64).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => done += n,
            }
        }
        Ok(())
    }

    /// Writes `data` at `offset`, in the page cache, and returns how many bytes that were: fewer only if the disk is full in
    /// the middle. A gap before it reads as zeros.
    pub async fn write_at(&self, data: &[u8], offset: u64) -> io::Result<usize> {
        self.access.may_write()?;
        if let Err(part) = device::write().await {
            let written = part.below(data.len() as u64 + 1) as usize;
            on_disk(|_| self.inode.borrow_mut().write_at(&data[..written], offset)).await;
            return Err(error::io());
        }
        on_disk(|_| self.inode.borrow_mut().write_at(data, offset)).await;
        logged("write", "", crate::trace::digest::hash_bytes(data));
        Ok(data.len())
    }

    /// Writes all of `data` at `offset`. After an error, part of it may be there.
    pub async fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < data.len() {
            done += self.write_at(&data[done..], offset + done as u64).await?;
        }
        Ok(())
    }

    /// Writes all of `data` at the end and returns where that was. After an error, part of it may be there.
    pub async fn append(&self, data: &[u8]) -> io::Result<u64> {
        let end = self.inode.borrow().len();
        self.write_all_at(data, end).await?;
        Ok(end)
    }

    /// Cuts the file, or extends it with zeros.
    pub async fn set_len(&self, len: u64) -> io::Result<()> {
        self.access.may_write()?;
        on_disk(|_| self.inode.borrow_mut().set_len(len)).await;
        logged("set_len", "", len);
        Ok(())
    }

    /// Makes the bytes durable, and as much of the length as is needed to read them: that a file was cut may be undone by a
    /// crash.
    pub async fn sync_data(&self) -> io::Result<()> {
        self.sync_all().await
    }

    /// Makes bytes and length durable. What was written before the call is durable when it returns; a crash before that
    /// may lose it.
    pub async fn sync_all(&self) -> io::Result<()> {
        match device::sync(0).await {
            Synced::Done(_) => {}
            Synced::Failed(_) => return Err(error::io()),
            Synced::Lied => return Ok(()),
        }
        let flushed = on_disk(|_| self.inode.borrow_mut().sync()).await;
        logged("sync", "", flushed);
        Ok(())
    }

    /// What is known of it.
    pub async fn metadata(&self) -> io::Result<Metadata> {
        Ok(Metadata { len: self.inode.borrow().len(), is_dir: false })
    }
}

/// All bytes of a file.
pub async fn read(path: &str) -> io::Result<Vec<u8>> {
    let file = File::open(path).await?;
    let mut bytes = vec![0; file.metadata().await?.len() as usize];
    let n = file.read_at(&mut bytes, 0).await?;
    bytes.truncate(n);
    Ok(bytes)
}

/// What is known of a file or directory.
pub async fn metadata(path: &str) -> io::Result<Metadata> {
    on_disk(|disk| disk.metadata(path)).await
}

/// Gives a file another name, replacing what had it. Durable after a [`sync_dir`] of both directories.
pub async fn rename(from: &str, to: &str) -> io::Result<()> {
    on_disk(|disk| disk.rename(from, to)).await?;
    logged("rename", to, 0);
    Ok(())
}

/// Removes a name. Durable after a [`sync_dir`] of its directory.
pub async fn remove_file(path: &str) -> io::Result<()> {
    on_disk(|disk| disk.remove_file(path)).await?;
    logged("remove", path, 0);
    Ok(())
}

/// Creates a directory and those above it.
pub async fn create_dir_all(path: &str) -> io::Result<()> {
    on_disk(|disk| disk.create_dir_all(path)).await?;
    logged("create_dir", path, 0);
    Ok(())
}

/// The names in a directory, sorted.
pub async fn read_dir(path: &str) -> io::Result<Vec<String>> {
    on_disk(|disk| disk.read_dir(path)).await
}

/// Makes the directory's names durable: creations, renames and removals in it that came before the call.
pub async fn sync_dir(path: &str) -> io::Result<()> {
    match device::sync(0).await {
        Synced::Done(_) => {}
        Synced::Failed(_) => return Err(error::io()),
        Synced::Lied => return Ok(()),
    }
    on_disk(|disk| disk.sync_dir(path)).await?;
    logged("sync_dir", path, 0);
    Ok(())
}

/// Puts an operation into digest and trace.
fn logged(op: &'static str, path: &str, what: u64) {
    kernel::with(|state| state.disk_event(op, path, what));
}

impl State {
    fn disk(&mut self) -> &mut Disk {
        let here = self.here();
        self.disks.of(here)
    }
}
