//! What a leader knows of another server: `nextIndex` and `matchIndex`, and how fast it may send.

use std::collections::VecDeque;

use super::config::Config;
use super::message::{Index, Position};

/// How a leader sends to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicationState {
    /// Where the logs agree is not known: one message at a time, until one is accepted.
    Probe {
        /// One is under way.
        awaiting_reply: bool,
    },
    /// The logs agree: messages follow each other without awaiting_reply for answers.
    Replicate,
    /// The log does not reach back that far any more: a snapshot is on its way, part by part.
    Snapshot {
        /// Which.
        last: Position,
        /// The bytes that have arrived.
        offset: u64,
        /// A part is under way.
        awaiting_reply: bool,
    },
}

/// What a leader knows of another server.
#[derive(Clone, Debug)]
pub struct Progress {
    /// `matchIndex`: the logs agree up to here, and the server has it on its disk.
    pub match_index: Index,
    /// `nextIndex`: what is sent next.
    pub next_index: Index,
    /// How it sends.
    pub state: ReplicationState,
    /// The highest commit index that it was told.
    pub sent_commit: Index,
    /// The latest round that was answered.
    pub acked_round: u64,
    /// When that round was sent, in ticks.
    pub round_sent_at: u64,
    /// What is under way: last index and bytes, oldest first.
    inflight: VecDeque<(Index, usize)>,
    inflight_bytes: usize,
}

impl Progress {
    /// Of a server of which nothing is known, by a leader whose log ends before `next`.
    pub fn new(next_index: Index, now: u64) -> Progress {
        Progress {
            match_index: 0,
            next_index,
            state: ReplicationState::Probe { awaiting_reply: false },
            sent_commit: 0,
            acked_round: 0,
            round_sent_at: now,
            inflight: VecDeque::new(),
            inflight_bytes: 0,
        }
    }

    /// Entries up to `last`, with so many bytes, are under way.
    pub fn sent_entries(&mut self, last: Index, bytes: usize) {
        match &mut self.state {
            ReplicationState::Probe { awaiting_reply } => *awaiting_reply = true,
            _ => {
                self.next_index = last + 1;
                self.inflight.push_back((last, bytes));
                self.inflight_bytes += bytes;
            }
        }
    }

    /// Whether nothing that was sent is unanswered.
    pub fn is_idle(&self) -> bool {
        self.inflight.is_empty()
    }

    /// Whether another message may be under way beside the others.
    pub fn has_room(&self, config: &Config) -> bool {
        match self.state {
            ReplicationState::Probe { awaiting_reply } => !awaiting_reply,
            ReplicationState::Replicate => {
                self.inflight.len() < config.max_inflight && self.inflight_bytes < config.max_inflight_bytes
            }
            ReplicationState::Snapshot { .. } => false,
        }
    }

    /// The server has everything up to `index`. True if that is news.
    pub fn accepted(&mut self, index: Index) -> bool {
        while let Some(&(_, bytes)) = self.inflight.front().filter(|(last, _)| *last <= index) {
            self.inflight.pop_front();
            self.inflight_bytes -= bytes;
        }
        let news = index > self.match_index;
        self.match_index = self.match_index.max(index);
        self.next_index = self.next_index.max(index + 1);
        match self.state {
            ReplicationState::Snapshot { last, .. } if index < last.index => {}
            ReplicationState::Replicate => {}
            _ => self.state = ReplicationState::Replicate,
        }
        news
    }

    /// Whether a refusal is about something that was sent before what is known now.
    pub fn is_stale(&self, refused: Index) -> bool {
        let is_due = match self.state {
            ReplicationState::Probe { .. } => refused + 1 == self.next_index,
            ReplicationState::Replicate => true,
            ReplicationState::Snapshot { .. } => false,
        };
        // What is matched is on the server's disk. To one that refuses that all the same, the same would be sent again at once,
        // and again.
        !is_due || refused <= self.match_index
    }

    /// Goes back to where the logs may agree.
    pub fn become_probe(&mut self, from: Index) {
        self.next_index = from.max(self.match_index + 1);
        self.reset_inflight();
        self.state = ReplicationState::Probe { awaiting_reply: false };
    }

    /// From now on it gets that snapshot, from its first byte.
    pub fn become_snapshot(&mut self, last: Position) {
        self.reset_inflight();
        self.state = ReplicationState::Snapshot { last, offset: 0, awaiting_reply: false };
    }

    /// A heartbeat is due: what was lost is sent again.
    pub fn resume(&mut self) {
        match &mut self.state {
            ReplicationState::Probe { awaiting_reply } | ReplicationState::Snapshot { awaiting_reply, .. } => {
                *awaiting_reply = false
            }
            ReplicationState::Replicate => {}
        }
    }

    fn reset_inflight(&mut self) {
        self.inflight.clear();
        self.inflight_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_one_message_and_its_acceptance_opens_the_window() {
        let config = Config { max_inflight: 2, ..Config::default() };
        let mut progress = Progress::new(5, 0);
        assert!(progress.has_room(&config));
        progress.sent_entries(4, 0);
        assert!(!progress.has_room(&config));
        assert!(progress.accepted(4));
        progress.sent_entries(5, 10);
        progress.sent_entries(6, 10);
        assert!(!progress.has_room(&config), "two are under way");
        progress.accepted(5);
        assert!(progress.has_room(&config));
        assert_eq!((progress.match_index, progress.next_index), (5, 7));
    }

    #[test]
    fn bytes_fill_the_window_too() {
        let config = Config { max_inflight_bytes: 100, ..Config::default() };
        let mut progress = Progress::new(1, 0);
        progress.accepted(0);
        progress.sent_entries(1, 100);
        assert!(!progress.has_room(&config));
    }

    #[test]
    fn late_refusals_are_told_from_real_ones() {
        let mut progress = Progress::new(10, 0);
        assert!(progress.is_stale(4) && !progress.is_stale(9));
        progress.become_probe(5);
        assert!(progress.is_stale(9) && !progress.is_stale(4));
        progress.accepted(4);
        // It is known to have 4: a refusal of that was sent before.
        assert!(progress.is_stale(4) && !progress.is_stale(6));
    }

    #[test]
    fn it_never_goes_back_behind_what_is_matched() {
        let mut progress = Progress::new(10, 0);
        progress.accepted(7);
        progress.become_probe(3);
        assert_eq!(progress.next_index, 8);
    }
}
