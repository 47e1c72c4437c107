//! Linearizable reads without log entries: ReadIndex (thesis, section 6.4) and leader leases (section 6.4.1).
//!
//! A leader knows the commit index once it has committed an entry of its own term. When a quorum acknowledges a heartbeat
//! round that was sent after a read arrived, no later leader had been elected when the read arrived. The commit index at
//! that time is therefore the read index. All pending reads share one round.

use std::collections::VecDeque;

use sim::{buggify, planted, reachable, sometimes};

use super::core::{Core, ReadReady, Role};
use super::message::{Body, Id, Index};

/// The origin of a read-index request, with the origin's request number.
#[derive(Clone, Copy, Debug)]
enum Asker {
    Local(u64),
    Remote(Id, u64),
}

/// The read-index requests that a leader has not answered.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    /// Requests for which no round has been sent.
    new: Vec<Asker>,
    /// The round that confirms each request, and the commit index when the round was sent.
    waiting: VecDeque<(u64, Index, Asker)>,
}

impl Reads {
    /// Answers every pending request with `None`.
    pub fn abandon(self, core: &mut Core) {
        sometimes!(!self.waiting.is_empty(), "raft: a read is abandoned because the leader steps down");
        for asker in self.new.into_iter().chain(self.waiting.into_iter().map(|(_, _, asker)| asker)) {
            core.answer(asker, None);
        }
    }
}

impl Core {
    /// Requests a read index. `request` is the caller's number for the request; a later [`Output`](super::core::Output)
    /// carries the result. A follower forwards the request to its leader. A lost message means no result, so the caller
    /// needs a timeout.
    pub fn read(&mut self, request: u64) {
        match (&mut self.role, self.leader) {
            (Role::Leader(leader), _) => leader.reads.new.push(Asker::Local(request)),
            (_, Some(leader)) => self.send(leader, Body::ReadIndex { request }),
            (_, None) => self.answer(Asker::Local(request), None),
        }
    }

    pub(super) fn on_read_index(&mut self, from: Id, request: u64) {
        match &mut self.role {
            // A server outside the membership receives no entries, so it could never apply the read index.
            // As if the request were lost: the follower's request times out.
            Role::Leader(_) if buggify!("raft.read-request-dropped") => {}
            Role::Leader(leader) if leader.progress.contains_key(&from) => {
                leader.reads.new.push(Asker::Remote(from, request));
            }
            _ => self.answer(Asker::Remote(from, request), None),
        }
    }

    fn answer(&mut self, asker: Asker, index: Option<Index>) {
        match asker {
            Asker::Local(request) => self.output.reads.push(ReadReady { request, index }),
            Asker::Remote(to, request) => self.send(to, Body::ReadIndexReply { request, index }),
        }
    }

    /// Starts the round that confirms the new requests, once the leader knows the commit index. With a valid lease the leader
    /// answers them at once.
    pub(super) fn begin_reads(&mut self) {
        let (committed, leased) = (self.log.commit_index(), self.holds_leader_lease());
        let Role::Leader(leader) = &mut self.role else { return };
        let ready = committed >= leader.term_start || planted!("raft.read-before-own-commit");
        if leader.reads.new.is_empty() || !ready {
            sometimes!(!ready && !leader.reads.new.is_empty(), "raft: a read waits for the first commit of the term");
            return;
        }
        let new = std::mem::take(&mut leader.reads.new);
        if leased {
            reachable!("raft: a read is answered within the leader lease");
        }
        if leased || planted!("raft.read-without-quorum") {
            return new.into_iter().for_each(|asker| self.answer(asker, Some(committed)));
        }
        let round = leader.round + u64::from(!planted!("raft.read-joins-an-earlier-round"));
        leader.reads.waiting.extend(new.into_iter().map(|asker| (round, committed, asker)));
        self.heartbeat();
        self.answer_reads();
    }

    /// Answers the requests whose round a quorum has acknowledged.
    pub(super) fn answer_reads(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        let confirmed = self.membership().voters.reached(|id| {
            if id == self.id { leader.round } else { leader.progress.get(&id).map_or(0, |of| of.acked_round) }
        });
        loop {
            let Role::Leader(leader) = &mut self.role else { return };
            let Some((_, index, asker)) = leader.reads.waiting.pop_front_if(|(round, ..)| *round <= confirmed) else {
                return;
            };
            self.answer(asker, Some(index));
        }
    }

    /// Whether the leader's lease is valid: no other leader can have been elected yet, as long as clocks drift by at most
    /// [`clock_drift`](super::Config::clock_drift).
    fn holds_leader_lease(&self) -> bool {
        let Role::Leader(leader) = &self.role else { return false };
        self.config.lease_reads
            && self.config.stickiness
            && (!leader.timeout_now_sent && leader.transfer.is_none() || planted!("raft.lease-survives-transfer"))
            && self.now < self.quorum_contact() + self.config.lease_ticks()
    }
}
