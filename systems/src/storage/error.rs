//! What can go wrong with stored data.

use std::io;
use std::sync::Arc;

/// Why an operation on a log or a snapshot failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    /// The file system said no.
    #[error("cannot {what} {path}: {error}")]
    Io {
        /// What was tried: `read`, `write`, `sync` and so on.
        what: &'static str,
        /// With which file or directory.
        path: String,
        /// What it said.
        error: Arc<io::Error>,
    },
    /// An earlier write or sync of this log failed, so it is unknown what of it is on disk.
    #[error("the log failed before, and what of it is on disk is not known: open it anew")]
    Poisoned,
    /// The log is open already: two writers would destroy it.
    #[error("the log in {dir} is open already: drop it first")]
    InUse {
        /// Its directory.
        dir: String,
    },
    /// A record is longer than the log allows.
    #[error("a record of {len} bytes is longer than the {max} that the log allows")]
    TooLarge {
        /// Its length.
        len: usize,
        /// The longest that is allowed.
        max: usize,
    },
    /// There is no such record.
    #[error("there is no record {index}: the log has {first} to {last}")]
    OutOfRange {
        /// The record that was asked for.
        index: u64,
        /// The first that there is.
        first: u64,
        /// The last that there is.
        last: u64,
    },
    /// Bytes are not what was written.
    #[error("{path} is damaged at byte {offset}: {why}")]
    Corrupt {
        /// In which file.
        path: String,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        why: &'static str,
    },
}

impl StorageError {
    /// Whether the disk is full. Room has to be made, or found, before another try can succeed.
    pub fn is_full(&self) -> bool {
        matches!(self, StorageError::Io { error, .. } if error.kind() == io::ErrorKind::StorageFull)
    }
}

/// Says what was tried with which file when an operation failed.
pub(super) trait Context<T> {
    fn context(self, what: &'static str, path: &str) -> Result<T, StorageError>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, what: &'static str, path: &str) -> Result<T, StorageError> {
        self.map_err(|error| StorageError::Io { what, path: path.to_owned(), error: Arc::new(error) })
    }
}
