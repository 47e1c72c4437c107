//! Snapshots for servers that are too far behind (section 7, Figure 13), in parts, each of which is acknowledged: after an
//! interruption the sender goes on where the receiver has come to.

use bytes::Bytes;
use sim::planted;

use super::core::{Core, Role, StoreChunk};
use super::message::{Body, Id, Index, Position, Received, SnapshotMeta, Term};
use super::progress::ReplicationState;

/// A snapshot that is being received.
#[derive(Clone, Debug)]
pub struct Receiving {
    from: Id,
    meta: SnapshotMeta,
    /// The bytes that are on the disk, without a gap.
    stored: u64,
    /// A part is being stored.
    storing: bool,
    round: u64,
}

impl Core {
    /// The entries up to `index` are not needed any more: the driver has a durable snapshot of the state after it.
    pub fn compact(&mut self, index: Index) {
        self.log.compact(index);
    }

    /// The part that was wanted. `last` says of which snapshot it really is: a newer one than was wanted begins anew.
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
        // One that is older than what the server has would take it back (a late message).
        if last.index <= self.log.commit_index() && !planted!("raft.stale-snapshot-taken") {
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
            let received = Received::Bytes(receiving.stored);
            self.send_after_sync(from, Body::InstallSnapshotReply { last, received, round });
        }
    }

    /// The driver has a part; with it `total` bytes, from the first on.
    pub fn stored_chunk(&mut self, last: Position, total: u64) {
        let Some(receiving) = self.receiving.as_mut().filter(|receiving| receiving.meta.last == last) else { return };
        receiving.storing = false;
        receiving.stored = total;
        let (to, round) = (receiving.from, receiving.round);
        self.send_after_sync(to, Body::InstallSnapshotReply { last, received: Received::Bytes(total), round });
    }

    /// The driver has the whole snapshot on its disk. True if it is the state now: everything up to its last entry counts as
    /// applied. False if the log has got further meanwhile.
    pub fn installed(&mut self, meta: SnapshotMeta) -> bool {
        let last = meta.last;
        if let Some(receiving) = self.receiving.take_if(|receiving| receiving.meta.last == last) {
            let (to, round) = (receiving.from, receiving.round);
            self.send_after_sync(to, Body::InstallSnapshotReply { last, received: Received::Installed, round });
        }
        let is_news = last.index > self.log.commit_index() || planted!("raft.stale-snapshot-taken");
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
                // Only news asks for the next part at once. If every answer did, repeated ones would multiply: each brings a
                // part, and each part an answer. One that has less than before began anew, and is served at the next heartbeat.
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
