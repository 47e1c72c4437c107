//! The write-ahead log.

use crate::storage::StorageError;

/// What a log is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The directory that it has for itself. It is created if it is not there.
    pub dir: String,
    /// How many bytes a segment has before the next one is begun.
    pub segment: u64,
    /// The longest record, in bytes.
    pub max_record: usize,
}

/// A log that is open. Clones are the same log.
#[derive(Clone, Debug)]
pub struct Wal {}

/// What was found when a log was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// The first record.
    pub first: u64,
    /// The last record; `first - 1` if there is none.
    pub last: u64,
    /// What was not as it should be, in order of the records.
    pub findings: Vec<Finding>,
}

/// Something that was not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Records from `from` on were being written when the writer died. None was acknowledged; they are cut off.
    Torn {
        /// The first that was cut off.
        from: u64,
    },
    /// Acknowledged records are lost.
    Corrupt {
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
    /// Records are lost, and nobody can tell whether they were acknowledged.
    Ambiguous {
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
}

/// Where a record's payload is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file.
    pub path: String,
    /// Where in it the payload begins.
    pub offset: u64,
    /// How many bytes it has.
    pub len: u64,
}

/// What a reader meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// A record.
    Record {
        /// Its number.
        index: u64,
        /// What was appended.
        payload: Vec<u8>,
    },
    /// Records that are lost.
    Lost {
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
}

/// Reads the records of a log in order.
#[derive(Debug)]
pub struct Reader {}

impl Wal {
    /// Opens the log, or begins one, and says what it found. What it returns is durable.
    pub async fn open(_options: Options) -> Result<(Wal, Recovery), StorageError> {
        todo!()
    }
    /// Takes a record into the buffer and returns its number. Durable when [`Wal::sync`] returned.
    pub fn append(&self, _record: &[u8]) -> Result<u64, StorageError> {
        todo!()
    }
    /// Waits until the record is durable, and all before it.
    pub async fn sync(&self, _index: u64) -> Result<(), StorageError> {
        todo!()
    }
    /// The first record.
    pub fn first(&self) -> u64 {
        todo!()
    }
    /// The last record, durable or not; `first - 1` if there is none.
    pub fn last(&self) -> u64 {
        todo!()
    }
    /// The last record that is durable.
    pub fn durable(&self) -> u64 {
        todo!()
    }
    /// How many bytes it takes on disk.
    pub fn bytes(&self) -> u64 {
        todo!()
    }
    /// Removes the records `from` and later, durably.
    pub async fn truncate_suffix(&self, _from: u64) -> Result<(), StorageError> {
        todo!()
    }
    /// Removes the records below `before`, durably.
    pub async fn truncate_prefix(&self, _before: u64) -> Result<(), StorageError> {
        todo!()
    }
    /// Reads records from `from` on.
    pub fn read(&self, _from: u64) -> Reader {
        todo!()
    }
    /// Where a record's payload is on disk. `None` if it is lost, not there, or not written yet.
    pub fn locate(&self, _index: u64) -> Option<Location> {
        todo!()
    }
}

impl Reader {
    /// The next record, or the next lost range; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Read>, StorageError> {
        todo!()
    }
}
