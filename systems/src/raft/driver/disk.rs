//! What a server keeps on its disk: a log of records, and snapshots beside it.
//!
//! The log of records is written and never changed: an entry replaces all that were written before with its index or a higher
//! one. When a snapshot is durable, what it stands for is cut off at the front. The snapshot before the last one is kept
//! with the records behind it, so that a snapshot that rots is no loss.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use sim::{GroupId, codec, observe};

use super::EmptyDisk;
use super::snapshots::Kept;
use crate::raft::core::{Persist, Restored};
use crate::raft::events;
use crate::raft::message::{Entry, HardState, Index, Position, SnapshotMeta, Term};
use crate::storage::StorageError;
use crate::storage::checkpointed::{Checkpointed, Opened};
use crate::storage::snapshot::Snapshot;
use crate::storage::wal::{self, Finding, Location, Marking, Read};

/// A record of the log.
#[derive(Debug, Serialize, Deserialize)]
enum Record {
    State(HardState),
    Entry(Entry),
    /// A snapshot that ends there is durable.
    Snapshot(Position),
}

/// A server's disk.
pub(super) struct Disk {
    store: Checkpointed,
    /// Which record has which entry, oldest first.
    entries: VecDeque<(Index, u64)>,
    hard_state: HardState,
}

/// Why a server cannot start.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StartError {
    /// The disk did not do what it was asked to: try again.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// What the server had promised to remember is lost: votes, or entries that others count on. It must not take part as the
    /// server that it was.
    #[error("records {first} to {last} of the log are lost")]
    Forgotten {
        /// The first record that is lost.
        first: u64,
        /// The last.
        last: u64,
    },
}

/// What was on the disk.
pub(super) struct Found {
    pub disk: Disk,
    pub restored: Restored,
    /// The newest snapshot.
    pub kept: Kept,
    /// The snapshot's state, if there is a snapshot.
    pub state: Option<Snapshot>,
}

impl Disk {
    /// Reads what is there. `first` is the snapshot of a server that has none yet: it has the initial members.
    pub async fn open(
        dir: &str,
        segment: u64,
        first: SnapshotMeta,
        empty_disk: EmptyDisk,
    ) -> Result<Found, StartError> {
        let options = wal::Options {
            dir: format!("{dir}/log"),
            segment,
            max_record: codec::LIMIT as usize,
            // A loss of power must not look like rot: a server that cannot tell does not start.
            marking: Marking::AfterBatch,
        };
        let Opened { store, snapshot, skipped, recovery } =
            Checkpointed::open(&format!("{dir}/snapshots"), options).await?;
        for finding in recovery.findings {
            // Torn records were not acknowledged. All others must be assumed to have been.
            if let Finding::Corrupt { first, last } | Finding::Ambiguous { first, last } = finding {
                return Err(StartError::Forgotten { first, last });
            }
        }
        let has_snapshot = snapshot.is_some();
        let (kept, state) = match snapshot {
            None => (Kept { meta: first, start: 0, len: 0 }, None),
            Some(mut snapshot) => (Kept::read(&mut snapshot).await?, Some(snapshot)),
        };
        let mut disk = Disk { store, entries: VecDeque::new(), hard_state: HardState::default() };
        let wal = disk.store.wal().clone();
        if !has_snapshot && wal.last() < wal.first() {
            match empty_disk {
                EmptyDisk::New => {}
                EmptyDisk::Marked => {
                    let mark = wal.append(&encode(&Record::State(HardState::default())))?;
                    wal.sync(mark).await?;
                }
                EmptyDisk::Lost => return Err(StartError::Forgotten { first: 0, last: 0 }),
            }
        }
        let entries = disk.replay(kept.meta.last).await?;
        disk.store.discard(&skipped).await;
        let restored = Restored { hard_state: disk.hard_state, snapshot: kept.meta.clone(), entries };
        Ok(Found { disk, restored, kept, state })
    }

