//! Elections: section 5.2 and 5.4.1; pre-vote, thesis, section 9.6; disruptive servers, thesis, section 4.2.3.

use std::collections::BTreeMap;

use sim::planted;

use super::core::{Core, Role};
use super::message::{Body, Id, Position, Term};
use super::quorum::VoteResult;

impl Core {
    /// The election timeout is over, or the leader asked for it.
    pub(super) fn on_election_timeout(&mut self) {
        if !self.log.is_promotable(self.id) {
            return self.reset_election_timer();
        }
        if self.config.pre_vote { self.start_pre_vote() } else { self.start_election(false) }
    }

    /// Asks whether an election could be won, without disturbing anybody with a higher term.
    fn start_pre_vote(&mut self) {
        self.reset_election_timer();
        self.leader = None;
        self.role = Role::PreCandidate(BTreeMap::new());
        let last = self.log.last();
        for to in self.other_voters() {
            self.send_in(self.term + 1, to, Body::PreVote { last });
        }
        self.on_pre_vote_reply(self.id, self.term + 1, true);
    }

    /// Figure 2, Candidates: a new term, a vote for itself, and everybody asked for theirs.
    pub(super) fn start_election(&mut self, transfer: bool) {
        self.reset_election_timer();
        self.term += 1;
        self.voted_for = Some(self.id);
        self.leader = None;
        self.role = Role::Candidate(BTreeMap::new());
        let last = self.log.last();
        for to in self.other_voters() {
            let ask = Body::RequestVote { last, transfer };
            match planted!("raft.candidate-before-sync") {
                true => self.send(to, ask),
                false => self.send_after_sync(to, ask),
            }
        }
        // Its own vote counts when it is on the disk, as anybody's.
        self.send_after_sync(self.id, Body::RequestVoteReply { granted: true });
    }

    fn other_voters(&self) -> Vec<Id> {
        self.membership().voters.voters().filter(|&voter| voter != self.id).collect()
    }

    /// Whether it has heard from a leader so lately that it votes for nobody else. One that has just started may have, too:
    /// it does not remember, and a leader may hold a lease on it.
    pub(super) fn in_leader_lease(&self) -> bool {
        self.config.stickiness
            && (self.is_leader() || self.now - self.leader_heard_at < self.config.election_ticks)
            && (self.leader.is_some() || self.config.lease_reads && !planted!("raft.lease-forgotten-by-restart"))
    }

    pub(super) fn on_pre_vote(&mut self, from: Id, term: Term, last: Position) {
        let granted = term > self.term && last.is_up_to_date(self.log.last()) && !self.in_leader_lease();
        // A granting is about the term to be, a refusal names the present one.
        let answer_in = if granted { term } else { self.term };
        self.send_in(answer_in, from, Body::PreVoteReply { granted });
    }

    pub(super) fn on_pre_vote_reply(&mut self, from: Id, term: Term, granted: bool) {
        let next = self.term + 1;
        let Role::PreCandidate(votes) = &mut self.role else { return };
        if granted && term != next {
            return;
        }
        votes.insert(from, granted);
        let votes = votes.clone();
        match self.membership().voters.tally(|voter| votes.get(&voter).copied()) {
            VoteResult::Won => self.start_election(false),
            VoteResult::Lost => self.become_follower(self.term),
            VoteResult::Pending => {}
        }
    }

    /// Figure 2, RequestVote, receiver.
    pub(super) fn on_request_vote(&mut self, from: Id, term: Term, last: Position) {
        let granted = term == self.term
            && (self.voted_for.is_none_or(|voted_for| voted_for == from) || planted!("raft.votes-twice"))
            && last.is_up_to_date(self.log.last());
        if granted {
            self.voted_for = Some(from);
        }
        // Only who gives its vote waits anew: a candidate that cannot win must not keep others from standing.
        if granted && !planted!("raft.grant-keeps-the-timer") || planted!("raft.denied-vote-resets-the-timer") {
            self.reset_election_timer();
        }
        match planted!("raft.vote-before-sync") {
            true => self.send(from, Body::RequestVoteReply { granted }),
            false => self.send_after_sync(from, Body::RequestVoteReply { granted }),
        }
    }

    pub(super) fn on_request_vote_reply(&mut self, from: Id, granted: bool) {
        let Role::Candidate(votes) = &mut self.role else { return };
        votes.insert(from, granted);
        let votes = votes.clone();
        match self.membership().voters.tally(|voter| votes.get(&voter).copied()) {
            VoteResult::Won => self.become_leader(),
            VoteResult::Lost => self.become_follower(self.term),
            VoteResult::Pending => {}
        }
    }

    /// The leader wants this server to take its place: it stands at once, without asking who would vote.
    pub(super) fn on_timeout_now(&mut self, from: Id) {
        if self.leader == Some(from) && self.log.is_promotable(self.id) {
            self.start_election(true);
        }
    }
}
