//! How a file is opened.

use std::io;

use super::{File, error, logged, on_disk};

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
        if !(self.read || self.write) || (!self.write && (self.truncate || creates)) {
            return Err(error::invalid());
        }
        let (inode, created) = on_disk(|disk| {
            match disk.open(path) {
                Ok(_) if self.create_new => Err(error::already_exists()),
                Ok(inode) => Ok((inode, false)),
                Err(missing) if missing.kind() == io::ErrorKind::NotFound && creates => {
                    disk.create(path).map(|inode| (inode, true))
                }
                Err(error) => Err(error),
            }
            .inspect(|(inode, created)| {
                if self.truncate && !created {
                    inode.borrow_mut().set_len(0);
                }
            })
        })
        .await?;
        if created || self.truncate {
            logged("create", path, 0);
        }
        Ok(File { inode, access: Access { read: self.read, write: self.write } })
    }
}
