//! What the disk has to do, one thing after another: writes, snapshots of one's own, snapshots from a leader.

use bytes::Bytes;
use sim::sync::mpsc;
use sim::{observe, planted};

use super::disk::{Disk, write_snapshot};
use super::{Apply, Raft};
use crate::raft::core::{Persist, StoreChunk};
use crate::raft::events;
use crate::raft::message::{Index, Position, SnapshotMeta, Term};
use crate::storage::StorageError;

/// Writes that share a sync: the number of the last, and the record to wait for.
struct Batch {
    number: u64,
    record: Result<u64, StorageError>,
}

/// Something for the disk.
pub(super) enum Job {
    Write(Persist),
    Compact { index: Index, state: Bytes },
    Install { meta: SnapshotMeta, state: Bytes },
}

impl Raft {
    /// The one task that writes. Whatever came up while the disk was busy is written with one sync.
    pub(super) async fn writes(self, mut todo: mpsc::UnboundedReceiver<Job>) {
        while let Some(job) = todo.recv().await {
            let mut next = Some(job);
            let (mut batch, mut written) = (None, Vec::new());
            while let Some(job) = next {
                match job {
                    Job::Write(persist) => {
                        let record = self.disk(|disk| disk.append(&persist));
                        batch = Some(Batch { number: persist.number, record });
                        written.extend(persist.entries.iter().map(|entry| (entry.index, entry.term)));
                        next = todo.try_recv().ok();
                        continue;
                    }
                    other => {
                        if let Err(error) =
                            self.finish(batch.take(), &mut written).await.and(self.snapshot(other).await)
                        {
                            return self.stop(error);
                        }
                    }
                }
                next = todo.try_recv().ok();
            }
            if let Err(error) = self.finish(batch, &mut written).await {
                return self.stop(error);
            }
        }
    }

    async fn finish(&self, batch: Option<Batch>, written: &mut Vec<(Index, Term)>) -> Result<(), StorageError> {
        let Some(Batch { number, record }) = batch else { return Ok(()) };
        let wal = self.disk(|disk| disk.wal());
        wal.sync(record?).await?;
        for (index, term) in written.drain(..) {
            self.disk(|disk| disk.report(self.group(), index, term));
        }
        self.with(|core| core.wrote(number));
        Ok(())
    }

    async fn snapshot(&self, job: Job) -> Result<(), StorageError> {
        match job {
            Job::Write(_) => Ok(()),
            Job::Compact { index, state } => {
                let meta = {
                    let log = &self.0.state.borrow();
                    // A leader's snapshot may have come in between.
                    (index > log.snapshot.0.last.index).then(|| log.core.log().snapshot_at(index))
                };
                let Some(meta) = meta else { return Ok(()) };
                if planted!("raft.log-cut-before-snapshot") {
                    self.cut_log(meta.last).await?;
                }
                self.save(&meta, &state).await?;
                let last = meta.last;
                self.0.state.borrow_mut().snapshot = (meta, state);
                self.with(|core| core.compact(index));
                let applied = self.0.state.borrow().core.log().last_applied();
                observe!(group: self.group(), events::Compacted { index, applied });
                self.cut_log(last).await
            }
            Job::Install { meta, state } => {
                let unsaved = planted!("raft.snapshot-acked-before-sync");
                if !unsaved {
                    self.save(&meta, &state).await?;
                }
                self.0.state.borrow_mut().snapshot = (meta.clone(), state.clone());
                self.install(meta.clone(), state.clone());
                if unsaved {
                    self.save(&meta, &state).await?;
                }
                self.cut_log(meta.last).await
            }
        }
    }

    /// A leader's snapshot is durable: it becomes the state, if it is newer.
    fn install(&self, meta: SnapshotMeta, state: Bytes) {
        let Position { term, index } = meta.last;
        let is_news = self.0.state.borrow_mut().core.installed(meta);
        if is_news {
            let core = &self.0.state.borrow().core;
            observe!(group: self.group(), events::Installed { index, term, last: core.log().last().index });
            events::memberships(self.group(), core);
            let _ = self.0.applies.send(Apply::Snapshot { index, term, state });
        }
        self.pump();
    }

    /// The disk of a server that is not closed: only then its tasks run.
    fn disk<R>(&self, f: impl FnOnce(&mut Disk) -> R) -> R {
        f(self.0.state.borrow_mut().disk.as_mut().expect("the server is open"))
    }

    async fn save(&self, meta: &SnapshotMeta, state: &[u8]) -> Result<(), StorageError> {
        let snapshots = self.disk(|disk| disk.snapshots());
        let mut writer = snapshots.create(meta.last.index).await?;
        writer.write(&write_snapshot(meta, state)).await?;
        writer.commit().await
    }

    /// Cuts off what the older of the snapshots that are kept stands for.
    async fn cut_log(&self, last: Position) -> Result<(), StorageError> {
        let wal = self.disk(|disk| disk.wal());
        let (before, all) = self.disk(|disk| disk.has_snapshot(last))?;
        wal.sync(all).await?;
        wal.truncate_prefix(before).await
    }

    /// A part of a leader's snapshot.
    pub(super) fn store(&self, chunk: StoreChunk) {
        let state = &mut *self.0.state.borrow_mut();
        if chunk.offset == 0 {
            state.incoming.clear();
        }
        state.incoming.extend(&chunk.data);
        if chunk.done {
            let whole = Bytes::from(std::mem::take(&mut state.incoming));
            let _ = self.0.jobs.send(Job::Install { meta: chunk.meta, state: whole });
        } else {
            state.core.stored_chunk(chunk.meta.last, state.incoming.len() as u64);
        }
    }

    fn stop(&self, error: StorageError) {
        let state = &mut *self.0.state.borrow_mut();
        state.stopped = Some(error);
        state.reads.clear();
        self.0.stops.notify_waiters();
    }
}
