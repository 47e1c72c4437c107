//! What the journal holds: its records, which are lost, and which of each client it has.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sim::codec::{self, CodecError};
use xxhash_rust::xxh3::xxh3_64;

/// A client's session: it sends one record at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Session {
    /// The client's machine.
    pub node: sim::NodeId,
    /// Which incarnation of it.
    pub life: u32,
    /// Which clerk of that incarnation.
    pub clerk: u32,
}

/// A record, as the client sends it and as it is on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Whose it is.
    pub session: Session,
    /// The number within the session, from 1.
    pub number: u64,
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

/// Whether a record is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// No.
    No,
    /// It is the latest of its session, with this number in the journal.
    At(u64),
    /// The session has moved on: nobody waits for it, and it must not be appended.
    Stale,
}

/// The latest record of each session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sessions(BTreeMap<Session, (u64, u64)>);

impl Sessions {
    /// Whether the record is there already.
    pub fn seen(&self, record: &Record) -> Seen {
        match self.0.get(&record.session) {
            Some((number, index)) if *number == record.number => Seen::At(*index),
            Some((number, _)) if *number > record.number => Seen::Stale,
            _ => Seen::No,
        }
    }

    /// It has this number in the journal.
    pub fn note(&mut self, record: &Record, index: u64) {
        self.0.insert(record.session, (record.number, index));
    }
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

    /// The latest record of each session.
    pub fn sessions(&self) -> Sessions {
        let mut sessions = Sessions::default();
        for (index, record) in &self.records {
            sessions.note(record, *index);
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

    fn record(number: u64) -> Record {
        let session = Session { node: sim::NodeId::new(1), life: 1, clerk: 0 };
        Record { session, number, body: format!("body {number}") }
    }

    #[test]
    fn a_record_is_seen_once_it_is_there_and_stale_once_the_session_moved_on() {
        let mut sessions = Sessions::default();
        assert_eq!(sessions.seen(&record(1)), Seen::No);
        sessions.note(&record(1), 7);
        assert_eq!(sessions.seen(&record(1)), Seen::At(7));
        sessions.note(&record(2), 8);
        assert_eq!(sessions.seen(&record(1)), Seen::Stale);
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
        assert_eq!(state.sessions().seen(&record(2)), Seen::At(3));
    }
}
