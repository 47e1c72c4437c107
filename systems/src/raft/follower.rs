//! The receiver of `AppendEntries` (Figure 2; section 5.3).

use sim::planted;

use super::core::{Core, Role};
use super::message::{Body, Entry, Id, Index, Position, Term};

impl Core {
    pub(super) fn on_append_entries(
        &mut self,
        from: Id,
        term: Term,
        prev: Position,
        entries: Vec<Entry>,
        commit: Index,
        round: u64,
    ) {
        if term < self.term && !planted!("raft.stale-leader-accepted") {
            if planted!("raft.stale-append-resets-the-timer") {
                self.reset_election_timer();
            }
            // The refusal tells a deposed leader the current term. No leader waits for round 0.
            let conflict = self.log.conflict(prev.index);
            return self.send_after_sync(from, Body::AppendEntriesReply { result: Err(conflict), round: 0 });
        }
        if matches!(self.role, Role::Candidate(_)) && planted!("raft.candidate-ignores-the-leader") {
            return;
        }
        self.accept_leader(from);
        let start = self.log.snapshot().last.index;
        // Entries within the snapshot are committed, so every leader's log has the same entries there.
        let unchecked = entries.is_empty() && planted!("raft.heartbeat-without-log-check");
        let result = if prev.index < start || self.log.contains(prev) || unchecked {
            let last_new = prev.index + entries.len() as u64;
            if planted!("raft.late-append-truncates") && prev.index >= self.log.commit_index() {
                self.log.truncate_from(prev.index + 1);
            }
            self.log.append_from_leader(entries);
            // Figure 2, rule 5: entries after `last_new` may stem from other leaders, so they are not committed by this message.
            self.log.commit(commit.min(last_new).max(self.log.commit_index()));
            match planted!("raft.acks-unmatched-entries") {
                true => Ok(self.log.last().index),
                false => Ok(last_new.max(start)),
            }
        } else {
            Err(self.log.conflict(prev.index))
        };
        match planted!("raft.append-before-sync") {
            true => self.send(from, Body::AppendEntriesReply { result, round }),
            false => self.send_after_sync(from, Body::AppendEntriesReply { result, round }),
        }
    }
}
