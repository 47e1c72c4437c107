//! What the journal holds: its records, which are lost, and which of each client it has.

use serde::{Deserialize, Serialize};
use sim::codec::{self, CodecError};
use xxhash_rust::xxh3::xxh3_64;

use crate::kit::session::{Replies, RequestId};

/// A record, as the client sends it and as it is on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The name of the request to keep it: what tells a record from one that is sent again.
    pub request: RequestId,
    /// What is to be kept.
    pub body: String,
}

impl Record {
    /// The bytes that go to disk.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self).expect("a record is far smaller than the codec's limit")
    }

    /// Its identity: a hash of its bytes.
    pub fn id(&self) -> u64 {
        id_of(&self.encode())
    }
}

/// The identity of a record that has these bytes.
pub fn id_of(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// Records that are lost, and may or may not have been acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lost {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
    /// Whether it is unknown that there ever was anything acknowledged among them.
    pub ambiguous: bool,
}

/// The contents of the journal, up to a record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    records: Vec<(u64, Record)>,
    lost: Vec<Lost>,
    last: u64,
}

impl State {
    /// The number of the last record, be it lost; 0 if there never was one.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// All records that are there, with their numbers, ascending.
    pub fn records(&self) -> &[(u64, Record)] {
        &self.records
    }

    /// What is lost, ascending.
    pub fn lost(&self) -> &[Lost] {
        &self.lost
    }

    /// Adds the next record.
    pub fn push(&mut self, index: u64, record: Record) {
        assert!(index > self.last, "record {index} comes after {}", self.last);
        self.last = index;
        self.records.push((index, record));
    }

    /// Adds a number under which there is nothing.
    pub fn skip(&mut self, index: u64) {
        self.last = self.last.max(index);
    }

    /// Says that the next records are lost. What is known already stays.
    pub fn lose(&mut self, first: u64, last: u64, ambiguous: bool) -> Option<Lost> {
        let lost = Lost { first: first.max(self.last + 1), last, ambiguous };
        if lost.first > last {
            return None;
        }
        self.last = last;
        self.lost.push(lost);
        Some(lost)
    }

    /// The latest record of each session, and its number.
    pub fn sessions(&self) -> Replies<u64> {
        let mut sessions = Replies::default();
        for (index, record) in &self.records {
            sessions.insert(record.request, *index);
        }
        sessions
    }

    /// The bytes of a snapshot.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self).expect("a run is too short to fill the codec's limit")
    }

    /// The state in a snapshot's bytes.
    ///
    /// # Errors
    ///
    /// If they are not what [`State::encode`] makes.
    pub fn decode(bytes: &[u8]) -> Result<State, CodecError> {
        codec::decode(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::session::{Seen, Session};

    fn record(number: u64) -> Record {
        let session = Session { node: sim::NodeId::new(1), incarnation: 1, nth: 0 };
        Record { request: RequestId { session, number }, body: format!("body {number}") }
    }

    #[test]
    fn a_loss_covers_only_what_is_not_known_already() {
        let mut state = State::default();
        state.push(1, record(1));
        assert_eq!(state.lose(1, 1, false), None);
        assert_eq!(state.lose(1, 3, true), Some(Lost { first: 2, last: 3, ambiguous: true }));
        state.push(4, record(2));
        assert_eq!((state.last(), state.records().len()), (4, 2));
    }

    #[test]
    fn a_snapshot_has_all_of_it() {
        let mut state = State::default();
        state.push(1, record(1));
        state.lose(2, 2, false);
        state.push(3, record(2));
        assert_eq!(State::decode(&state.encode()), Ok(state.clone()));
        assert_eq!(state.sessions().seen(record(2).request), Seen::Answered(&3));
        assert_eq!(state.sessions().seen(record(1).request), Seen::Stale);
    }
}
