//! What can go wrong with stored data.

use std::io;

/// Why an operation on a log or a snapshot failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    /// The file system said no.
    #[error("cannot {what} {path}: {kind}")]
    Io {
        /// What was tried: `read`, `write`, `sync` and so on.
        what: &'static str,
        /// With which file or directory.
        path: String,
        /// The kind of error.
        kind: io::ErrorKind,
    },
    /// An earlier write or sync of this log failed, so nobody knows what of it is on disk: open it anew.
    #[error("the log failed before and has to be opened anew")]
    Poisoned,
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
    /// Whether the disk is full.
    pub fn is_full(&self) -> bool {
        matches!(self, StorageError::Io { kind: io::ErrorKind::StorageFull, .. })
    }
}
