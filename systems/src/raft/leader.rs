//! The leader: log replication (section 5.3), the commit rule (5.4.2), leadership transfer and stepping down.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use sim::{buggify, planted, reachable, sometimes};

use super::core::{ChunkWanted, Core, Role};
use super::membership::{ChangeError, Membership, Target};
use super::message::{Body, Conflict, Entry, Id, Index, Payload, Term};
use super::progress::{Progress, ReplicationState};
use super::quorum::Majority;
use super::read::Reads;

/// The volatile state of a leader (Figure 2), with heartbeat rounds, pending reads and a leadership transfer.
#[derive(Clone, Debug)]
pub struct Leader {
    /// `nextIndex` and `matchIndex` of every other member.
    pub(super) progress: BTreeMap<Id, Progress>,
    /// The number of the latest heartbeat round, from 1. Appends between two rounds carry the number of the earlier round.
    pub(super) round: u64,
    /// Number and send tick of the rounds that may still be acknowledged, oldest first.
    rounds: VecDeque<(u64, u64)>,
    pub(super) reads: Reads,
    /// The index of the first entry of this leader's term. The leader knows the commit index once this entry is committed.
    pub(super) term_start: Index,
    /// The target of a leadership transfer, and the tick at which the transfer is given up.
    pub(super) transfer: Option<(Id, u64)>,
    /// Whether a `TimeoutNow` was sent in this term. The message may arrive at any later time, and the election that it causes
    /// ignores leader leases. So this leader has no lease for the rest of its term.
    pub(super) timeout_now_sent: bool,
    /// The total size of the uncommitted commands.
    uncommitted_bytes: usize,
}

/// The reason why a proposal was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// This server is not the leader.
    #[error("not the leader")]
    NotLeader {
        /// The leader of the current term, if known.
        leader: Option<Id>,
    },
    /// The command was forwarded to the leader. Its outcome is unknown until it appears in the log.
    #[error("forwarded to the leader")]
    Forwarded,
    /// A leadership transfer is in progress.
    #[error("leadership is being transferred")]
    Transferring,
    /// The uncommitted commands exceed [`max_uncommitted_bytes`](super::Config::max_uncommitted_bytes).
    #[error("too many uncommitted bytes")]
    Full,
}

impl Core {
    /// Appends a command to the leader's log and returns the index and term of its entry. The command is committed if an
    /// entry of that term is applied at that index. The command is lost if an entry of another term is applied there.
    pub fn propose(&mut self, command: Bytes) -> Result<(Index, Term), ProposeError> {
        let limit = self.config.max_uncommitted_bytes;
        let Role::Leader(leader) = &mut self.role else {
            return Err(match self.leader {
                Some(to) if self.config.forward => {
                    self.send(to, Body::Propose { command });
                    ProposeError::Forwarded
                }
                leader => ProposeError::NotLeader { leader },
            });
        };
        if leader.transfer.is_some() && !planted!("raft.proposes-during-transfer") {
            return Err(ProposeError::Transferring);
        }
        if leader.uncommitted_bytes > 0 && leader.uncommitted_bytes + command.len() > limit {
            return Err(ProposeError::Full);
        }
        leader.uncommitted_bytes += command.len();
        Ok((self.append(Payload::Command(command)), self.term))
    }

    /// Starts a membership change by joint consensus (section 6): the leader appends the joint membership, and appends the
    /// target membership once the joint membership is committed. Returns the index of the first entry.
    pub fn change_membership(&mut self, target: &Target) -> Result<Index, ChangeError> {
        let Role::Leader(leader) = &self.role else { return Err(ChangeError::NotLeader) };
        if self.log.membership_index() > self.log.commit_index() {
            return Err(ChangeError::UnderWay);
        }
        if self.log.term(self.log.commit_index()) != Some(self.term) {
            return Err(ChangeError::NotYetCommitted);
        }
        let next = self.membership().enter_joint(target)?;
        let enough = self.log.last().index.saturating_sub(self.config.catch_up);
        let behind = |id: &&Id| **id != self.id && leader.progress.get(id).is_none_or(|of| of.match_index < enough);
        let had_a_vote = |id: &Id| self.membership().voters.has(*id);
        if let Some(&id) = target.voters.iter().filter(|id| !had_a_vote(id)).find(behind) {
            return Err(ChangeError::Behind(id));
        }
        Ok(self.append_membership(next))
    }

    fn append_membership(&mut self, membership: Membership) -> Index {
        let index = self.append(Payload::Membership(membership));
        self.update_progress_set();
        index
    }

