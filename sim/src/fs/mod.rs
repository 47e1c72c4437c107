//! Files on a simulated disk, shaped like `tokio::fs` plus positioned I/O.
//!
//! Writes go to the page cache and are seen by every later read; only what was synced survives a crash. Names are data of
//! their directory: a file that was created, renamed or removed is so after a crash only if [`sync_dir`] came back first.
//! A file's bytes and length are made durable by [`File::sync_all`].
//!
//! After a crash exactly the durable image is left: everything unsynced is lost. The finer ways in which a disk betrays
//! (torn, reordered and partial writes, errors, lies) are not modelled yet.
//!
//! Paths are `/`-separated and relative to the node's own disk. The directory `""` is its root and always exists.

mod disk;

pub(crate) use disk::Disks;
pub use disk::{DiskConfig, FsError};

use std::cell::RefCell;
use std::rc::Rc;

use crate::kernel::{self, State};
use crate::time;
use disk::{Disk, Inode};

/// An open file. It belongs to the incarnation that opened it.
#[derive(Debug, Clone)]
pub struct File {
    inode: Rc<RefCell<Inode>>,
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

/// Waits as long as the disk's next sync takes.
async fn sync_latency() {
    let latency = on_disk(Disk::next_sync_latency).await;
    time::sleep(latency).await;
}

impl File {
    /// Opens an existing file.
    pub async fn open(path: &str) -> Result<File, FsError> {
        on_disk(|disk| disk.open(path)).await.map(|inode| File { inode })
    }

    /// Creates an empty file, or empties an existing one.
    pub async fn create(path: &str) -> Result<File, FsError> {
        let inode = on_disk(|disk| disk.create(path)).await?;
        logged("create", path, 0);
        Ok(File { inode })
    }

    /// Reads up to `buf.len()` bytes at `offset`; fewer only at the end of the file. Returns how many.
    pub async fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, FsError> {
        on_disk(|_| self.inode.borrow().read_at(buf, offset)).await
    }

    /// Writes all of `data` at `offset`, in the page cache. A gap before it reads as zeros.
    pub async fn write_at(&self, data: &[u8], offset: u64) -> Result<(), FsError> {
        on_disk(|_| self.inode.borrow_mut().write_at(data, offset)).await;
        logged("write", "", crate::trace::digest::hash_bytes(data));
        Ok(())
    }

    /// Writes at the end and returns where that was.
    pub async fn append(&self, data: &[u8]) -> Result<u64, FsError> {
        let end = self.len();
        self.write_at(data, end).await?;
        Ok(end)
    }

    /// Cuts the file, or extends it with zeros.
    pub async fn set_len(&self, len: u64) -> Result<(), FsError> {
        on_disk(|_| self.inode.borrow_mut().set_len(len)).await;
        logged("set_len", "", len);
        Ok(())
    }

    /// Makes bytes and length durable. What was written before the call is durable when it returns; a crash before that
    /// loses it.
    pub async fn sync_all(&self) -> Result<(), FsError> {
        sync_latency().await;
        let flushed = on_disk(|_| self.inode.borrow_mut().sync()).await;
        logged("sync", "", flushed);
        Ok(())
    }

    /// Its length in bytes, as the page cache has it.
    pub fn len(&self) -> u64 {
        self.inode.borrow().len()
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// All bytes of a file.
pub async fn read(path: &str) -> Result<Vec<u8>, FsError> {
    let file = File::open(path).await?;
    let mut bytes = vec![0; file.len() as usize];
    let n = file.read_at(&mut bytes, 0).await?;
    bytes.truncate(n);
    Ok(bytes)
}

/// Gives a file another name, replacing what had it. Durable after a [`sync_dir`] of both directories.
pub async fn rename(from: &str, to: &str) -> Result<(), FsError> {
    on_disk(|disk| disk.rename(from, to)).await?;
    logged("rename", to, 0);
    Ok(())
}

/// Removes a name. Durable after a [`sync_dir`] of its directory.
pub async fn remove_file(path: &str) -> Result<(), FsError> {
    on_disk(|disk| disk.remove_file(path)).await?;
    logged("remove", path, 0);
    Ok(())
}

/// Creates a directory and those above it.
pub async fn create_dir_all(path: &str) -> Result<(), FsError> {
    on_disk(|disk| disk.create_dir_all(path)).await?;
    logged("create_dir", path, 0);
    Ok(())
}

/// The names in a directory, sorted.
pub async fn read_dir(path: &str) -> Result<Vec<String>, FsError> {
    on_disk(|disk| disk.read_dir(path)).await
}

/// Makes the directory's names durable: creations, renames and removals in it that came before the call.
pub async fn sync_dir(path: &str) -> Result<(), FsError> {
    sync_latency().await;
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