    /// The entries behind the snapshot.
    async fn replay(&mut self, snapshot: Position) -> Result<Vec<Entry>, StartError> {
        let mut entries: Vec<Entry> = Vec::new();
        // Without a snapshot up to here the log says nothing.
        let mut only = 0;
        // A snapshot was durable that ended here.
        let mut highest = 0;
        let wal = self.store.wal().clone();
        let mut reader = wal.read(wal.first());
        while let Some(read) = reader.next().await? {
            let (at, payload) = match read {
                Read::Record { index, payload } => (index, payload),
                Read::Lost { first, last } => return Err(StartError::Forgotten { first, last }),
            };
            match codec::decode(&payload).map_err(|_| StartError::Forgotten { first: at, last: at })? {
                Record::State(state) => self.hard_state = state,
                // It came while the snapshot that stands for it was being written.
                Record::Entry(entry) if entry.index <= only => {}
                Record::Entry(entry) => {
                    while entries.pop_if(|earlier| earlier.index >= entry.index).is_some() {}
                    self.wrote_entry(entry.index, at);
                    entries.push(entry);
                }
                Record::Snapshot(last) => {
                    highest = highest.max(last.index);
                    if !has(&entries, last) {
                        // A leader's, of another log than this was. Nothing that was before stays.
                        entries.clear();
                        only = last.index;
                    }
                }
            }
        }
        if !entries.is_empty() && !has(&entries, snapshot) {
            // The server crashed when it had a leader's snapshot, and before its log said so.
            entries.clear();
            let record = wal.append(&encode(&Record::Snapshot(snapshot)))?;
            wal.sync(record).await?;
        }
        entries.retain(|entry| entry.index > snapshot.index);
        // The snapshot that they follow has rotted, and the one before is not enough.
        let gap = entries.first().is_some_and(|first| first.index > snapshot.index + 1);
        let end = entries.last().map_or(snapshot.index, |last| last.index);
        if gap || snapshot.index < only || end < highest {
            return Err(StartError::Forgotten { first: wal.first(), last: wal.last() });
        }
        Ok(entries)
    }

    fn wrote_entry(&mut self, index: Index, record: u64) {
        while self.entries.pop_back_if(|(earlier, _)| *earlier >= index).is_some() {}
        self.entries.push_back((index, record));
    }

    /// Takes a write into the log's buffer and returns the record to wait for.
    pub fn append(&mut self, persist: &Persist) -> Result<u64, StorageError> {
        if let Some(state) = persist.hard_state {
            self.hard_state = state;
            self.store.wal().append(&encode(&Record::State(state)))?;
        }
        for entry in &persist.entries {
            let record = self.store.wal().append(&encode(&Record::Entry(entry.clone())))?;
            self.wrote_entry(entry.index, record);
        }
        Ok(self.store.wal().last())
    }

    /// The log and the snapshots.
    pub fn store(&self) -> Checkpointed {
        self.store.clone()
    }

    /// Reports where a durable entry is on the disk.
    pub fn report(&self, group: GroupId, index: Index, term: Term) {
        let at = self.entries.partition_point(|(of, _)| *of < index);
        let record = self.entries.get(at).filter(|(of, _)| *of == index);
        if let Some(Location { path, offset, len }) = record.and_then(|(_, record)| self.store.wal().locate(*record)) {
            observe!(group: group, events::Wrote { index, term, path, offset, len });
        }
    }

    /// Notes that a snapshot is durable, and that entries before `oldest` are not needed any more. Returns the first record that is
    /// needed from then on, and the record that must be durable before the others are removed.
    pub fn has_snapshot(&mut self, last: Position, oldest: Option<Index>) -> Result<(Option<u64>, u64), StorageError> {
        let wal = self.store.wal();
        // The newest term and vote must not be cut off with the rest.
        wal.append(&encode(&Record::State(self.hard_state)))?;
        let all = wal.append(&encode(&Record::Snapshot(last)))?;
        let Some(oldest) = oldest else { return Ok((None, all)) };
        // The entry that the older snapshot ends with stays: it shows that what follows belongs to it.
        while self.entries.pop_front_if(|(index, _)| *index < oldest).is_some() {}
        Ok((Some(self.entries.front().map_or(all - 1, |(_, record)| *record)), all))
    }
}