    /// Starts a leadership transfer: sends `TimeoutNow` to the voter `to` once that server has the whole log (thesis,
    /// section 3.10). During the transfer the leader rejects proposals and has no lease. The transfer is given up after
    /// [`election_ticks`](super::Config::election_ticks). Returns false if this server is not the leader, `to` is not another
    /// voter, or a transfer is in progress.
    pub fn transfer_leadership(&mut self, to: Id) -> bool {
        let until = self.now + self.config.election_ticks;
        let can = to != self.id && self.membership().voters.has(to);
        let Role::Leader(leader) = &mut self.role else { return false };
        if !can || leader.transfer.is_some() {
            return false;
        }
        leader.transfer = Some((to, until));
        self.send_timeout_now_if_caught_up();
        true
    }

    /// Whether a leadership transfer is in progress.
    pub fn is_transferring(&self) -> bool {
        matches!(&self.role, Role::Leader(leader) if leader.transfer.is_some())
    }

    /// The leader's progress record of another member; `None` on other servers.
    pub fn progress(&self, of: Id) -> Option<&Progress> {
        let Role::Leader(leader) = &self.role else { return None };
        leader.progress.get(&of)
    }

    fn send_timeout_now_if_caught_up(&mut self) {
        let last = self.log.last().index;
        let Role::Leader(leader) = &self.role else { return };
        if let Some((to, _)) = leader.transfer
            && leader
                .progress
                .get(&to)
                .is_some_and(|of| of.match_index == last || planted!("raft.transfer-before-caught-up"))
        {
            if let Role::Leader(leader) = &mut self.role {
                leader.timeout_now_sent = true;
            }
            self.send(to, Body::TimeoutNow);
        }
    }

    /// Figure 2, Leaders: after winning an election, starts replication with a round of heartbeats.
    pub(super) fn become_leader(&mut self) {
        self.leader = Some(self.id);
        let term_start = self.log.last().index + 1;
        let uncommitted_bytes =
            self.log.entries(self.log.commit_index() + 1, usize::MAX).iter().map(command_bytes).sum();
        self.role = Role::Leader(Box::new(Leader {
            progress: BTreeMap::new(),
            round: 0,
            rounds: VecDeque::new(),
            reads: Reads::default(),
            term_start,
            transfer: None,
            timeout_now_sent: false,
            uncommitted_bytes,
        }));
        self.timer_reset_at = self.now;
        self.update_progress_set();
        // A joint membership of an earlier leader is left once an entry of this term is committed.
        if self.config.noop || self.membership().is_joint() {
            self.append(Payload::Noop);
        }
        self.heartbeat();
    }

    /// Brings the set of progress records in line with the membership in force.
    pub(super) fn update_progress_set(&mut self) {
        let members = self.log.membership().members().filter(|&member| member != self.id).collect::<Vec<_>>();
        let (next, now) = (self.log.last().index + 1, self.now);
        let Role::Leader(leader) = &mut self.role else { return };
        leader.progress.retain(|id, _| members.contains(id));
        for member in members {
            leader.progress.entry(member).or_insert_with(|| Progress::new(next, now));
        }
    }

    pub(super) fn tick_heartbeat(&mut self) {
        let (now, config) = (self.now, &self.config);
        let Role::Leader(leader) = &mut self.role else { return };
        if leader.transfer.is_some_and(|(_, until)| now >= until) {
            reachable!("raft: a leadership transfer is given up");
            // The target did not take over in time: resume taking proposals.
            leader.transfer = None;
        }
        if config.check_quorum && now - self.timer_reset_at >= config.election_ticks {
            self.timer_reset_at = now;
            if now - self.quorum_contact() > self.config.election_ticks {
                reachable!("raft: a leader without a quorum steps down");
                return self.become_follower(self.term);
            }
            if buggify!("raft.needless-step-down") {
                return self.become_follower(self.term);
            }
        }
        if self.now.is_multiple_of(self.config.heartbeat_ticks) {
            self.heartbeat();
        }
    }

    /// The send tick of the latest round that a quorum has acknowledged.
    pub(super) fn quorum_contact(&self) -> u64 {
        let Role::Leader(leader) = &self.role else { return 0 };
        self.membership().voters.reached(|id| {
            if id == self.id { self.now } else { leader.progress.get(&id).map_or(0, |of| of.round_sent_at) }
        })
    }

