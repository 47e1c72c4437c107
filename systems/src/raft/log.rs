//! The log of one server: a snapshot of a prefix, the entries after it, and the durable, committed and applied indexes.
//!
//! The log also answers which membership is in force. A membership is in force from the moment its entry is in the log
//! until that entry is replaced (section 6), so the log keeps the earlier memberships too.

use sim::{planted, reachable, sometimes};

use super::membership::Membership;
use super::message::{Conflict, Entry, Id, Index, Payload, Position, SnapshotMeta, Term};

/// A server's log.
///
/// `snapshot.last <= last_applied <= commit_index <= last`, and `durable <= handed_out <= last`.
#[derive(Clone, Debug)]
pub struct Log {
    snapshot: SnapshotMeta,
    /// The entries after the snapshot, without a gap.
    entries: Vec<Entry>,
    /// The total size of `entries`.
    bytes: usize,
    /// The memberships among `entries`, by index.
    memberships: Vec<(Index, Membership)>,
    /// The last index on this server's disk.
    durable: Index,
    /// The last index handed out for writing.
    handed_out: Index,
    /// `commitIndex`. It never decreases.
    commit_index: Index,
    /// `lastApplied`. It never decreases.
    last_applied: Index,
}

impl Log {
    /// Builds the log from the state on disk.
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

    /// The snapshot that replaces the log's prefix.
    pub fn snapshot(&self) -> &SnapshotMeta {
        &self.snapshot
    }

    /// The position of the last entry, or of the snapshot's last entry if the log has no entries.
    pub fn last(&self) -> Position {
        self.entries.last().map_or(self.snapshot.last, |entry| Position { term: entry.term, index: entry.index })
    }

    /// The last index on this server's disk.
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

