//! Snapshot files: whole or not there.

use crate::storage::StorageError;

/// The snapshots in a directory.
#[derive(Clone, Debug)]
pub struct Snapshots {}

/// A snapshot that is being written.
#[derive(Debug)]
pub struct Writer {}

/// A snapshot that was verified.
#[derive(Debug)]
pub struct Snapshot {}

/// A snapshot file that is of no use.
#[derive(Clone, Debug)]
pub struct Skipped {
    /// The file.
    pub path: String,
    /// What it would be the snapshot of.
    pub index: u64,
    /// What is wrong with it.
    pub why: StorageError,
}

impl Snapshots {
    /// Opens the directory, or creates it, and clears away what was half written.
    pub async fn open(_dir: &str) -> Result<Snapshots, StorageError> {
        todo!()
    }
    /// Begins a snapshot of the state after record `index`.
    pub async fn create(&self, _index: u64) -> Result<Writer, StorageError> {
        todo!()
    }
    /// The newest good snapshot, verified from end to end, and the newer ones that are not good.
    pub async fn latest(&self) -> Result<(Option<Snapshot>, Vec<Skipped>), StorageError> {
        todo!()
    }
    /// The numbers of the snapshots that are kept, ascending.
    pub async fn list(&self) -> Result<Vec<u64>, StorageError> {
        todo!()
    }
}

impl Writer {
    /// Adds bytes.
    pub async fn write(&mut self, _bytes: &[u8]) -> Result<(), StorageError> {
        todo!()
    }
    /// Makes the snapshot durable and removes those before the one before it.
    pub async fn commit(self) -> Result<(), StorageError> {
        todo!()
    }
}

impl Snapshot {
    /// After which record this was the state.
    pub fn index(&self) -> u64 {
        todo!()
    }
    /// How many bytes it has.
    pub fn len(&self) -> u64 {
        todo!()
    }
    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        todo!()
    }
    /// The file.
    pub fn path(&self) -> &str {
        todo!()
    }
    /// The next piece of it; `None` at the end.
    pub async fn read(&mut self) -> Result<Option<Vec<u8>>, StorageError> {
        todo!()
    }
}

/// A snapshot file's number and contents, if it is whole.
pub fn decode(_bytes: &[u8]) -> Result<(u64, Vec<u8>), StorageError> {
    todo!()
}
