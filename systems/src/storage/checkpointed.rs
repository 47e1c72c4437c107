//! A state that is kept as a snapshot and the log of what came after it.
//!
//! The system loads the snapshot that is found ([`Opened::snapshot`]), applies the records behind it, and from then on appends to
//! the log. Now and then it writes a snapshot ([`Checkpointed::begin`], [`Checkpointed::commit`]) and cuts the log
//! ([`Checkpointed::cut`]): not up to the new snapshot, but up to the *older* of the two that are kept, so that either of them may rot.
//!
//! What a snapshot's index means is the system's affair. It may be the number of the last record that the snapshot stands for, or
//! an index of the system's own.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use super::StorageError;
use super::snapshot::{KEPT, Skipped, Snapshot, Snapshots, Writer};
use super::wal::{self, Recovery, Wal};

/// An open log and its snapshots. Clones are the same.
#[derive(Clone, Debug)]
pub struct Checkpointed {
    wal: Wal,
    snapshots: Snapshots,
    /// The indexes of the snapshots that are kept, ascending.
    kept: Rc<RefCell<VecDeque<u64>>>,
}

/// What was on the disk.
#[derive(Debug)]
pub struct Opened {
    /// The log and the snapshots.
    pub store: Checkpointed,
    /// The newest sound snapshot, verified. Without one the state is the initial one.
    pub snapshot: Option<Snapshot>,
    /// The newer snapshots, which are not sound. See [`Checkpointed::discard`].
    pub skipped: Vec<Skipped>,
    /// What was found in the log. What that means for the state the system must judge.
    pub recovery: Recovery,
}

impl Checkpointed {
    /// Opens the snapshots in the directory `snapshots`, and the log.
    ///
    /// # Errors
    ///
    /// Those of the file system; then another attempt may succeed. `InUse` if the log is open already.
    pub async fn open(snapshots: &str, log: wal::Options) -> Result<Opened, StorageError> {
        let snapshots = Snapshots::open(snapshots).await?;
        let (snapshot, skipped) = snapshots.latest().await?;
        let (wal, recovery) = Wal::open(log).await?;
        let kept = match &snapshot {
            Some(newest) => snapshots.list().await?.into_iter().filter(|index| *index <= newest.index()).collect(),
            None => VecDeque::new(),
        };
        let store = Checkpointed { wal, snapshots, kept: Rc::new(RefCell::new(kept)) };
        Ok(Opened { store, snapshot, skipped, recovery })
    }

    /// Removes the files of snapshots that are not sound, if there is one that is: two are kept, and an unsound one must not take the
    /// place of a sound one. Only when the state turned out to be whole without them: until then they show why it may not be.
    pub async fn discard(&self, skipped: &[Skipped]) {
        for skipped in skipped.iter().filter(|_| self.newest().is_some()) {
            self.snapshots.remove(skipped.index).await;
        }
    }

    /// The log.
    pub fn wal(&self) -> &Wal {
        &self.wal
    }

    /// The snapshots.
    pub fn snapshots(&self) -> &Snapshots {
        &self.snapshots
    }

    /// The index of the newest snapshot.
    pub fn newest(&self) -> Option<u64> {
        self.kept.borrow().back().copied()
    }

    /// The index of the older of the snapshots that are kept: the log must have all that comes after it. `None` if fewer are kept.
    pub fn older(&self) -> Option<u64> {
        let kept = self.kept.borrow();
        kept.front().copied().filter(|_| kept.len() == KEPT)
    }