    /// Starts a heartbeat round: sends every member the entries that it may lack, or an empty `AppendEntries`.
    pub(super) fn heartbeat(&mut self) {
        let keep = 2 * self.config.election_ticks;
        let now = self.now;
        let Role::Leader(leader) = &mut self.role else { return };
        leader.round += 1;
        leader.rounds.push_back((leader.round, now));
        while leader.rounds.pop_front_if(|(_, at)| *at + keep < now).is_some() {}
        for of in leader.progress.values_mut() {
            of.resume();
            // Takes the appends in flight for lost and sends the entries again.
            if of.state == ReplicationState::Replicate && buggify!("raft.needless-resend") {
                of.become_probe(of.match_index + 1);
            }
        }
        let members: Vec<Id> = leader.progress.keys().copied().collect();
        for to in members {
            if !self.send_append(to) {
                self.send_heartbeat(to);
            }
        }
        self.send_timeout_now_if_caught_up();
    }

    /// Sends an `AppendEntries` without entries.
    fn send_heartbeat(&mut self, to: Id) {
        let commit = self.log.commit_index();
        let Role::Leader(leader) = &mut self.role else { return };
        let round = leader.round;
        let Some(of) = leader.progress.get_mut(&to) else { return };
        of.sent_commit = commit;
        // A server that receives a snapshot has no entry before `next_index`, but surely the one at `match_index`.
        let at = if matches!(of.state, ReplicationState::Snapshot { .. }) { of.match_index } else { of.next_index - 1 };
        let prev = self.log.position(at).unwrap_or_else(|| self.log.snapshot().last);
        self.send(to, Body::AppendEntries { prev, entries: Vec::new(), commit, round });
    }

    /// Sends the next entries, or requests the next part of the snapshot from the driver. Returns whether a message was sent:
    /// there may be nothing to send, or the window of messages in flight may be full.
    fn send_append(&mut self, to: Id) -> bool {
        let last = self.log.last().index;
        let snapshot = self.log.snapshot().last;
        let commit = self.log.commit_index();
        let Role::Leader(leader) = &mut self.role else { return false };
        let round = leader.round;
        let Some(of) = leader.progress.get_mut(&to) else { return false };
        if let ReplicationState::Snapshot { last, offset, awaiting_reply } = &mut of.state {
            if !*awaiting_reply {
                *awaiting_reply = true;
                self.output.wanted.push(ChunkWanted { to, last: *last, offset: *offset });
            }
            return false;
        }
        let has_room = of.has_room(&self.config);
        if of.next_index > last && !matches!(of.state, ReplicationState::Probe { awaiting_reply: false }) || !has_room {
            let is_full = !has_room && of.state == ReplicationState::Replicate;
            sometimes!(is_full, "raft: the window of appends in flight is full");
            return false;
        }
        // A follower that lacks entries can be sent the snapshot although the log still has these entries.
        let needless = |of: &Progress| of.match_index < snapshot.index && buggify!("raft.needless-snapshot");
        let Some(prev) = self.log.position(of.next_index - 1).filter(|_| !needless(of)) else {
            of.become_snapshot(snapshot);
            return self.send_append(to);
        };
        let limit = if buggify!("raft.one-entry-append") { 1 } else { self.config.max_append_bytes };
        let entries = self.log.entries(of.next_index, limit).to_vec();
        of.sent_commit = commit;
        of.sent_entries(of.next_index - 1 + entries.len() as u64, entries.iter().map(Entry::size).sum());
        self.send(to, Body::AppendEntries { prev, entries, commit, round });
        true
    }

    /// Sends all pending entries and commit indexes, just before the driver takes the output.
    pub(super) fn before_output(&mut self) {
        self.begin_reads();
        let last = self.log.last().index;
        let Role::Leader(leader) = &mut self.role else { return };
        let behind = |of: &Progress| {
            of.next_index <= last || matches!(of.state, ReplicationState::Snapshot { awaiting_reply: false, .. })
        };
        let members: Vec<(Id, bool)> = leader.progress.iter().map(|(&id, of)| (id, behind(of))).collect();
        for (to, behind) in members {
            let mut sent = false;
            // What is not sent now goes out with the next heartbeat.
            if behind && buggify!("raft.late-append") {
                continue;
            }
            while behind && self.send_append(to) {
                sent = true;
            }
            // Without this message an idle follower would learn the commit index only from the next heartbeat.
            let Role::Leader(leader) = &self.role else { return };
            let committed = self.log.commit_index();
            let lacks_commit =
                |of: &Progress| of.state == ReplicationState::Replicate && of.is_idle() && of.sent_commit < committed;
            if !sent && leader.progress.get(&to).is_some_and(lacks_commit) && !buggify!("raft.late-commit-index") {
                self.send_heartbeat(to);
            }
        }
    }

