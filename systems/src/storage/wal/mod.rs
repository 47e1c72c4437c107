//! The write-ahead log: records with consecutive numbers, in segments, in a directory of its own.
//!
//! ```text
//! wal/mark-6b0f..                               how far the log is
//! wal/segment-0000..0001-0000..0001-9c41..      records 1 to 40
//! wal/segment-0000..0002-0000..0029-07d2..      records 41 and later
//!                   sequence  first     salt
//! ```
//!
//! Read it in this order: `format` has the bytes, `segment` the two rules that everything else rests on, `mark` tells how far
//! the log is, `commit` writes, `scan` reads what is there, `judge` says what to think of it, `recover` puts it in order.

mod commit;
mod format;
mod judge;
mod lock;
mod log;
mod mark;
mod reader;
mod recover;
mod scan;
mod segment;

use std::rc::Rc;

use serde::{Deserialize, Serialize};
use sim::task;

use crate::storage::StorageError;
use commit::Shared;
pub use format::HEADER;
use format::{Header, Name};
use lock::Lock;
pub use reader::Reader;

/// What a log is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The directory that it has for itself. It is created if it is not there.
    pub dir: String,
    /// How many bytes a segment has before the next one is begun.
    pub segment: u64,
    /// The longest record, in bytes.
    pub max_record: usize,
    /// When the mark of a batch is written. It may differ between the lives of a log: each mark says for itself what it knows.
    pub marking: Marking,
}

/// When the mark of a batch is written, which says how far the log has come: what a crash in the middle of a batch leaves to
/// be known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Marking {
    /// Together with the batch, and both are synced side by side: an acknowledgement takes as long as one sync. After a crash
    /// it is unknown whether the last batch was torn, or was acknowledged and has rotted:
    /// [`Finding::Ambiguous`].
    #[default]
    WithBatch,
    /// When the batch is durable, and it is synced before the acknowledgement: that takes as long as two syncs. What the newest
    /// mark does not know was not acknowledged, what it knows was durable: a crash alone is never `Ambiguous`.
    AfterBatch,
}

/// What was found when a log was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// The first record.
    pub first: u64,
    /// The last record; `first - 1` if there is none.
    pub last: u64,
    /// What was not as it should be, in order of the records.
    pub findings: Vec<Finding>,
    /// How many bytes were read for that.
    pub read: u64,
    /// How large the buffer was that they went through.
    pub buffer: usize,
}

/// Something that was not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Records from `from` on were being written when the writer crashed. None was acknowledged; they are cut off.
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
    /// Records are lost, and it is unknown whether they were acknowledged.
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

/// A log that is open. Clones are the same log; when the last one is dropped it is closed, and records that no caller waited for are
/// not written.
#[derive(Clone, Debug)]
pub struct Wal(Rc<Handle>);

#[derive(Debug)]
struct Handle {
    shared: Rc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Wal {
    /// Opens the log in a directory, or begins one, and says what it found. All that it returns is durable.
    ///
    /// # Errors
    ///
    /// Those of the file system; then another attempt may succeed. `InUse` if it is open already.
    pub async fn open(options: Options) -> Result<(Wal, Recovery), StorageError> {
        let lock = Lock::take(&options.dir).await?;
        let (log, recovery) = recover::open(options).await?;
        let shared = Shared::new(log);
        lock.held_by(&shared);
        task::spawn(commit::run(shared.clone(), lock));
        Ok((Wal(Rc::new(Handle { shared })), recovery))
    }

    /// Takes a record into the buffer, and returns its number. It is durable when [`Wal::sync`] has said so; until somebody
    /// asks for that, it is not even written.
    ///
    /// # Errors
    ///
    /// `TooLarge`; `Poisoned`.
    pub fn append(&self, record: &[u8]) -> Result<u64, StorageError> {
        self.shared().usable()?;
        let max = self.shared().log.borrow().options.max_record;
        if record.len() > max {
            return Err(StorageError::TooLarge { len: record.len(), max });
        }
        Ok(self.shared().append(record))
    }

    /// Waits until a record is durable, and all before it. All waiting callers share the syncs. A caller that stops waiting changes nothing.
    ///
    /// # Errors
    ///
    /// What went wrong: then it is unknown whether the record is durable, and the log has to be opened anew. `OutOfRange` if
    /// there is no such record.
    pub async fn sync(&self, index: u64) -> Result<(), StorageError> {
        let shared = self.shared();
        if index > self.last() {
            return Err(StorageError::OutOfRange { index, first: self.first(), last: self.last() });
        }
        shared.wait_for(shared.ticket(index)).await
    }

    /// The first record.
    pub fn first(&self) -> u64 {
        self.shared().log.borrow().first
    }

    /// The last record, durable or not; `first - 1` if there is none.
    pub fn last(&self) -> u64 {
        self.shared().last()
    }

    /// The last record that is durable.
    pub fn durable(&self) -> u64 {
        self.shared().log.borrow().last
    }

    /// How many bytes its segments take on disk.
    pub fn bytes(&self) -> u64 {
        self.shared().log.borrow().segments.iter().map(|segment| segment.end).sum()
    }

    /// Removes the records `from` and later, durably. The next record is `from`, from the call on.
    ///
    /// # Errors
    ///
    /// `OutOfRange` if that would leave a hole, or is in front of the log. Others as [`Wal::sync`].
    pub async fn truncate_suffix(&self, from: u64) -> Result<(), StorageError> {
        self.shared().usable()?;
        let (first, last) = (self.first(), self.last());
        if from < first || from > last + 1 {
            return Err(StorageError::OutOfRange { index: from, first, last });
        }
        let ticket = self.shared().remove_from(from);
        self.shared().wait_for(ticket).await
    }

    /// Removes records below `before`, durably: those in segments that have no others. [`Wal::first`] is then the first that
    /// is left.
    ///
    /// # Errors
    ///
    /// As [`Wal::sync`].
    pub async fn truncate_prefix(&self, before: u64) -> Result<(), StorageError> {
        self.shared().usable()?;
        let ticket = self.shared().remove_below(before);
        self.shared().wait_for(ticket).await
    }

    /// Reads records from `from` on, as far as they are durable.
    pub fn read(&self, from: u64) -> Reader {
        Reader::new(self.0.shared.clone(), from)
    }

    /// Where a record's payload is on disk. `None` if it is lost, not there, or not durable yet.
    pub fn locate(&self, index: u64) -> Option<Location> {
        self.shared().log.borrow().locate(index)
    }

    fn shared(&self) -> &Shared {
        &self.0.shared
    }
}

/// The number and the payload of the record that `bytes` begin with, if it is sound. They are in the file `path` at `offset`, which
/// is [`HEADER`] bytes in front of the payload. For checks that look at a disk from outside.
pub fn decode<'a>(path: &str, offset: u64, bytes: &'a [u8]) -> Option<(u64, &'a [u8])> {
    let name = Name::parse(path.rsplit('/').next()?)?;
    let header = Header::decode(bytes, &name, offset)?;
    let payload = bytes[HEADER..].get(..header.len as usize)?;
    (crc32c::crc32c(payload) == header.payload).then_some((header.index, payload))
}

/// The first record that a file of a log could have, if it has records. For checks that look at a disk from outside.
pub fn first_in(path: &str) -> Option<u64> {
    Name::parse(path.rsplit('/').next()?).map(|name| name.first)
}
