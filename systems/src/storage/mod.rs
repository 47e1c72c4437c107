//! Storage on a disk that lies, tears, rots and fills up: a write-ahead log and snapshot files.

mod directory;
pub mod error;
pub mod snapshot;
pub mod wal;
mod window;

pub use error::StorageError;