    /// Handles the acknowledgement of `round`. The sender accepted this server as the leader after the round was sent.
    pub(super) fn on_round_acked(&mut self, from: Id, round: u64) {
        let Role::Leader(leader) = &mut self.role else { return };
        let sent = leader.rounds.iter().find(|(of, _)| *of == round).map(|(_, at)| *at);
        let Some(of) = leader.progress.get_mut(&from) else { return };
        of.acked_round = of.acked_round.max(round);
        let sent = if planted!("raft.lease-from-reply-time") { Some(self.now) } else { sent };
        of.round_sent_at = of.round_sent_at.max(sent.unwrap_or(0));
        self.answer_reads();
    }

    /// Figure 2, Leaders: handles the result of an `AppendEntries`.
    pub(super) fn on_append_entries_reply(&mut self, from: Id, result: Result<Index, Conflict>, round: u64) {
        self.on_round_acked(from, round);
        let last = self.log.last().index;
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(of) = leader.progress.get_mut(&from) else { return };
        match result {
            Ok(matched) => {
                let matched = if planted!("raft.match-index-from-next-index") { of.next_index - 1 } else { matched };
                // A follower cannot match entries that the leader's log does not have.
                assert!(matched <= last, "{matched} of {last} entries");
                if of.accepted(matched) {
                    self.advance_commit_index();
                }
                self.send_timeout_now_if_caught_up();
            }
            Err(conflict) if !of.is_stale(conflict.refused) => {
                let from = self.log.next_index_after(conflict);
                sometimes!(from < conflict.refused, "raft: a refusal lets the leader skip entries");
                of.become_probe(from);
            }
            Err(_) => reachable!("raft: a stale refusal is ignored"),
        }
    }

    /// Advances `commitIndex` to the highest index that a quorum has on disk, if the entry there is of the leader's own term
    /// (Figure 2, Leaders). Entries of earlier terms are committed with it, never by counting replicas (section 5.4.2,
    /// Figure 8).
    pub(super) fn advance_commit_index(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        let reached = self.membership().voters.reached(|id| {
            let own = if planted!("raft.leader-counts-unsynced") { self.log.last().index } else { self.log.durable() };
            if id == self.id { own } else { leader.progress.get(&id).map_or(0, |of| of.match_index) }
        });
        let reached = match planted!("raft.learners-count") {
            true => self.membership().members().collect::<Majority>().reached(|id| {
                if id == self.id { self.log.durable() } else { leader.progress.get(&id).map_or(0, |of| of.match_index) }
            }),
            false => reached,
        };
        let before = self.log.commit_index();
        let own_term = self.log.term(reached) == Some(self.term);
        sometimes!(reached > before && !own_term, "raft: a quorum has an entry of an earlier term, not yet committed");
        let own_term = own_term || planted!("raft.commits-earlier-terms");
        if reached > before && own_term && self.log.commit(reached) {
            let bytes: usize =
                self.log.entries(before + 1, usize::MAX)[..(reached - before) as usize].iter().map(command_bytes).sum();
            if let Role::Leader(leader) = &mut self.role {
                leader.uncommitted_bytes -= bytes;
            }
            self.begin_reads();
            self.after_commit();
        }
    }

    /// Leaves a committed joint membership. A leader that is no voter of the committed membership steps down (section 6).
    fn after_commit(&mut self) {
        if self.log.membership_index() > self.log.commit_index() {
            return;
        }
        if self.membership().is_joint() {
            reachable!("raft: a joint membership is committed");
            let left = self.membership().leave_joint();
            self.append_membership(left);
        } else if !self.membership().voters.has(self.id) {
            reachable!("raft: a leader that is no voter any more steps down");
            // The other members need the new commit index before this leader steps down.
            self.heartbeat();
            self.become_follower(self.term);
        }
    }

    /// Stops leading: fails the pending reads and resets the election timer.
    pub(super) fn step_down(&mut self, leader: Leader) {
        sometimes!(
            leader.transfer.is_some() && leader.timeout_now_sent,
            "raft: a leader steps down after it has sent TimeoutNow"
        );
        sometimes!(
            self.log.last().index > self.log.commit_index(),
            "raft: a leader steps down with uncommitted entries"
        );
        leader.reads.abandon(self);
        self.reset_election_timer();
    }
}

fn command_bytes(entry: &Entry) -> usize {
    match &entry.payload {
        Payload::Command(bytes) => bytes.len(),
        _ => 0,
    }
}