/// Whether entries are of the log that a snapshot ends with `last` of (Figure 13, 6 and 7).
fn has(entries: &[Entry], last: Position) -> bool {
    // A log that begins behind it was cut there: what is committed at an index is the same everywhere.
    entries.first().is_some_and(|first| first.index > last.index)
        || entries.iter().any(|entry| entry.index == last.index && entry.term == last.term)
}

/// The entry that a record has.
pub(in crate::raft) fn entry_of(record: &[u8]) -> Option<Position> {
    match codec::decode(record).ok()? {
        Record::Entry(entry) => Some(Position { term: entry.term, index: entry.index }),
        _ => None,
    }
}

fn encode(record: &Record) -> Vec<u8> {
    codec::encode(record).expect("an entry is far below the limit")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::message::Payload;

    fn persist(indexes: &[Index]) -> Persist {
        let entries = indexes.iter().map(|&index| Entry { term: 1, index, payload: Payload::Noop }).collect();
        Persist { number: 0, hard_state: None, entries }
    }

    async fn open() -> Found {
        Disk::open("raft", 8192, SnapshotMeta::default(), EmptyDisk::New).await.expect("the disk is sound")
    }

    async fn save(disk: &mut Disk, index: Index) {
        let meta = SnapshotMeta { last: Position { term: 1, index }, ..SnapshotMeta::default() };
        let mut writer = disk.store().begin(index).await.unwrap();
        writer.put(&meta).await.unwrap();
        writer.write(b"state").await.unwrap();
        disk.store().commit(writer).await.unwrap();
    }

    /// The indexes of the entries that are found when a server starts after `story`.
    fn found_after<F: Future<Output = ()> + 'static>(story: impl Fn(Disk) -> F + Send + 'static) -> Vec<Index> {
        let run = sim::simulate(1, |sim| {
            let (tell, mut told) = sim::sync::mpsc::unbounded_channel();
            let story = std::rc::Rc::new(story);
            sim.node("server-0", move || {
                let (story, tell) = (story.clone(), tell.clone());
                async move {
                    story(open().await.disk).await;
                    let _ = tell.send(open().await.restored.entries.iter().map(|entry| entry.index).collect());
                }
            });
            sim.run_for(std::time::Duration::from_secs(1));
            told.try_recv().expect("it came to its end")
        });
        run.expect("the world runs").value
    }

    #[test]
    fn entries_follow_a_leaders_snapshot_also_if_some_came_while_it_was_written() {
        let found = found_after(|mut disk| async move {
            disk.append(&persist(&[1, 2, 3])).unwrap();
            save(&mut disk, 5).await;
            disk.has_snapshot(Position { term: 1, index: 5 }, None).unwrap();
            disk.append(&persist(&[4])).unwrap();
            let last = disk.append(&persist(&[6, 7])).unwrap();
            disk.store().wal().sync(last).await.unwrap();
        });
        assert_eq!(found, [6, 7]);
    }

    #[test]
    fn a_leaders_snapshot_that_the_log_does_not_know_yet_replaces_the_log_for_good() {
        let found = found_after(|mut disk| async move {
            let last = disk.append(&persist(&[1, 2, 3])).unwrap();
            disk.store().wal().sync(last).await.unwrap();
            save(&mut disk, 5).await;
            drop(disk);
            // It crashes here, starts anew, and gets what follows.
            let mut disk = open().await.disk;
            let last = disk.append(&persist(&[6])).unwrap();
            disk.store().wal().sync(last).await.unwrap();
        });
        assert_eq!(found, [6]);
    }
}
