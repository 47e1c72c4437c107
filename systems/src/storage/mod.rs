//! Storage on a disk that lies, tears, rots and fills up: a write-ahead log and snapshot files.

pub mod error;
pub mod snapshot;
pub mod wal;

pub use error::StorageError;
