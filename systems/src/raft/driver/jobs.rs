//! The jobs of the disk, one after another: writes, finished snapshots of the server's own, parts of a leader's snapshot.

use std::time::Duration;

use sim::sync::mpsc;
use sim::{buggify, rand, time};

use super::Raft;
use super::disk::Disk;
use super::snapshots::NewSnapshot;
use crate::raft::core::{Persist, StoreChunk};
use crate::raft::message::{Index, Term};
use crate::storage::StorageError;

/// The longest wait of a buggified write.
const LATE: Duration = Duration::from_millis(20);

/// Writes that share a sync: the number of the last, and the record to wait for.
struct Batch {
    number: u64,
    record: Result<u64, StorageError>,
}

/// Something for the disk.
pub(super) enum Job {
    Write(Persist),
    Compact(NewSnapshot),
    Store(StoreChunk),
}

impl Raft {
    /// The one task that writes. Whatever came up while the disk was busy is written with one sync.
    pub(super) async fn writes(self, mut todo: mpsc::UnboundedReceiver<Job>) {
        while let Some(job) = todo.recv().await {
            if buggify!("raft.late-write") {
                time::sleep(rand::duration(Duration::ZERO, LATE)).await;
            }
            let mut next = Some(job);
            let (mut batch, mut written) = (None, Vec::new());
            while let Some(job) = next {
                match job {
                    Job::Write(persist) => {
                        let record = self.disk(|disk| disk.append(&persist)).and_then(|record| record);
                        batch = Some(Batch { number: persist.number, record });
                        written.extend(persist.entries.iter().map(|entry| (entry.index, entry.term)));
                        next = if buggify!("raft.unshared-sync") { None } else { todo.try_recv().ok() };
                        continue;
                    }
                    other => {
                        if let Err(error) =
                            self.finish(batch.take(), &mut written).await.and(self.snapshot(other).await)
                        {
                            return self.fail(error);
                        }
                    }
                }
                next = todo.try_recv().ok();
            }
            if let Err(error) = self.finish(batch, &mut written).await {
                return self.fail(error);
            }
        }
    }

    async fn finish(&self, batch: Option<Batch>, written: &mut Vec<(Index, Term)>) -> Result<(), StorageError> {
        let Some(Batch { number, record }) = batch else { return Ok(()) };
        let store = self.disk(|disk| disk.store())?;
        store.wal().sync(record?).await?;
        for (index, term) in written.drain(..) {
            self.disk(|disk| disk.report(self.group(), index, term))?;
        }
        self.with(|core| core.wrote(number));
        Ok(())
    }

    async fn snapshot(&self, job: Job) -> Result<(), StorageError> {
        match job {
            Job::Write(_) => Ok(()),
            Job::Compact(new) => self.store_own(new).await,
            Job::Store(chunk) => self.store_chunk(chunk).await,
        }
    }

    /// The disk, unless the server is closed.
    pub(super) fn disk<R>(&self, f: impl FnOnce(&mut Disk) -> R) -> Result<R, StorageError> {
        self.0.state.borrow_mut().disk.as_mut().map(f).ok_or(StorageError::Poisoned)
    }

    /// Stops the server because its disk failed.
    pub fn fail(&self, error: StorageError) {
        tracing::warn!(%error, "the server stops");
        let state = &mut *self.0.state.borrow_mut();
        state.stopped.get_or_insert(error);
        state.reads.clear();
        self.0.leads.borrow_mut().take();
        self.0.stops.notify_waiters();
    }
}
