//! `InstallSnapshot` (section 7, Figure 13): snapshots for servers that lag behind the leader's log. The receiver
//! acknowledges each part, and after an interruption the sender resumes at the last acknowledged byte.

use bytes::Bytes;
use sim::{planted, reachable, sometimes};

use super::core::{Core, Role, StoreChunk};
use super::message::{Body, Id, Index, Position, Received, SnapshotMeta, Term};
use super::progress::ReplicationState;

/// A snapshot that is being received.
#[derive(Clone, Debug)]
pub struct Receiving {
    from: Id,
    meta: SnapshotMeta,
    /// The number of bytes stored, from the first on.
    stored: u64,
    /// The driver is storing a part.
    storing: bool,
    round: u64,
}

impl Core {
    /// Discards the log entries up to `index`. The driver must have a durable snapshot of the state after that entry.
    pub fn compact(&mut self, index: Index) {
        self.log.compact(index);
    }

    /// Sends a requested part of a snapshot. If `meta` is another snapshot than the requested one, the transfer starts over
    /// with that snapshot.
    pub fn send_chunk(&mut self, to: Id, meta: SnapshotMeta, offset: u64, data: Bytes, done: bool) {
        let Role::Leader(leader) = &mut self.role else { return };
        let round = leader.round;
        let Some(of) = leader.progress.get_mut(&to) else { return };
        let ReplicationState::Snapshot { last, .. } = &mut of.state else { return };
        if *last != meta.last {
            of.become_snapshot(meta.last);
        }
        if let ReplicationState::Snapshot { awaiting_reply, .. } = &mut of.state {
            *awaiting_reply = true;
        }
        self.send(to, Body::InstallSnapshot { meta, offset, data, done, round });
    }

    pub(super) fn on_install_snapshot(&mut self, from: Id, term: Term, chunk: StoreChunk, round: u64) {
        let last = chunk.meta.last;
        if term < self.term {
            return self
                .send_after_sync(from, Body::InstallSnapshotReply { last, received: Received::Bytes(0), round: 0 });
        }
        self.accept_leader(from);
        // A delayed message: installing an older snapshot would take the server back.
        if last.index <= self.log.commit_index() && !planted!("raft.stale-snapshot-taken") {
            reachable!("raft: a part of a snapshot that the receiver no longer needs is ignored");
            return self
                .send_after_sync(from, Body::InstallSnapshotReply { last, received: Received::Installed, round });
        }
        if self.receiving.as_ref().is_none_or(|receiving| receiving.meta.last != last) {
            self.receiving = Some(Receiving { from, meta: chunk.meta.clone(), stored: 0, storing: false, round });
        }
        let Some(receiving) = &mut self.receiving else { return };
        (receiving.from, receiving.round) = (from, round);
        if receiving.storing {
            return;
        }
        if chunk.offset == receiving.stored {
            receiving.storing = true;
            self.output.store.push(chunk);
        } else {
            reachable!("raft: a part of a snapshot arrives out of order");
            let received = Received::Bytes(receiving.stored);
            self.send_after_sync(from, Body::InstallSnapshotReply { last, received, round });
        }
    }

    /// Reports that the driver has stored a part, and has `total` bytes of the snapshot from the first on.
    pub fn stored_chunk(&mut self, last: Position, total: u64) {
        let Some(receiving) = self.receiving.as_mut().filter(|receiving| receiving.meta.last == last) else { return };
        receiving.storing = false;
        receiving.stored = total;
        let (to, round) = (receiving.from, receiving.round);
        self.send_after_sync(to, Body::InstallSnapshotReply { last, received: Received::Bytes(total), round });
    }

    /// Reports that the whole snapshot is durable. Returns true if the snapshot becomes the state: `lastApplied` is then its
    /// last entry. Returns false if the server has committed later entries in the meantime.
    pub fn installed(&mut self, meta: SnapshotMeta) -> bool {
        let last = meta.last;
        if let Some(receiving) = self.receiving.take_if(|receiving| receiving.meta.last == last) {
            let (to, round) = (receiving.from, receiving.round);
            self.send_after_sync(to, Body::InstallSnapshotReply { last, received: Received::Installed, round });
        }
        let is_news = last.index > self.log.commit_index() || planted!("raft.stale-snapshot-taken");
        sometimes!(!is_news, "raft: the log has overtaken a snapshot that was received");
        if is_news {
            self.log.install(meta);
        }
        is_news
    }

    pub(super) fn on_install_snapshot_reply(&mut self, from: Id, last: Position, received: Received, round: u64) {
        self.on_round_acked(from, round);
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(of) = leader.progress.get_mut(&from) else { return };
        let ReplicationState::Snapshot { last: sending, offset, awaiting_reply } = &mut of.state else { return };
        if *sending != last {
            return;
        }
        match received {
            Received::Bytes(stored) => {
                // Only progress triggers the next part at once. If every reply did, duplicated replies would multiply: each
                // would trigger a part, and each part a reply. A receiver with fewer bytes than before has started over; the
                // next heartbeat serves it.
                *awaiting_reply &= stored <= *offset;
                *offset = stored;
            }
            Received::Installed => {
                of.accepted(last.index);
                of.become_probe(last.index + 1);
                self.advance_commit_index();
            }
        }
    }
}
