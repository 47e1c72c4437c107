//! Storage on a disk that lies, tears, rots and fills up: a write-ahead log and snapshot files.

mod directory;
pub mod error;
pub mod snapshot;
pub mod wal;
mod window;

pub use error::StorageError;

/// The checksum of some numbers, to go on from.
fn checksum(numbers: &[u64]) -> u32 {
    numbers.iter().fold(0, |crc, number| crc32c::crc32c_append(crc, &number.to_le_bytes()))
}
