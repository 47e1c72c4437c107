//! The log of one server: a snapshot of a prefix, entries after it, and how far they are durable, committed and applied.
//!
//! Terms and memberships are answered from here. A membership counts from the moment at which its entry is in the log, and
//! not any more when that entry is replaced (section 6), so the log remembers those before it.

use sim::planted;

use super::membership::Membership;
use super::message::{Conflict, Entry, Id, Index, Payload, Position, SnapshotMeta, Term};

/// A log.
///
/// `snapshot.last <= applied <= committed <= last`, and `durable <= last`.
#[derive(Clone, Debug)]
pub struct Log {
    snapshot: SnapshotMeta,
    /// The entries behind the snapshot, without a gap.
    entries: Vec<Entry>,
    /// What they take together.
    bytes: usize,
    /// Memberships in the entries, by index.
    memberships: Vec<(Index, Membership)>,
    /// All up to here is on this server's disk.
    durable: Index,
    /// All up to here was handed out to be written.
    handed_out: Index,
    commit_index: Index,
    last_applied: Index,
}

impl Log {
    /// The log as it was on the disk.
    pub fn restore(snapshot: SnapshotMeta, entries: Vec<Entry>) -> Log {
        let start = snapshot.last.index;
        let mut log = Log {
            snapshot,
            entries: Vec::new(),
            bytes: 0,
            memberships: Vec::new(),
            durable: start,
            handed_out: start,
            commit_index: start,
            last_applied: start,
        };
        entries.into_iter().filter(|entry| entry.index > start).for_each(|entry| log.push(entry));
        log.durable = log.last().index;
        log.handed_out = log.durable;
        log
    }

    /// What the prefix without entries was replaced by.
    pub fn snapshot(&self) -> &SnapshotMeta {
        &self.snapshot
    }

    /// The last entry's position, or the snapshot's if there is none.
    pub fn last(&self) -> Position {
        self.entries.last().map_or(self.snapshot.last, |entry| Position { term: entry.term, index: entry.index })
    }

    /// All up to here is on this server's disk.
    pub fn durable(&self) -> Index {
        self.durable
    }

    /// `commitIndex`.
    pub fn commit_index(&self) -> Index {
        self.commit_index
    }

    /// `lastApplied`.
    pub fn last_applied(&self) -> Index {
        self.last_applied
    }

