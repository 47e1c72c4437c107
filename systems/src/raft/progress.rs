//! What a leader knows of another server: `nextIndex` and `matchIndex`, and how fast it may send.

use std::collections::VecDeque;

use super::config::Config;
use super::message::{Index, Position};

/// How a leader sends to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Where the logs agree is not known: one message at a time, until one is accepted.
    Probe {
        /// One is under way.
        waiting: bool,
    },
    /// The logs agree: messages follow each other without waiting for answers.
    Replicate,
    /// The log does not reach back that far any more: a snapshot is on its way, part by part.
    Snapshot {
        /// Which.
        last: Position,
        /// The bytes that have arrived.
        offset: u64,
        /// A part is under way.
        waiting: bool,
    },
}

/// What a leader knows of another server.
#[derive(Clone, Debug)]
pub struct Progress {
    /// `matchIndex`: the logs agree up to here, and the server has it on its disk.
    pub matched: Index,
    /// `nextIndex`: what is sent next.
    pub next: Index,
    /// How it sends.
    pub pace: Pace,
    /// The highest commit index that it was told.
    pub told: Index,
    /// The latest round that was answered.
    pub round: u64,
    /// When that round was sent, in ticks.
    pub heard: u64,
    /// What is under way: last index and bytes, oldest first.
    inflight: VecDeque<(Index, usize)>,
    inflight_bytes: usize,
}

impl Progress {
    /// Of a server of which nothing is known, by a leader whose log ends before `next`.
    pub fn new(next: Index, now: u64) -> Progress {
        Progress {
            matched: 0,
            next,
            pace: Pace::Probe { waiting: false },
            told: 0,
            round: 0,
            heard: now,
            inflight: VecDeque::new(),
            inflight_bytes: 0,
        }
    }

    /// Entries up to `last`, with so many bytes, are under way.
    pub fn sent(&mut self, last: Index, bytes: usize) {
        match &mut self.pace {
            Pace::Probe { waiting } => *waiting = true,
            _ => {
                self.next = last + 1;
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
        match self.pace {
            Pace::Probe { waiting } => !waiting,
            Pace::Replicate => {
                self.inflight.len() < config.max_inflight && self.inflight_bytes < config.max_inflight_bytes
            }
            Pace::Snapshot { .. } => false,
        }
    }

    /// The server has everything up to `index`. True if that is news.
    pub fn accepted(&mut self, index: Index) -> bool {
        while let Some(&(_, bytes)) = self.inflight.front().filter(|(last, _)| *last <= index) {
            self.inflight.pop_front();
            self.inflight_bytes -= bytes;
        }
        let news = index > self.matched;
        self.matched = self.matched.max(index);
        self.next = self.next.max(index + 1);
        match self.pace {
            Pace::Snapshot { last, .. } if index < last.index => {}
            Pace::Replicate => {}
            _ => self.pace = Pace::Replicate,
        }
        news
    }

    /// Whether a refusal is about something that was sent before what is known now.
    pub fn is_stale(&self, refused: Index) -> bool {
        let is_due = match self.pace {
            Pace::Probe { .. } => refused + 1 == self.next,
            Pace::Replicate => true,
            Pace::Snapshot { .. } => false,
        };
        // What is matched is on the server's disk. To one that refuses that all the same, the same would be sent again at once,
        // and again.
        !is_due || refused <= self.matched
    }

    /// Goes back to where the logs may agree.
    pub fn probe(&mut self, from: Index) {
        self.next = from.max(self.matched + 1);
        self.forget_inflight();
        self.pace = Pace::Probe { waiting: false };
    }

    /// From now on it gets that snapshot, from its first byte.
    pub fn snapshot(&mut self, last: Position) {
        self.forget_inflight();
        self.pace = Pace::Snapshot { last, offset: 0, waiting: false };
    }

    /// A heartbeat is due: what was lost is sent again.
    pub fn retry(&mut self) {
        match &mut self.pace {
            Pace::Probe { waiting } | Pace::Snapshot { waiting, .. } => *waiting = false,
            Pace::Replicate => {}
        }
    }

    fn forget_inflight(&mut self) {
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
        progress.sent(4, 0);
        assert!(!progress.has_room(&config));
        assert!(progress.accepted(4));
        progress.sent(5, 10);
        progress.sent(6, 10);
        assert!(!progress.has_room(&config), "two are under way");
        progress.accepted(5);
        assert!(progress.has_room(&config));
        assert_eq!((progress.matched, progress.next), (5, 7));
    }

    #[test]
    fn bytes_fill_the_window_too() {
        let config = Config { max_inflight_bytes: 100, ..Config::default() };
        let mut progress = Progress::new(1, 0);
        progress.accepted(0);
        progress.sent(1, 100);
        assert!(!progress.has_room(&config));
    }

    #[test]
    fn late_refusals_are_told_from_real_ones() {
        let mut progress = Progress::new(10, 0);
        assert!(progress.is_stale(4) && !progress.is_stale(9));
        progress.probe(5);
        assert!(progress.is_stale(9) && !progress.is_stale(4));
        progress.accepted(4);
        // It is known to have 4: a refusal of that was sent before.
        assert!(progress.is_stale(4) && !progress.is_stale(6));
    }

    #[test]
    fn it_never_goes_back_behind_what_is_matched() {
        let mut progress = Progress::new(10, 0);
        progress.accepted(7);
        progress.probe(3);
        assert_eq!(progress.next, 8);
    }
}
