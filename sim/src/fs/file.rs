//! Open files.

use std::io;
use std::rc::Rc;

use super::device::{self, Synced};
use super::inode::Inode;
use super::open::{Access, OpenOptions};
use super::{error, on_disk};
use crate::base::NodeId;
use crate::base::seed::{SPREAD, fold};
use crate::kernel::State;
use crate::trace::digest::hash_bytes;

/// An open file. It belongs to the incarnation that opened it; in another incarnation every operation on it fails (EBADF).
#[derive(Debug, Clone)]
pub struct File {
    inode: Rc<Inode>,
    access: Access,
    /// The name by which it was opened, for the trace.
    path: Rc<str>,
    owner: (NodeId, u32),
}

/// The metadata of a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    pub(super) len: u64,
    pub(super) is_dir: bool,
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

/// Where a write goes.
#[derive(Clone, Copy)]
enum At {
    Offset(u64),
    End,
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

    pub(super) fn new(inode: Rc<Inode>, access: Access, path: &str, owner: (NodeId, u32)) -> File {
        File { inode, access, path: path.into(), owner }
    }

    /// Runs `op` where the disk is.
    async fn with<R>(&self, op: impl FnOnce(&mut State, &Inode) -> io::Result<R>) -> io::Result<R> {
        on_disk(|state| {
            if self.owner != (state.current.node, state.current.incarnation) {
                return Err(error::bad_handle());
            }
            op(state, &self.inode)
        })
        .await
    }

    /// Reads up to `buf.len()` bytes at `offset`; fewer only at the end of the file. Returns how many.
    ///
    /// # Errors
    ///
    /// EIO if the device fails, or if a sector of that part cannot be read.
    pub async fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.access.may_read()?;
        // At the end of the file there is less to read.
        let passes = self.inode.content.borrow().readable(buf.len(), offset);
        let wrong_bit = device::read(passes).await?;
        let read = self.with(|state, inode| {
            let read = inode.content.borrow().read(buf, offset);
            state.effects.bad_reads += u64::from(read.is_err());
            let n = read.as_ref().map_or(u64::MAX, |&n| n as u64);
            state.did("read", inode.number, fold(offset ^ SPREAD, n ^ SPREAD), || {
                format!("{}: {} bytes at {offset}", self.path, buf.len())
            });
            read
        });
        let n = read.await?;
        if let Some(bit) = wrong_bit {
            device::flip(&mut buf[..n], bit);
        }
        Ok(n)
    }

    /// Reads all of `buf` at `offset`.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the file ends before, and those of [`File::read_at`].
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
    /// the middle, or if a sector cannot be read of which it covers only a part. A gap before it reads as zeros.
    ///
    /// # Errors
    ///
    /// EIO if the device fails (a part may have been written), ENOSPC if nothing fits, EFBIG beyond 1 GiB.
    pub async fn write_at(&self, data: &[u8], offset: u64) -> io::Result<usize> {
        self.write_to(data, At::Offset(offset)).await.map(|(_, n)| n)
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
        let (at, n) = self.write_to(data, At::End).await?;
        self.write_all_at(&data[n..], at + n as u64).await?;
        Ok(at)
    }

    /// Writes what there is space for. Returns where, and how much.
    async fn write_to(&self, data: &[u8], at: At) -> io::Result<(u64, usize)> {
        self.access.may_write()?;
        let failed = device::write().await.err();
        let data = match failed {
            Some(part) => &data[..part.below(data.len() as u64 + 1) as usize],
            None => data,
        };
        self.with(|state, inode| {
            let mut content = inode.content.borrow_mut();
            let offset = match at {
                At::Offset(offset) => offset,
                At::End => content.len(),
            };
            let stamp = state.disk().stamp();
            let written = content.write(data, offset, stamp);
            drop(content);
            let n = match &written {
                Ok(n) => {
                    state.effects.short_writes += u64::from(*n < data.len());
                    *n as u64
                }
                Err(error) => {
                    let is_full = error.kind() == io::ErrorKind::StorageFull;
                    state.effects.disk_full += u64::from(is_full);
                    state.effects.bad_reads += u64::from(error.raw_os_error() == Some(libc::EIO));
                    u64::MAX
                }
            };
            let what = fold(hash_bytes(data) ^ n, offset ^ SPREAD);
            state.did("write", inode.number, what, || format!("{}: {} bytes at {offset}", self.path, data.len()));
            match failed {
                Some(_) => Err(error::io()),
                None => written.map(|n| (offset, n)),
            }
        })
        .await
    }

    /// Cuts the file, or extends it with zeros.
    ///
    /// # Errors
    ///
    /// EINVAL if it was not opened for writing, ENOSPC if there is no space for all of it, EFBIG beyond 1 GiB, EIO if the
    /// sector cannot be read that the new end is in.
    pub async fn set_len(&self, len: u64) -> io::Result<()> {
        self.access.may_cut()?;
        self.with(|state, inode| {
            let stamp = state.disk().stamp();
            let done = inode.content.borrow_mut().set_len(len, stamp);
            let is_full = done.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::StorageFull);
            state.effects.disk_full += u64::from(is_full);
            state
                .did("set_len", inode.number, len ^ u64::from(done.is_err()) << 63, || format!("{}: {len}", self.path));
            done
        })
        .await
    }

    /// Makes bytes and length durable, also a length that was cut: fdatasync(2) covers a change of size. What it spares on a
    /// real disk, such as times of modification, does not exist here; so it is [`File::sync_all`].
    ///
    /// # Errors
    ///
    /// As [`File::sync_all`].
    pub async fn sync_data(&self) -> io::Result<()> {
        self.sync_all().await
    }

    /// Makes bytes and length durable. When the call returns, everything written before the call is durable. A crash may lose
    /// bytes written during the call.
    ///
    /// # Errors
    ///
    /// EIO if the device fails. Some dirty pages are then dropped and marked clean: later syncs skip them, and a crash loses
    /// their bytes. Only writing the bytes again helps.
    pub async fn sync_all(&self) -> io::Result<()> {
        let _turn = self.inode.syncs.lock().await;
        let bytes = self.with(|state, inode| {
            let since = state.disk().written();
            Ok(inode.content.borrow_mut().begin_sync(since))
        });
        let bytes = bytes.await?;
        let _under_way = UnderWay(&self.inode);
        let synced = device::sync(bytes).await;
        self.with(|state, inode| {
            let (what, result) = match synced {
                Synced::Done(strays) if strays.none() => (inode.content.borrow_mut().finish_sync(), Ok(())),
                Synced::Done(strays) => {
                    let (written, astray) = state.disk().finish_astray(inode, strays);
                    state.effects.misdirected += astray;
                    (written ^ astray << 32, Ok(()))
                }
                Synced::Failed(pages, draw) => {
                    let atomic = state.disk().atomic();
                    (inode.content.borrow_mut().fail_sync(pages, atomic, draw), Err(error::io()))
                }
                Synced::Lied => {
                    inode.content.borrow_mut().abandon_sync();
                    (0, Ok(()))
                }
            };
            state.did("sync", inode.number, what, || self.path.to_string());
            result
        })
        .await
    }

    /// What is known of it.
    pub async fn metadata(&self) -> io::Result<Metadata> {
        self.with(|_, inode| Ok(Metadata { len: inode.content.borrow().len(), is_dir: false })).await
    }
}

/// A sync in progress. If its future is dropped, the outcome of the sync is uncertain.
struct UnderWay<'a>(&'a Inode);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.content.borrow_mut().abandon_sync();
    }
}
