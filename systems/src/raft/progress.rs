//! The leader's record of another server: `nextIndex`, `matchIndex` and flow control (etcd's `tracker/progress.go`).

use std::collections::VecDeque;

use super::config::Config;
use super::message::{Index, Position};

/// The replication state of a server, as the leader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicationState {
    /// The match is unknown: the leader sends one message at a time until the server accepts one.
    Probe {
        /// A message is in flight.
        awaiting_reply: bool,
    },
    /// The match is known: the leader pipelines messages without waiting for replies.
    Replicate,
    /// The leader's log no longer has the entries that the server lacks: the leader sends a snapshot in parts.
    Snapshot {
        /// The last entry that the snapshot includes.
        last: Position,
        /// The number of bytes that the server has acknowledged.
        offset: u64,
        /// A part is in flight.
        awaiting_reply: bool,
    },
}

/// The leader's record of another server. `0 <= match_index < next_index`.
#[derive(Clone, Debug)]
pub struct Progress {
    /// `matchIndex`: the server has the leader's entries up to this index on its disk.
    pub match_index: Index,
    /// `nextIndex`: the index of the next entry to send.
    pub next_index: Index,
    /// The replication state.
    pub state: ReplicationState,
    /// The highest commit index sent to the server.
    pub sent_commit: Index,
    /// The latest heartbeat round that the server acknowledged.
    pub acked_round: u64,
    /// The tick at which that round was sent.
    pub round_sent_at: u64,
    /// The last index and the bytes of each append in flight, oldest first. Empty unless the state is `Replicate`.
    inflight: VecDeque<(Index, usize)>,
    /// The sum of the bytes in `inflight`.
    inflight_bytes: usize,
}

impl Progress {
    /// The record of a server whose log is unknown, for a leader whose log ends before `next_index`.
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

    /// Records an append in flight: entries up to `last`, of `bytes` bytes.
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

    /// Whether no append is in flight.
    pub fn is_idle(&self) -> bool {
        self.inflight.is_empty()
    }

    /// Whether the leader may send another append now.
    pub fn has_room(&self, config: &Config) -> bool {
        match self.state {
            ReplicationState::Probe { awaiting_reply } => !awaiting_reply,
            ReplicationState::Replicate => {
                self.inflight.len() < config.max_inflight && self.inflight_bytes < config.max_inflight_bytes
            }
            ReplicationState::Snapshot { .. } => false,
        }
    }

    /// Records that the server has all entries up to `index`. Returns whether `match_index` advanced.
    pub fn accepted(&mut self, index: Index) -> bool {
        while let Some(&(_, bytes)) = self.inflight.front().filter(|(last, _)| *last <= index) {
            self.inflight.pop_front();
            self.inflight_bytes -= bytes;
        }
        let advanced = index > self.match_index;
        self.match_index = self.match_index.max(index);
        self.next_index = self.next_index.max(index + 1);
        match self.state {
            ReplicationState::Snapshot { last, .. } if index < last.index => {}
            ReplicationState::Replicate => {}
            _ => self.state = ReplicationState::Replicate,
        }
        debug_assert!(self.match_index < self.next_index, "0 <= match_index < next_index");
        advanced
    }

    /// Whether a refusal is stale: it answers a message that a later reply has overtaken.
    pub fn is_stale(&self, refused: Index) -> bool {
        let is_due = match self.state {
            ReplicationState::Probe { .. } => refused + 1 == self.next_index,
            ReplicationState::Replicate => true,
            ReplicationState::Snapshot { .. } => false,
        };
        // The server has the entries up to `match_index` on its disk. If the leader reacted to a refusal of those entries, the
        // two would exchange the same append and refusal in a tight loop.
        !is_due || refused <= self.match_index
    }

    /// Enters the state `Probe`, with `from` as the next index to try.
    pub fn become_probe(&mut self, from: Index) {
        self.next_index = from.max(self.match_index + 1);
        self.reset_inflight();
        self.state = ReplicationState::Probe { awaiting_reply: false };
    }

    /// Enters the state `Snapshot`: the leader sends the snapshot up to `last`, from its first byte.
    pub fn become_snapshot(&mut self, last: Position) {
        self.reset_inflight();
        self.state = ReplicationState::Snapshot { last, offset: 0, awaiting_reply: false };
    }

    /// Allows the next message although no reply came: the message in flight, or its reply, may be lost.
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
        assert!(!progress.has_room(&config), "two appends are in flight");
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
    fn stale_refusals_are_recognised() {
        let mut progress = Progress::new(10, 0);
        assert!(progress.is_stale(4) && !progress.is_stale(9));
        progress.become_probe(5);
        assert!(progress.is_stale(9) && !progress.is_stale(4));
        progress.accepted(4);
        // The server has entry 4, so its refusal of entry 4 is stale.
        assert!(progress.is_stale(4) && !progress.is_stale(6));
    }

    #[test]
    fn next_index_stays_above_match_index() {
        let mut progress = Progress::new(10, 0);
        progress.accepted(7);
        progress.become_probe(3);
        assert_eq!(progress.next_index, 8);
    }
}
