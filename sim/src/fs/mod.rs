//! Files on a simulated disk, shaped like `tokio::fs` plus positioned I/O.
//!
//! Writes go to the page cache, and later reads see them. Only synced data is sure to survive a crash. [`File::sync_all`]
//! makes a file's bytes and length durable. Names are data of their directory: [`sync_dir`] makes created, renamed and
//! removed names durable.
//!
//! Any part of the unsynced data may survive a crash too: single sectors of 512 bytes, each as it was at any moment since the
//! last sync, a length without its bytes, a rename without the bytes of the file. The crash draws the surviving parts. File
//! systems differ; [`DiskConfig`] says what this one does with a `set_len`, with the pages of a failed sync, and in which unit it
//! tears.
//!
//! ```
//! use std::time::Duration;
//! use sim::{fs, node, simulate};
//!
//! let run = simulate(1, |sim| {
//!     let node = sim.node("a", || async {
//!         if node::incarnation() == 1 {
//!             let file = fs::File::create("synced").await.unwrap();
//!             file.write_all_at(b"survives", 0).await.unwrap();
//!             file.sync_all().await.unwrap();
//!             fs::sync_dir("").await.unwrap();
//!             fs::write("not-synced", b"may be lost").await.unwrap();
//!         } else {
//!             assert_eq!(fs::read("synced").await.unwrap(), b"survives");
//!         }
//!     });
//!     sim.run_for(Duration::from_secs(1));
//!     sim.crash(node);
//!     sim.boot(node);
//!     sim.run_for(Duration::from_secs(1));
//! });
//! assert_eq!(run.unwrap().failures, []);
//! ```
//!
//! Errors are those of a real file system: [`io::Error`]s with the operating system's numbers.
//!
//! Paths are `/`-separated and relative to the node's own disk. The directory `""` is the disk's root and always exists.
//! Links, permissions and `..` are not supported.
//!
//! # The map
//!
//! A [`File`] asks the `device` for the duration and the success of an operation, then performs the operation on the `disk`.
//! The `disk` consists of `names` (directories, with their unsynced `changes`) and `inode`s. The `content` of an inode is a
//! vector for the page cache, a `shadow` for each sector whose durable bytes differ from the cache, and the `lengths` since the
//! last sync. `sync` removes shadows, `crash` resolves them by rolling `dice` (`tear` for each sector), and `platter` damages
//! durable sectors.

mod changes;
mod config;
mod content;
mod crash;
mod damage;
mod device;
mod dice;
mod disk;
mod error;
mod file;
mod image;
mod inode;
mod lengths;
mod names;
mod open;
mod path;
mod platter;
mod sector;
mod serving;
mod shadow;
mod space;
mod sync;
mod tear;

pub(crate) use config::Problem;
pub use config::{DiskConfig, DiskPatch, FailedSync, Lengths};
pub(crate) use device::Devices;
pub(crate) use disk::Disks;
pub use file::{File, Metadata};
pub use image::{CrashImage, Loss, crash_image, damaged, damaged_disk, damaged_file, durable_bytes, survives};
pub use open::OpenOptions;

use std::io;
use std::task::Poll;

use crate::kernel::{self, State};
use crate::trace::digest::hash_bytes;
use device::Synced;
use disk::Disk;

/// Runs `op` on the running node's disk. An operation of a crashed node has no effect and never completes.
async fn on_disk<R>(op: impl FnOnce(&mut State) -> R) -> R {
    let mut op = Some(op);
    std::future::poll_fn(|_| {
        kernel::with(|state| {
            if !state.current.alive {
                return Poll::Pending;
            }
            let op = op.take().expect("polled after completion");
            Poll::Ready(op(state))
        })
    })
    .await
}

/// All bytes of a file.
pub async fn read(path: &str) -> io::Result<Vec<u8>> {
    let file = File::open(path).await?;
    let mut bytes = vec![0; file.metadata().await?.len() as usize];
    let n = file.read_at(&mut bytes, 0).await?;
    bytes.truncate(n);
    Ok(bytes)
}

/// Creates a file, or empties an existing one, and writes these bytes. Nothing of this is durable, and a crash may leave any
/// part of it: to replace a file, write another one, sync it, and [`rename`] it.
pub async fn write(path: &str, contents: impl AsRef<[u8]>) -> io::Result<()> {
    File::create(path).await?.write_all_at(contents.as_ref(), 0).await
}

/// What is known of a file or directory.
pub async fn metadata(path: &str) -> io::Result<Metadata> {
    on_disk(|state| state.disk().metadata(path)).await
}

/// Whether there is a file or a directory of that name.
///
/// # Errors
///
/// Those of the way there: `NotADirectory` if it leads through a file.
pub async fn try_exists(path: &str) -> io::Result<bool> {
    match metadata(path).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Gives a file or a directory another name, replacing the file or the empty directory that had it. After a crash it was
/// done whole, or not at all; for sure it was after a [`sync_dir`] of either directory.
pub async fn rename(from: &str, to: &str) -> io::Result<()> {
    change("rename", from, to, |disk| disk.rename(from, to)).await
}

/// Removes a file's name. Durable after a [`sync_dir`] of its directory. Open handles go on working.
pub async fn remove_file(path: &str) -> io::Result<()> {
    change("remove", path, "", |disk| disk.remove_file(path)).await
}

/// Creates a directory. Its name is durable after a [`sync_dir`] of the one above.
pub async fn create_dir(path: &str) -> io::Result<()> {
    change("create_dir", path, "", |disk| disk.create_dir(path)).await
}

/// Creates a directory and those above it. Each name is durable after a [`sync_dir`] of the directory that it is in.
pub async fn create_dir_all(path: &str) -> io::Result<()> {
    change("create_dir_all", path, "", |disk| disk.create_dir_all(path)).await
}

/// Removes an empty directory.
pub async fn remove_dir(path: &str) -> io::Result<()> {
    change("remove_dir", path, "", |disk| disk.remove_dir(path)).await
}

/// The names in a directory, sorted.
pub async fn read_dir(path: &str) -> io::Result<Vec<String>> {
    on_disk(|state| state.disk().names().list(path)).await
}

/// Makes the directory's names durable: creations, renames and removals in it that came before the call. A rename becomes
/// durable whole, also in the other directory. The directory's own name is data of the directory above.
///
/// # Errors
///
/// EIO if the device fails: nothing is sure then, and the next one may succeed.
pub async fn sync_dir(path: &str) -> io::Result<()> {
    let begun = on_disk(|state| {
        let disk = state.disk();
        disk.names().directory(path).map(|dir| (dir, disk.written()))
    });
    let (dir, since) = begun.await?;
    let synced = device::sync(0).await;
    on_disk(|state| {
        let (what, result) = match synced {
            // Nothing of it is written in sectors that could land elsewhere.
            Synced::Done(_) => (1 + state.disk().sync_names(dir, since), Ok(())),
            Synced::Failed(..) => (0, Err(error::io())),
            Synced::Lied => (0, Ok(())),
        };
        state.did("sync_dir", hash_bytes(path.as_bytes()), what, || path.to_owned());
        result
    })
    .await
}

/// Changes names.
async fn change(
    op: &'static str,
    path: &str,
    to: &str,
    change: impl FnOnce(&mut Disk) -> io::Result<()>,
) -> io::Result<()> {
    on_disk(|state| {
        change(state.disk())?;
        let which = hash_bytes(path.as_bytes()) ^ hash_bytes(to.as_bytes()).rotate_left(1);
        state.did(op, which, 0, || if to.is_empty() { path.to_owned() } else { format!("{path} to {to}") });
        Ok(())
    })
    .await
}
