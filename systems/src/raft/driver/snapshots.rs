//! Snapshots on the disk: those that the state machine writes, those that come from a leader, and those that are sent.
//!
//! A snapshot is never in memory as a whole. The state machine writes its state in pieces ([`Raft::begin_snapshot`]). A leader
//! reads the pieces that it sends from its file, and a follower writes them to a draft as they come. The draft becomes a snapshot
//! when it is complete, durable, and read back; a crash before that leaves the follower as it was, and the transfer begins
//! anew. A crash of the leader costs nothing but time: another leader sends its own snapshot.
//!
//! Each piece is checked whenever it is read ([`crate::storage::snapshot`]). A server that finds a damaged one, in its own snapshot or in
//! what it has received, stops, and starts from the snapshot before and its log.

use std::collections::BTreeMap;

use sim::{buggify, observe, planted};

use super::{Apply, Raft};
use crate::raft::core::{ChunkWanted, StoreChunk};
use crate::raft::events;
use crate::raft::message::{Id, Index, Position, SnapshotMeta};
use crate::storage::StorageError;
use crate::storage::snapshot::{Snapshot, Writer};

/// The newest snapshot on the disk: what it stands for, where in its data the state begins, and how many bytes the state has.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub meta: SnapshotMeta,
    pub start: u64,
    pub len: u64,
}

impl Kept {
    /// Reads what a verified snapshot stands for. What is read next is the state.
    pub async fn read(snapshot: &mut Snapshot) -> Result<Kept, StorageError> {
        let meta = snapshot.get().await?;
        let start = snapshot.position();
        Ok(Kept { meta, start, len: snapshot.len() - start })
    }
}

/// A snapshot that is being written by the state machine, or received from a leader.
#[derive(Debug)]
pub struct NewSnapshot {
    meta: SnapshotMeta,
    /// Where the state goes.
    pub state: Writer,
    start: u64,
}

impl NewSnapshot {
    fn kept(&self) -> Kept {
        Kept { meta: self.meta.clone(), start: self.start, len: self.state.len() - self.start }
    }
}

/// The bytes of a buggified piece.
const TINY: usize = 8;

/// The pieces that followers need next: at most one for each.
pub(super) type Wanted = BTreeMap<Id, ChunkWanted>;

impl Raft {
    /// Begins a snapshot of the state after the entry at `index`, which must be applied. `None` if there is a snapshot of that
    /// entry or a later one.
    ///
    /// The state machine writes its state to [`NewSnapshot::state`] and gives it to [`Raft::compact`]. Dropped before that, it was
    /// never there.
    ///
    /// # Errors
    ///
    /// Those of the disk. Give them to [`Raft::fail`], as those of writing.
    pub async fn begin_snapshot(&self, index: Index) -> Result<Option<NewSnapshot>, StorageError> {
        let meta = {
            let state = self.0.state.borrow();
            // A leader's snapshot may have replaced the entry.
            let log = state.core.log();
            let is_there = index > state.kept.meta.last.index && log.term(index).is_some();
            is_there.then(|| log.snapshot_at(index))
        };
        match meta {
            Some(meta) => self.new_snapshot(meta).await.map(Some),
            None => Ok(None),
        }
    }

    async fn new_snapshot(&self, meta: SnapshotMeta) -> Result<NewSnapshot, StorageError> {
        let store = self.disk(|disk| disk.store())?;
        let mut state = store.begin(meta.last.index).await?;
        state.put(&meta).await?;
        let start = state.len();
        Ok(NewSnapshot { meta, state, start })
    }

    /// The state machine has written its state: makes the snapshot durable, and cuts the log.
    pub(super) async fn store_own(&self, new: NewSnapshot) -> Result<(), StorageError> {
        let (kept, last) = (new.kept(), new.meta.last);
        if last.index <= self.0.state.borrow().kept.meta.last.index {
            // A leader's snapshot has come in between.
            new.state.discard().await;
            return Ok(());
        }
        if planted!("raft.log-cut-before-snapshot") {
            self.cut_log(last, Some(last.index)).await?;
        }
        let store = self.disk(|disk| disk.store())?;
        store.commit(new.state).await?;
        self.0.state.borrow_mut().kept = kept;
        self.with(|core| core.compact(last.index));
        let applied = self.0.state.borrow().core.log().last_applied();
        observe!(group: self.group(), events::Compacted { index: last.index, applied });
        self.cut_log(last, store.older()).await
    }