    /// How many bytes the entries take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn slot(&self, index: Index) -> Option<usize> {
        index.checked_sub(self.snapshot.last.index + 1).map(|slot| slot as usize)
    }

    /// The term of the entry at `index`; of the snapshot's last one, too. `None` before it and behind the end.
    pub fn term(&self, index: Index) -> Option<Term> {
        if index == self.snapshot.last.index {
            return Some(self.snapshot.last.term);
        }
        self.slot(index).and_then(|slot| self.entries.get(slot)).map(|entry| entry.term)
    }

    /// The position at `index`.
    pub fn position(&self, index: Index) -> Option<Position> {
        self.term(index).map(|term| Position { term, index })
    }

    /// Whether the log has that very entry (the Log Matching Property: then it has all before it, too).
    pub fn contains(&self, position: Position) -> bool {
        self.term(position.index) == Some(position.term)
    }

    /// The entries from `from` on, as many as have `most` bytes together, but at least one if there is one.
    pub fn entries(&self, from: Index, most: usize) -> &[Entry] {
        let Some(rest) = self.slot(from).and_then(|slot| self.entries.get(slot..)) else { return &[] };
        let mut bytes = 0;
        let n = rest.iter().take_while(|entry| {
            let first = bytes == 0;
            bytes += entry.size();
            first || bytes <= most
        });
        &rest[..n.count()]
    }

    /// The membership that is in force: the latest in the log, be it committed or not.
    pub fn membership(&self) -> &Membership {
        self.memberships.last().map_or(&self.snapshot.membership, |(_, membership)| membership)
    }

    /// The memberships in the entries, by index.
    pub fn memberships(&self) -> impl Iterator<Item = (Index, &Membership)> {
        self.memberships.iter().map(|(index, membership)| (*index, membership))
    }

    /// Where the membership in force is.
    pub fn membership_index(&self) -> Index {
        self.memberships.last().map_or(self.snapshot.last.index, |(index, _)| *index)
    }

    fn membership_at(&self, index: Index) -> &Membership {
        let until = self.memberships.partition_point(|(at, _)| *at <= index);
        until.checked_sub(1).map_or(&self.snapshot.membership, |at| &self.memberships[at].1)
    }

    /// Whether the server has a vote in a membership that may be the cluster's: the committed one, or any after it. One that
    /// is about to be removed must still stand for election, without a vote of its own: it may be the only one left with the
    /// entry that removes it (thesis, section 4.2.2).
    pub fn is_promotable(&self, id: Id) -> bool {
        self.membership_at(self.commit_index).voters.has(id)
            || self.memberships.iter().any(|(at, membership)| *at > self.commit_index && membership.voters.has(id))
    }

    /// Appends an entry behind the last.
    pub fn push(&mut self, entry: Entry) {
        debug_assert_eq!(entry.index, self.last().index + 1, "a log has no gaps");
        if let Payload::Membership(membership) = &entry.payload {
            self.memberships.push((entry.index, membership.clone()));
        }
        self.bytes += entry.size();
        self.entries.push(entry);
    }

    fn remove(&mut self, slots: impl std::ops::RangeBounds<usize>) {
        self.bytes -= self.entries.drain(slots).map(|entry| entry.size()).sum::<usize>();
    }

    /// Takes entries from a leader whose log agrees with this one up to where they begin: what is there already stays, and
    /// what contradicts them is replaced with all that is behind it (Figure 2, AppendEntries, 3 and 4).
    ///
    /// # Panics
    ///
    /// If that would replace a committed entry: no leader sends such entries.
    pub fn append_from_leader(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            if entry.index <= self.snapshot.last.index {
                continue;
            }
            match self.term(entry.index) {
                Some(term) if term == entry.term => continue,
                Some(_) => self.truncate_from(entry.index),
                None => {}
            }
            self.push(entry);
        }
    }

    /// Removes the entries from `from` on.
    pub fn truncate_from(&mut self, from: Index) {
        assert!(from > self.commit_index, "entry {from} is committed and cannot be replaced");
        self.remove(self.slot(from).expect("behind the snapshot")..);
        self.memberships.retain(|(index, _)| *index < from || planted!("raft.members-not-rolled-back"));
        self.durable = self.durable.min(from - 1);
        self.handed_out = self.handed_out.min(from - 1);
    }

    /// The entries that are to be written and have not been handed out.
    pub fn take_unwritten(&mut self) -> Vec<Entry> {
        let unwritten = self.entries(self.handed_out + 1, usize::MAX).to_vec();
        self.handed_out = self.last().index;
        unwritten
    }

    /// Whether something is to be written.
    pub fn has_unwritten(&self) -> bool {
        self.handed_out < self.last().index
    }

    /// Entries up to `position` are durable, unless they were replaced while they were being written.
    pub fn wrote(&mut self, position: Position) {
        if self.contains(position) {
            self.durable = self.durable.max(position.index);
        }
    }

    /// Commits up to `index`. True if that is more than before.
    pub fn commit(&mut self, index: Index) -> bool {
        debug_assert!(index <= self.last().index, "only what is in the log can be committed");
        let more = index > self.commit_index;
        self.commit_index = self.commit_index.max(index);
        more
    }

    /// The next committed entries to apply, at most `most` bytes of them. They count as applied.
    pub fn take_committed(&mut self, most: usize) -> Vec<Entry> {
        let from = self.last_applied + 1;
        let n = self.entries(from, most).len().min((self.commit_index - self.last_applied) as usize);
        self.last_applied += n as u64;
        self.entries(from, usize::MAX)[..n].to_vec()
    }

    /// Forgets the entries up to `index`, which a snapshot stands for.
    ///
    /// # Panics
    ///
    /// If they are not applied.
    pub fn compact(&mut self, index: Index) {
        let Some(slot) = self.slot(index) else { return };
        assert!(index <= self.last_applied, "entry {index} is not applied yet");
        self.snapshot = self.snapshot_at(index);
        self.remove(..=slot);
        self.memberships.retain(|(at, _)| *at > index);
    }

    /// What a snapshot of the state after the entry at `index` stands for.
    pub fn snapshot_at(&self, index: Index) -> SnapshotMeta {
        let last = self.position(index).expect("an entry of this log");
        if planted!("raft.snapshot-forgets-members") {
            return SnapshotMeta { last, membership: self.snapshot.membership.clone() };
        }
        if planted!("raft.snapshot-forgets-term") {
            let last = Position { term: self.snapshot.last.term, index };
            return SnapshotMeta { last, membership: self.membership_at(index).clone() };
        }
        SnapshotMeta { last, membership: self.membership_at(index).clone() }
    }

    /// Takes over a leader's snapshot. What follows it in this log stays if the log had its last entry, and goes otherwise
    /// (Figure 13, 6 and 7).
    pub fn install(&mut self, snapshot: SnapshotMeta) {
        let last = snapshot.last;
        if self.contains(last) {
            let slot = self.slot(last.index).map_or(0, |slot| slot + 1);
            self.remove(..slot);
            self.memberships.retain(|(at, _)| *at > last.index);
        } else {
            self.remove(..);
            self.memberships.clear();
            self.durable = last.index;
            self.handed_out = last.index;
        }
        self.durable = self.durable.max(last.index);
        self.handed_out = self.handed_out.max(last.index);
        self.commit_index = self.commit_index.max(last.index);
        self.last_applied = last.index;
        self.snapshot = snapshot;
    }

    /// For the leader whose entries do not fit behind `refused`: where this log differs.
    pub fn conflict(&self, refused: Index) -> Conflict {
        let Some(term) = self.term(refused) else {
            return Conflict { refused, term: None, first: self.last().index + 1 };
        };
        let mut first = refused;
        while first > self.commit_index + 1 && self.term(first - 1) == Some(term) {
            first -= 1;
        }
        Conflict { refused, term: Some(term), first }
    }

    /// For a leader: from where to try again with a follower that refused.
    pub fn next_index_after(&self, conflict: Conflict) -> Index {
        let Some(theirs) = conflict.term else { return conflict.first };
        if planted!("raft.backs-up-one-by-one") {
            return conflict.refused;
        }
        // Where this log's terms are above the follower's, the two cannot agree.
        let mut at = conflict.refused.min(self.last().index);
        while self.term(at).is_some_and(|term| term > theirs) && at > self.snapshot.last.index {
            at -= 1;
        }
        if self.term(at) == Some(theirs) { at + 1 } else { conflict.first.min(at + 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn entry(index: Index, term: Term) -> Entry {
        Entry { term, index, payload: Payload::Command(Bytes::from_static(b"x")) }
    }

    /// A log of entries of those terms, from 1.
    fn log(terms: &[Term]) -> Log {
        let entries = terms.iter().zip(1..).map(|(&term, index)| entry(index, term)).collect();
        Log::restore(SnapshotMeta::default(), entries)
    }

    fn terms(log: &Log) -> Vec<Term> {
        log.entries(log.snapshot().last.index + 1, usize::MAX).iter().map(|entry| entry.term).collect()
    }

    #[test]
    fn what_agrees_stays_and_what_contradicts_goes_with_all_behind_it() {
        let mut log = log(&[1, 1, 2, 2]);
        // A late message that the log has already: nothing is cut.
        log.append_from_leader(vec![entry(1, 1), entry(2, 1)]);
        assert_eq!(terms(&log), [1, 1, 2, 2]);
        log.append_from_leader(vec![entry(2, 1), entry(3, 3)]);
        assert_eq!(terms(&log), [1, 1, 3]);
        assert_eq!(log.durable(), 2);
    }

    #[test]
    #[should_panic(expected = "entry 2 is committed")]
    fn a_committed_entry_is_never_replaced() {
        let mut log = log(&[1, 1]);
        log.commit(2);
        log.append_from_leader(vec![entry(2, 2)]);
    }

    #[test]
    fn a_write_counts_only_for_what_is_still_there() {
        let mut log = log(&[1]);
        log.push(entry(2, 1));
        assert_eq!(log.take_unwritten(), [entry(2, 1)]);
        log.append_from_leader(vec![entry(2, 2)]);
        log.wrote(Position { term: 1, index: 2 });
        assert_eq!(log.durable(), 1);
        assert_eq!(log.take_unwritten(), [entry(2, 2)]);
        log.wrote(Position { term: 2, index: 2 });
        assert_eq!(log.durable(), 2);
    }

    #[test]
    fn backing_up_skips_whole_terms() {
        // The paper's Figure 7: a follower with entries that the leader does not have.
        let leader = log(&[1, 1, 1, 4, 4, 5, 5, 6, 6, 6]);
        let tries = |follower: &Log| {
            let mut next = leader.last().index + 1;
            let mut tries = 0;
            while !follower.contains(leader.position(next - 1).unwrap()) {
                tries += 1;
                let again = leader.next_index_after(follower.conflict(next - 1));
                assert!(again < next, "{again} after {next}");
                next = again;
            }
            (tries, next)
        };
        assert_eq!(tries(&log(&[1, 1, 1, 4, 4, 5, 5, 6, 6])), (1, 10));
        assert_eq!(tries(&log(&[1, 1, 1, 4])), (1, 5));
        assert_eq!(tries(&log(&[1, 1, 1, 4, 4, 4, 4])), (2, 6));
        assert_eq!(tries(&log(&[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3])), (1, 4));
    }

    #[test]
    fn a_snapshot_keeps_the_term_of_its_last_entry_and_the_membership_as_of_it() {
        let mut log = log(&[1, 2]);
        let membership = Membership::of([Id(1)]);
        log.push(Entry { term: 2, index: 3, payload: Payload::Membership(membership.clone()) });
        log.push(entry(4, 3));
        log.commit(4);
        log.take_committed(usize::MAX);
        log.compact(2);
        assert_eq!((log.term(1), log.term(2), log.term(3)), (None, Some(2), Some(2)));
        assert_eq!(log.snapshot().membership, Membership::default());
        assert_eq!(log.membership(), &membership);
        log.compact(3);
        assert_eq!((log.snapshot().membership.clone(), log.membership_index()), (membership, 3));
        assert_eq!(terms(&log), [3]);
    }

    #[test]
    fn a_membership_is_in_force_until_its_entry_is_replaced() {
        let mut log = log(&[1]);
        log.push(Entry { term: 1, index: 2, payload: Payload::Membership(Membership::of([Id(7)])) });
        assert!(log.membership().has(Id(7)));
        log.append_from_leader(vec![entry(2, 2)]);
        assert!(!log.membership().has(Id(7)));
    }

    #[test]
    fn a_snapshot_keeps_what_follows_it_only_if_the_log_had_its_last_entry() {
        let meta = |term, index| SnapshotMeta { last: Position { term, index }, membership: Membership::default() };
        let mut agrees = log(&[1, 1, 2, 2]);
        agrees.install(meta(2, 3));
        assert_eq!((terms(&agrees), agrees.last_applied(), agrees.last().index), (vec![2], 3, 4));
        let mut differs = log(&[1, 1, 1, 1]);
        differs.install(meta(2, 3));
        assert_eq!((terms(&differs), differs.last()), (vec![], Position { term: 2, index: 3 }));
        assert_eq!(differs.durable(), 3);
    }

    #[test]
    fn a_message_has_at_least_one_entry_and_no_more_than_fit() {
        let log = log(&[1, 1, 1]);
        let one = entry(1, 1).size();
        let count = |most| log.entries(1, most).len();
        assert_eq!((count(0), count(2 * one), count(2 * one - 1)), (1, 2, 1));
        assert_eq!(log.entries(4, usize::MAX), []);
    }
}
