//! How a file is opened.

use std::io;

use super::changes::Entry;
use super::{File, error, on_disk, path};
use crate::trace::digest::hash_bytes;

/// What a handle may be used for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access {
    read: bool,
    write: bool,
}

impl Access {
    pub fn may_read(self) -> io::Result<()> {
        if self.read { Ok(()) } else { Err(error::bad_handle()) }
    }

    pub fn may_write(self) -> io::Result<()> {
        if self.write { Ok(()) } else { Err(error::bad_handle()) }
    }

    /// ftruncate(2) has another error for it.
    pub fn may_cut(self) -> io::Result<()> {
        if self.write { Ok(()) } else { Err(error::invalid()) }
    }
}

/// How to open a file, as std's.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenOptions {
    read: bool,
    write: bool,
    truncate: bool,
    create: bool,
    create_new: bool,
}

impl OpenOptions {
    /// Nothing allowed yet.
    pub fn new() -> OpenOptions {
        OpenOptions::default()
    }

    /// For reading.
    pub fn read(mut self, read: bool) -> Self {
        self.read = read;
        self
    }

    /// For writing.
    pub fn write(mut self, write: bool) -> Self {
        self.write = write;
        self
    }

    /// Empties it.
    pub fn truncate(mut self, truncate: bool) -> Self {
        self.truncate = truncate;
        self
    }

    /// Creates it if it is not there.
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Creates it, and it must not be there.
    pub fn create_new(mut self, create_new: bool) -> Self {
        self.create_new = create_new;
        self
    }

    /// Opens the file.
    ///
    /// # Errors
    ///
    /// Those of open(2): `NotFound`, `AlreadyExists`, `IsADirectory`, `NotADirectory`; `InvalidInput` for options that
    /// contradict each other.
    pub async fn open(self, path: &str) -> io::Result<File> {
        let creates = self.create || self.create_new;
        if !self.write && (!self.read || self.truncate || creates) {
            return Err(error::invalid());
        }
        on_disk(|state| {
            let disk = state.disk();
            if creates && path::names_dir(path) {
                disk.names().check_way(path)?;
                return Err(error::is_a_directory());
            }
            let (inode, is_new) = match disk.names().find(path) {
                Ok(_) if self.create_new => return Err(error::already_exists()),
                Ok(Entry::Dir(_)) => return Err(error::is_a_directory()),
                Ok(Entry::File(inode)) => (inode, false),
                Err(error) if error.kind() == io::ErrorKind::NotFound && creates => (disk.create(path)?, true),
                Err(error) => return Err(error),
            };
            if self.truncate && !is_new {
                let stamp = disk.stamp();
                inode.content.borrow_mut().set_len(0, stamp)?;
            }
            let owner = (state.current.node, state.current.incarnation);
            if is_new || self.truncate {
                state.did("create", hash_bytes(path.as_bytes()), inode.number, || path.to_owned());
            }
            Ok(File::new(inode, Access { read: self.read, write: self.write }, path, owner))
        })
        .await
    }
}
