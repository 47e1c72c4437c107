//! Storage on a disk that tears, rots, fails, and fills up: a write-ahead log, snapshot files, and both together.
//!
//! Not a system but a library: what a system keeps on its disk, it keeps with this. A state that is too large to write at each
//! change is [`Checkpointed`]; one that is small is replaced whole ([`replace`]).
//!
//! # Guarantees
//!
//! - What was acknowledged is there after a crash at any moment, unless the disk destroyed the very sectors that it is in.
//! - What the disk destroyed is *said* to be lost, record by record, and takes nothing else along. What may be torn or may be
//!   destroyed is said to be ambiguous (that is the best that a single copy can do: a system with
//!   replicas asks them).
//! - What was not acknowledged may be there or not, each batch of it from its beginning up to some record. What a recovery has
//!   shown stays; what it has not shown never comes back, and neither does what was cut off.
//! - After a failed write or sync nothing is acknowledged any more, until the log was opened anew.
//!
//! Not guaranteed: anything on a disk that says "synced" and has not (`lying_sync`). And if a disk writes both copies of a mark
//! elsewhere, nothing on it tells that there was a newer mark: what is then damaged in the batch that it spoke of, before a
//! next one is written, is taken for torn.
//!
//! # The rules
//!
//! | rule | what it is against | where |
//! |---|---|---|
//! | A record is acknowledged after its bytes, its mark, and the name of its segment are synced | power loss | [`wal`], `commit` |
//! | After a failed sync nothing is tried again: open anew | a failed sync leaves lost bytes that look clean, and the next one succeeds | `commit` |
//! | What is not known to be durable is written again when the log is opened, and synced | bytes that are in the page cache only | `recover` |
//! | Checksums cover the place in the file and the identity of the file | old blocks, writes that landed elsewhere | `format`, `mark`, [`snapshot`] |
//! | Each batch has a mark: what was durable before it, and what will be after it | rot that looks like a torn tail | `mark`, `judge` |
//! | A mark may wait until its batch is durable: then nothing is in between | a crash in the middle of the last batch | `commit`, [`wal::Marking`] |
//! | Of two marks one is never touched while the other is written; each has two copies | a crash in the middle of it, rot | `mark` |
//! | A bad record does not end the log | one rotten sector that hides all that follows | `scan` |
//! | What is bad is read again, several times | a read that fails or lies once | `window`, `scan` |
//! | A segment begins when all before it is settled, and overrules what earlier ones have from there on | cuts that a crash undoes | `segment` |
//! | A segment's bytes are written once; each life begins its own segment | stale records behind a new tail | `segment` |
//! | The mark says where the log begins before the files in front of it go, and so it does again before a recovery removes any | names that come back in any order | `commit`, `recover` |
//! | What was given up as ambiguous is noted, durably, before it is shown to any caller | a sector that can be read again later | `segment`, `recover` |
//! | A snapshot gets its name when it is whole and synced; the one before is kept until the name is durable | power loss, rot | [`snapshot`] |
//!
//! # Where it comes from
//!
//! Write-ahead logging with group commit is Gray's and DeWitt's. Which orders of writes survive on real file systems: Pillai
//! et al., "All File Systems Are Not Created Equal", OSDI 2014. What a failed fsync leaves: Rebello et al., "Can
//! Applications Recover from fsync Failures?", ATC 2020. Torn or rotten: Alagappan et al., "Protocol-Aware Recovery for
//! Consensus-Based Storage", FAST 2018. How disks rot and misplace writes: Bairavasundaram et al., "An Analysis of Data
//! Corruption in the Storage Stack", FAST 2008.

pub mod checkpointed;
mod directory;
pub mod error;
pub mod snapshot;
pub mod wal;
mod window;

pub use checkpointed::Checkpointed;
pub use directory::replace;
pub use error::StorageError;

/// The checksum of some numbers, to go on from.
fn checksum(numbers: &[u64]) -> u32 {
    numbers.iter().fold(0, |crc, number| crc32c::crc32c_append(crc, &number.to_le_bytes()))
}