    /// Begins a snapshot.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub async fn begin(&self, index: u64) -> Result<Writer, StorageError> {
        self.snapshots.create(index).await
    }

    /// Makes a snapshot durable. It counts as kept if its index is higher than those of all before, as it should be.
    ///
    /// # Errors
    ///
    /// As [`Writer::commit`].
    pub async fn commit(&self, writer: Writer) -> Result<(), StorageError> {
        let index = writer.index();
        writer.commit().await?;
        let kept = &mut *self.kept.borrow_mut();
        if kept.back().is_some_and(|newest| *newest >= index) {
            return Ok(());
        }
        kept.push_back(index);
        while kept.len() > KEPT {
            kept.pop_front();
        }
        Ok(())
    }

    /// Removes the records below `first`, durably. Neither of the snapshots that are kept may need them.
    ///
    /// # Errors
    ///
    /// As [`Wal::truncate_prefix`].
    pub async fn cut(&self, first: u64) -> Result<(), StorageError> {
        self.wal.truncate_prefix(first).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sim::fs::{self, OpenOptions};

    use super::super::wal::{Marking, Read};
    use super::*;

    async fn open() -> Opened {
        let log = wal::Options { dir: "log".into(), segment: 256, max_record: 100, marking: Marking::AfterBatch };
        Checkpointed::open("snapshots", log).await.expect("the disk is sound")
    }

    /// Appends records up to `last`, each of which is its own number.
    async fn append(store: &Checkpointed, last: u64) {
        while store.wal().last() < last {
            let record = store.wal().append(&(store.wal().last() + 1).to_le_bytes()).unwrap();
            store.wal().sync(record).await.unwrap();
        }
    }

    /// The state is the sum of all records: makes a snapshot of it, and cuts the log.
    async fn checkpoint(store: &Checkpointed) {
        let last = store.wal().last();
        let mut writer = store.begin(last).await.unwrap();
        writer.put(&(last * (last + 1) / 2)).await.unwrap();
        store.commit(writer).await.unwrap();
        if let Some(older) = store.older() {
            store.cut(older + 1).await.unwrap();
        }
    }

    /// The state that is on the disk.
    async fn state(opened: &mut Opened) -> u64 {
        let (mut sum, mut last) = match &mut opened.snapshot {
            Some(snapshot) => (snapshot.get().await.unwrap(), snapshot.index()),
            None => (0, 0),
        };
        let mut reader = opened.store.wal().read(last + 1);
        while let Some(Read::Record { index, payload }) = reader.next().await.unwrap() {
            assert_eq!(index, last + 1);
            (sum, last) = (sum + u64::from_le_bytes(payload.try_into().unwrap()), index);
        }
        assert_eq!(sum, last * (last + 1) / 2);
        opened.store.discard(&opened.skipped).await;
        last
    }

    #[test]
    fn either_of_the_two_snapshots_may_rot() {
        let run = sim::simulate(1, |sim| {
            sim.node("a", || async {
                let mut rotten = Vec::new();
                for round in 1..=6_u64 {
                    let mut opened = open().await;
                    assert_eq!(state(&mut opened).await, (round - 1) * 20);
                    assert_eq!(opened.skipped.iter().map(|of| of.index).collect::<Vec<_>>(), rotten);
                    append(&opened.store, round * 20 - 5).await;
                    checkpoint(&opened.store).await;
                    append(&opened.store, round * 20).await;
                    assert!(round < 3 || opened.store.wal().first() > 1, "the log is cut");
                    rotten.clear();
                    if round % 2 == 0 {
                        let newest = opened.store.newest().expect("there is one");
                        let path = format!("snapshots/snapshot-{newest:016x}");
                        let file = OpenOptions::new().write(true).open(&path).await.unwrap();
                        file.write_all_at(&[0xff], 20).await.unwrap();
                        rotten.push(newest);
                    }
                }
                let mut opened = open().await;
                assert!(opened.skipped.len() == 1 && opened.snapshot.is_some());
                assert_eq!(fs::read_dir("snapshots").await.unwrap().len(), 2, "the rotten one shows what is lost");
                state(&mut opened).await;
                assert_eq!(fs::read_dir("snapshots").await.unwrap().len(), 1, "the rotten one is removed");
            });
            sim.run_for(Duration::from_secs(5));
        });
        assert_eq!(run.expect("the world runs").failures, vec![]);
    }
}