    /// Stores a part of a leader's snapshot.
    pub(super) async fn store_chunk(&self, chunk: StoreChunk) -> Result<(), StorageError> {
        let StoreChunk { meta, offset, data, done } = chunk;
        let before = self.0.state.borrow_mut().incoming.take();
        let mut incoming = match before {
            Some(incoming) if offset > 0 && incoming.meta == meta => incoming,
            other => {
                if let Some(other) = other {
                    other.state.discard().await;
                }
                if offset > 0 {
                    self.with(|core| core.stored_chunk(meta.last, 0));
                    return Ok(());
                }
                self.new_snapshot(meta).await?
            }
        };
        incoming.state.write(&data).await?;
        if done {
            return self.store_received(incoming).await;
        }
        let (last, stored) = (incoming.meta.last, incoming.kept().len);
        self.0.state.borrow_mut().incoming = Some(incoming);
        self.with(|core| core.stored_chunk(last, stored));
        Ok(())
    }

    /// A leader's snapshot is complete: makes it durable, reads it back, and makes it the state.
    async fn store_received(&self, mut new: NewSnapshot) -> Result<(), StorageError> {
        let (kept, meta) = (new.kept(), new.meta.clone());
        let is_old = meta.last.index <= self.0.state.borrow().kept.meta.last.index;
        if is_old && !planted!("raft.stale-snapshot-taken") {
            new.state.discard().await;
            self.with(|core| core.installed(meta));
            return Ok(());
        }
        let store = self.disk(|disk| disk.store())?;
        if planted!("raft.snapshot-acked-before-sync") {
            new.state.finish().await?;
            let snapshot = new.state.reader().await?;
            self.install(kept, snapshot).await?;
            store.commit(new.state).await?;
        } else {
            store.commit(new.state).await?;
            let snapshot = store.snapshots().open_verified(meta.last.index).await?;
            self.install(kept, snapshot).await?;
        }
        self.cut_log(meta.last, store.older()).await
    }

    /// A leader's snapshot becomes the state, if it is newer.
    async fn install(&self, kept: Kept, mut snapshot: Snapshot) -> Result<(), StorageError> {
        snapshot.seek(kept.start).await?;
        let meta = kept.meta.clone();
        let Position { term, index } = meta.last;
        let is_news = {
            let state = &mut *self.0.state.borrow_mut();
            state.kept = kept;
            state.core.installed(meta)
        };
        if is_news {
            let core = &self.0.state.borrow().core;
            observe!(group: self.group(), events::Installed { index, term, last: core.log().last().index });
            events::memberships(self.group(), core);
            let _ = self.0.applies.send(Apply::Snapshot { index, term, state: Some(snapshot) });
        }
        self.pump();
        Ok(())
    }

    /// Cuts the log after the snapshot that ends with `last`: entries before `oldest` are not needed any more.
    async fn cut_log(&self, last: Position, oldest: Option<Index>) -> Result<(), StorageError> {
        let (store, needed) = self.disk(|disk| (disk.store(), disk.has_snapshot(last, oldest)))?;
        let (first, all) = needed?;
        store.wal().sync(all).await?;
        match first {
            Some(first) => store.cut(first).await,
            None => Ok(()),
        }
    }

    /// The task that reads the pieces that followers need from the disk.
    pub(super) async fn sends_snapshots(self) {
        let mut open: Option<(Kept, Snapshot)> = None;
        loop {
            let next = self.0.state.borrow_mut().wanted.pop_first();
            let Some((_, wanted)) = next else {
                // The file and its buffer are not kept for a follower that may never come.
                open = None;
                self.0.wants.notified().await;
                continue;
            };
            let kept = self.0.state.borrow().kept.clone();
            if let Err(error) = self.send_piece(&mut open, kept.clone(), wanted).await {
                // A newer snapshot may have replaced the file.
                if self.0.state.borrow().kept.meta.last == kept.meta.last {
                    return self.fail(error);
                }
                open = None;
                self.0.state.borrow_mut().wanted.entry(wanted.to).or_insert(wanted);
            }
        }
    }

    async fn send_piece(
        &self,
        open: &mut Option<(Kept, Snapshot)>,
        kept: Kept,
        wanted: ChunkWanted,
    ) -> Result<(), StorageError> {
        let offset = if kept.meta.last == wanted.last { wanted.offset.min(kept.len) } else { 0 };
        let (of, mut snapshot) = match open.take().filter(|(of, _)| of.meta.last == kept.meta.last) {
            Some(open) => open,
            None => {
                let store = self.disk(|disk| disk.store())?;
                let snapshot = store.snapshots().open_at(kept.meta.last.index).await?;
                (kept, snapshot)
            }
        };
        snapshot.seek(of.start + offset).await?;
        let most = if buggify!("raft.tiny-chunk") { TINY } else { self.0.options.config.snapshot_chunk.max(1) };
        let data = snapshot.read_up_to(most).await?;
        let done = offset + data.len() as u64 >= of.len;
        let meta = of.meta.clone();
        *open = Some((of, snapshot));
        self.with(|core| core.send_chunk(wanted.to, meta, offset, data.into(), done));
        Ok(())
    }
}
