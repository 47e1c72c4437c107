//! Leader election (sections 5.2 and 5.4.1), pre-vote (thesis, section 9.6) and disruptive servers (thesis, section 4.2.3).

use std::collections::BTreeMap;

use sim::{buggify, planted, reachable, sometimes};

use super::core::{Core, Role};
use super::message::{Body, Id, Position, Term};
use super::quorum::VoteResult;

impl Core {
    /// The election timeout elapsed: starts a pre-vote, or an election if pre-votes are off.
    pub(super) fn on_election_timeout(&mut self) {
        if !self.log.is_promotable(self.id) {
            return self.reset_election_timer();
        }
        sometimes!(matches!(self.role, Role::Candidate(_)), "raft: an election ends without a winner");
        if self.config.pre_vote { self.start_pre_vote() } else { self.start_election(false) }
    }

    /// Asks the voters whether the server could win an election. No server's term rises.
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

    /// Figure 2, Candidates: increments the term, votes for itself, resets the election timer and requests votes.
    /// `transfer` marks an election that the leader asked for with `TimeoutNow`.
    pub(super) fn start_election(&mut self, transfer: bool) {
        self.reset_election_timer();
        self.term += 1;
        self.voted_for = Some(self.id);
        self.leader = None;
        self.role = Role::Candidate(BTreeMap::new());
        let last = self.log.last();
        for to in self.other_voters() {
            let request = Body::RequestVote { last, transfer };
            match planted!("raft.candidate-before-sync") {
                true => self.send(to, request),
                false => self.send_after_sync(to, request),
            }
        }
        // The candidate's own vote counts once it is durable, like every other vote.
        self.send_after_sync(self.id, Body::RequestVoteReply { granted: true });
    }

    fn other_voters(&self) -> Vec<Id> {
        self.membership().voters.voters().filter(|&voter| voter != self.id).collect()
    }

    /// Whether the server must refuse votes because a leader may hold a lease on it: the server heard from a leader within
    /// the minimum election timeout. With lease reads, a server that started within that time refuses votes too, because it
    /// cannot know when it last heard from a leader.
    pub(super) fn in_leader_lease(&self) -> bool {
        self.config.stickiness
            && (self.is_leader() || self.now - self.leader_heard_at < self.config.election_ticks)
            && (self.leader.is_some() || self.config.lease_reads && !planted!("raft.lease-forgotten-by-restart"))
    }

    pub(super) fn on_pre_vote(&mut self, from: Id, term: Term, last: Position) {
        let up_to_date = last.is_up_to_date(self.log.last());
        sometimes!(!up_to_date, "raft: a pre-vote is refused because the candidate's log is behind");
        sometimes!(self.in_leader_lease(), "raft: a pre-vote is refused within the leader lease");
        let granted =
            term > self.term && up_to_date && !self.in_leader_lease() && !buggify!("raft.needless-pre-vote-refusal");
        // A granted pre-vote names the candidate's future term; a refusal names this server's term.
        let reply_term = if granted { term } else { self.term };
        self.send_in(reply_term, from, Body::PreVoteReply { granted });
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
            VoteResult::Lost => {
                reachable!("raft: a pre-vote is lost");
                self.become_follower(self.term);
            }
            VoteResult::Pending => {}
        }
    }

    /// Figure 2, RequestVote RPC, receiver implementation.
    pub(super) fn on_request_vote(&mut self, from: Id, term: Term, last: Position) {
        let granted = term == self.term
            && (self.voted_for.is_none_or(|voted_for| voted_for == from) || planted!("raft.votes-twice"))
            && last.is_up_to_date(self.log.last());
        sometimes!(
            term == self.term && self.voted_for.is_some_and(|voted_for| voted_for != from),
            "raft: a second candidate of a term is refused"
        );
        if granted {
            self.voted_for = Some(from);
        }
        // Only a granted vote resets the timer: a candidate that cannot win must not delay the others' elections.
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

    /// The leader transfers its leadership to this server, which starts an election without a pre-vote.
    pub(super) fn on_timeout_now(&mut self, from: Id) {
        if self.leader == Some(from) && self.log.is_promotable(self.id) {
            self.start_election(true);
        }
    }
}