    /// The total size of the entries, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn slot(&self, index: Index) -> Option<usize> {
        index.checked_sub(self.snapshot.last.index + 1).map(|slot| slot as usize)
    }

    /// The term of the entry at `index`, including the snapshot's last entry. `None` for indexes before the snapshot's last
    /// entry and after the log's end.
    pub fn term(&self, index: Index) -> Option<Term> {
        if index == self.snapshot.last.index {
            return Some(self.snapshot.last.term);
        }
        self.slot(index).and_then(|slot| self.entries.get(slot)).map(|entry| entry.term)
    }

    /// The position of the entry at `index`: like [`Log::term`].
    pub fn position(&self, index: Index) -> Option<Position> {
        self.term(index).map(|term| Position { term, index })
    }

    /// Whether the log has an entry with this index and term. By the Log Matching Property (section 5.3) the logs then agree on
    /// all earlier entries.
    pub fn contains(&self, position: Position) -> bool {
        self.term(position.index) == Some(position.term)
    }

    /// The entries from `from` on, up to a total of `most` bytes, but at least one entry if there is any.
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

    /// The membership in force: the latest in the log, committed or not.
    pub fn membership(&self) -> &Membership {
        self.memberships.last().map_or(&self.snapshot.membership, |(_, membership)| membership)
    }

    /// The memberships among the entries, by index.
    pub fn memberships(&self) -> impl Iterator<Item = (Index, &Membership)> {
        self.memberships.iter().map(|(index, membership)| (*index, membership))
    }

    /// The index of the membership in force.
    pub fn membership_index(&self) -> Index {
        self.memberships.last().map_or(self.snapshot.last.index, |(index, _)| *index)
    }

    fn membership_at(&self, index: Index) -> &Membership {
        let until = self.memberships.partition_point(|(at, _)| *at <= index);
        until.checked_sub(1).map_or(&self.snapshot.membership, |at| &self.memberships[at].1)
    }

    /// Whether the server may start elections: it is a voter in the committed membership or in any later one. A server that
    /// is being removed must still start elections, because it may be the only server that has the entry which removes it
    /// (thesis, section 4.2.2).
    pub fn is_promotable(&self, id: Id) -> bool {
        self.membership_at(self.commit_index).voters.has(id)
            || self.memberships.iter().any(|(at, membership)| *at > self.commit_index && membership.voters.has(id))
    }

    /// Appends an entry after the last one.
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

    /// Appends the entries of an `AppendEntries` whose previous entry matches (Figure 2, AppendEntries, rules 3 and 4).
    /// Entries that the log already has stay. A conflicting entry is deleted, with all entries after it.
    ///
    /// # Panics
    ///
    /// If a new entry conflicts with a committed one: no leader sends such an entry.
    pub fn append_from_leader(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            if entry.index <= self.snapshot.last.index {
                continue;
            }
            match self.term(entry.index) {
                Some(term) if term == entry.term => continue,
                Some(_) => {
                    reachable!("raft: a follower truncates a conflicting suffix");
                    self.truncate_from(entry.index);
                }
                None => {}
            }
            self.push(entry);
        }
    }

    /// Deletes the entries from `from` on.
    pub fn truncate_from(&mut self, from: Index) {
        assert!(from > self.commit_index, "entry {from} is committed and cannot be replaced");
        self.remove(self.slot(from).expect("after the snapshot")..);
        self.memberships.retain(|(index, _)| *index < from || planted!("raft.members-not-rolled-back"));
        self.durable = self.durable.min(from - 1);
        self.handed_out = self.handed_out.min(from - 1);
    }

    /// Takes the entries that have not been handed out for writing.
    pub fn take_unwritten(&mut self) -> Vec<Entry> {
        let unwritten = self.entries(self.handed_out + 1, usize::MAX).to_vec();
        self.handed_out = self.last().index;
        unwritten
    }

    /// Whether any entry has not been handed out for writing.
    pub fn has_unwritten(&self) -> bool {
        self.handed_out < self.last().index
    }

    /// Records that the entries up to `position` are durable, unless they were replaced during the write.
    pub fn wrote(&mut self, position: Position) {
        if self.contains(position) {
            self.durable = self.durable.max(position.index);
        }
    }

    /// Advances `commitIndex` to `index`. Returns whether it advanced.
    pub fn commit(&mut self, index: Index) -> bool {
        debug_assert!(index <= self.last().index, "last_applied <= commit_index <= last");
        let more = index > self.commit_index;
        self.commit_index = self.commit_index.max(index);
        more
    }

    /// Takes the next committed entries to apply, up to a total of `most` bytes, and advances `lastApplied` past them.
    pub fn take_committed(&mut self, most: usize) -> Vec<Entry> {
        let from = self.last_applied + 1;
        let n = self.entries(from, most).len().min((self.commit_index - self.last_applied) as usize);
        self.last_applied += n as u64;
        self.entries(from, usize::MAX)[..n].to_vec()
    }

    /// Discards the entries up to `index`, which a snapshot replaces.
    ///
    /// # Panics
    ///
    /// If the entry at `index` is not applied.
    pub fn compact(&mut self, index: Index) {
        let Some(slot) = self.slot(index) else { return };
        assert!(index <= self.last_applied, "entry {index} is not applied yet");
        self.snapshot = self.snapshot_at(index);
        self.remove(..=slot);
        self.memberships.retain(|(at, _)| *at > index);
    }

    /// The metadata for a snapshot of the state after the entry at `index`.
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

    /// Installs a leader's snapshot. Later entries stay if the log has the snapshot's last entry; otherwise all entries are
    /// discarded (Figure 13, rules 6 and 7).
    pub fn install(&mut self, snapshot: SnapshotMeta) {
        let last = snapshot.last;
        if self.contains(last) {
            sometimes!(last.index < self.last().index, "raft: entries after an installed snapshot stay");
            let slot = self.slot(last.index).map_or(0, |slot| slot + 1);
            self.remove(..slot);
            self.memberships.retain(|(at, _)| *at > last.index);
        } else {
            sometimes!(!self.entries.is_empty(), "raft: an installed snapshot replaces the log");
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

    /// For a follower: describes the conflict at the `prevLogIndex` that it refuses.
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

    /// For a leader: the next `nextIndex` to try with a follower that refused (fast backup, the end of section 5.3).
    pub fn next_index_after(&self, conflict: Conflict) -> Index {
        let Some(theirs) = conflict.term else { return conflict.first };
        if planted!("raft.no-fast-backup") {
            return conflict.refused;
        }
        // The logs cannot agree where this log's term is above the follower's term.
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

    /// A log of entries with these terms, from index 1.
    fn log(terms: &[Term]) -> Log {
        let entries = terms.iter().zip(1..).map(|(&term, index)| entry(index, term)).collect();
        Log::restore(SnapshotMeta::default(), entries)
    }

    fn terms(log: &Log) -> Vec<Term> {
        log.entries(log.snapshot().last.index + 1, usize::MAX).iter().map(|entry| entry.term).collect()
    }

    #[test]
    fn matching_entries_stay_and_a_conflicting_entry_is_deleted_with_all_after_it() {
        let mut log = log(&[1, 1, 2, 2]);
        // A delayed message with entries that the log has: nothing is deleted.
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
    fn a_write_does_not_make_replaced_entries_durable() {
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
    fn fast_backup_skips_whole_terms() {
        // The followers of the paper's Figure 7.
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
    fn an_installed_snapshot_keeps_later_entries_only_if_the_log_has_its_last_entry() {
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
