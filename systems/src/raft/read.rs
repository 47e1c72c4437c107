//! Reads that see every write completed before them, without going through the log: ReadIndex (thesis, section 6.4) and
//! leases (6.4.1).
//!
//! A leader that has committed an entry of its own term knows what is committed. If a quorum answers a round that it sent
//! after the read was asked for, nobody else had been elected by then, and its commit index is recent enough. All reads that
//! wait share one round.

use std::collections::VecDeque;

use sim::planted;

use super::core::{Core, ReadReady, Role};
use super::message::{Body, Id, Index};

/// Who asked.
#[derive(Clone, Copy, Debug)]
enum Asker {
    Here(u64),
    At(Id, u64),
}

/// The reads that a leader has not answered.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    /// Not begun: the round that will prove them has not been sent.
    new: Vec<Asker>,
    /// By the round that proves them, and the commit index at that time.
    waiting: VecDeque<(u64, Index, Asker)>,
}

impl Reads {
    /// Tells everybody that there is no answer.
    pub fn abandon(self, core: &mut Core) {
        for asker in self.new.into_iter().chain(self.waiting.into_iter().map(|(_, _, asker)| asker)) {
            core.answer(asker, None);
        }
    }
}

impl Core {
    /// Asks for the index that must be applied before a read, under a number of the caller's: the answer is in a later
    /// output. A follower asks its leader. Without an answer, ask again.
    pub fn read(&mut self, request: u64) {
        match (&mut self.role, self.leader) {
            (Role::Leader(leader), _) => leader.reads.new.push(Asker::Here(request)),
            (_, Some(leader)) => self.send(leader, Body::ReadIndex { request }),
            (_, None) => self.answer(Asker::Here(request), None),
        }
    }

    pub(super) fn on_read_index(&mut self, from: Id, request: u64) {
        match &mut self.role {
            // One that is no member hears of no more entries, and would wait for them.
            Role::Leader(leader) if leader.progress.contains_key(&from) => {
                leader.reads.new.push(Asker::At(from, request));
            }
            _ => self.answer(Asker::At(from, request), None),
        }
    }

    fn answer(&mut self, asker: Asker, index: Option<Index>) {
        match asker {
            Asker::Here(request) => self.output.reads.push(ReadReady { request, index }),
            Asker::At(to, request) => self.send(to, Body::ReadIndexReply { request, index }),
        }
    }

    /// Sends the round that proves the new reads, if the leader knows what is committed; with a lease it needs no proof.
    pub(super) fn begin_reads(&mut self) {
        let (committed, leased) = (self.log.commit_index(), self.holds_leader_lease());
        let Role::Leader(leader) = &mut self.role else { return };
        let ready = committed >= leader.term_start || planted!("raft.read-before-own-commit");
        if leader.reads.new.is_empty() || !ready {
            return;
        }
        let new = std::mem::take(&mut leader.reads.new);
        if leased || planted!("raft.read-without-quorum") {
            return new.into_iter().for_each(|asker| self.answer(asker, Some(committed)));
        }
        let round = leader.round + u64::from(!planted!("raft.read-joins-an-earlier-round"));
        leader.reads.waiting.extend(new.into_iter().map(|asker| (round, committed, asker)));
        self.heartbeat();
        self.answer_reads();
    }

    /// Answers the reads whose round a quorum has answered.
    pub(super) fn answer_reads(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        let proved = self.membership().voters.reached(|id| {
            if id == self.id { leader.round } else { leader.progress.get(&id).map_or(0, |of| of.acked_round) }
        });
        loop {
            let Role::Leader(leader) = &mut self.role else { return };
            let Some((_, index, asker)) = leader.reads.waiting.pop_front_if(|(round, ..)| *round <= proved) else {
                return;
            };
            self.answer(asker, Some(index));
        }
    }

    /// Whether no other leader can have been elected by now, if clocks drift no more than they may.
    fn holds_leader_lease(&self) -> bool {
        let Role::Leader(leader) = &self.role else { return false };
        self.config.lease_reads
            && self.config.stickiness
            && (!leader.timeout_now_sent && leader.transfer.is_none() || planted!("raft.lease-survives-transfer"))
            && self.now < self.quorum_contact() + self.config.lease_ticks()
    }
}
