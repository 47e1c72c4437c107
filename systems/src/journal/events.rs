//! What the journal and its clients say about themselves.
//!
//! The oracles take from the clients *what* was sent, answered and read, and from the journal only *where* on the disk to
//! look for it.

use std::fmt;

use serde::Serialize;
use sim::event;

use super::state::{Lost, Record, State, id_of};

/// What a read returned: the number and the identity of each record. It is shown as a summary: a read has hundreds.
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Contents {
    /// Number and identity of each record, ascending.
    pub records: Vec<(u64, u64)>,
    /// What the journal says that it has lost.
    pub lost: Vec<Lost>,
}

impl Contents {
    /// Of an answer.
    pub fn of(records: &[(u64, Record)], lost: &[Lost]) -> Contents {
        let mut bytes = Vec::new();
        let records = records.iter().map(|(index, record)| {
            bytes.clear();
            sim::codec::encode_into(&mut bytes, record).expect("records are small");
            (*index, id_of(&bytes))
        });
        Contents { records: records.collect(), lost: lost.to_vec() }
    }

    /// The identity of the record of that number.
    pub fn get(&self, index: u64) -> Option<u64> {
        let at = self.records.binary_search_by_key(&index, |(index, _)| *index).ok()?;
        Some(self.records[at].1)
    }

    /// Whether the journal says that it has lost it.
    pub fn is_lost(&self, index: u64) -> bool {
        self.lost.iter().any(|lost| (lost.first..=lost.last).contains(&index))
    }
}

impl From<&State> for Contents {
    fn from(state: &State) -> Contents {
        Contents::of(state.records(), state.lost())
    }
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} records", self.records.len())?;
        if let Some((last, _)) = self.records.last() {
            write!(f, " to {last}")?;
        }
        for (i, lost) in self.lost.iter().enumerate() {
            let lead = if i == 0 { ", without" } else { "," };
            write!(f, "{lead} {}..={}", lost.first, lost.last)?;
        }
        Ok(())
    }
}

event! {
    /// A client sends a record for the first time.
    "journal.asked" => pub struct Asked {
        /// Its identity.
        pub record: u64,
    }

    /// A client received the acknowledgement of its record.
    "journal.answered" => pub struct Answered {
        /// Its identity.
        pub record: u64,
        /// Its number.
        pub index: u64,
    }

    /// A client begins to read everything.
    "journal.reading" => pub struct Reading {}

    /// A client has read everything.
    "journal.listed" => pub struct Listed {
        /// What it got.
        pub contents: Contents,
    }

    /// A client has made the last read of a run.
    "journal.audited" => pub struct Audited {}

    /// The journal gave a record a number. Nothing is durable yet.
    "journal.appended" => pub struct Appended {
        /// Its number.
        pub index: u64,
        /// Its identity.
        pub record: u64,
    }

    /// The journal is about to acknowledge a record.
    "journal.acked" => pub struct Acked {
        /// Its number.
        pub index: u64,
        /// Its identity.
        pub record: u64,
        /// The file that it is in; empty if it is in snapshots only.
        pub path: String,
        /// Where in the file its bytes begin.
        pub offset: u64,
        /// How many they are.
        pub len: u64,
    }

    /// The journal begins to read what is on its disk.
    "journal.recovering" => pub struct Recovering {
        /// The number of the attempt since the log was last open, from 1.
        pub attempt: u32,
    }

    /// It has read it.
    "journal.recovered" => pub struct Recovered {
        /// The first record that is in the log.
        pub first: u64,
        /// The last record.
        pub last: u64,
        /// Which record the snapshot is of that it began with; 0 is none.
        pub snapshot: u64,
        /// What there is.
        pub contents: Contents,
    }

    /// It could not: it will try again.
    "journal.unavailable" => pub struct Unavailable {
        /// Whether because the disk is full.
        pub full: bool,
    }

    /// It found out that records are lost.
    "journal.lost" => pub struct LostRecords {
        /// The first.
        pub first: u64,
        /// The last.
        pub last: u64,
        /// Whether it cannot tell if anything acknowledged was among them.
        pub ambiguous: bool,
    }

    /// The server found records that were being written when it crashed, and truncated them.
    "journal.torn" => pub struct Torn {
        /// The first.
        pub from: u64,
    }

    /// It began a snapshot.
    "journal.snapshotting" => pub struct Snapshotting {
        /// After which record.
        pub index: u64,
    }

    /// A snapshot is durable.
    "journal.snapshotted" => pub struct Snapshotted {
        /// After which record.
        pub index: u64,
    }

    /// A snapshot could not be written.
    "journal.snapshot_failed" => pub struct SnapshotFailed {
        /// Whether because the disk is full.
        pub full: bool,
    }

    /// It passed over a snapshot that is not good.
    "journal.snapshot_skipped" => pub struct SnapshotSkipped {
        /// After which record it was made.
        pub index: u64,
    }

    /// The log was cut at its beginning.
    "journal.compacted" => pub struct Compacted {
        /// The first record that may still be in it.
        pub first: u64,
    }

    /// A write or a sync failed: the server acknowledges nothing until it has reopened the log.
    "journal.poisoned" => pub struct Poisoned {
        /// Whether because the disk is full.
        pub full: bool,
    }
}
