//! The table of requests that wait for entries of the log.
//!
//! A server that takes a proposal knows its index and term. The request succeeds if an entry of that term is applied at that
//! index; it fails if an entry of another term is. A snapshot from the leader can skip over the index, and then the outcome is
//! unknown.

use std::collections::BTreeMap;

use super::message::{Index, Term};

/// The requests that wait, by the index of their entries. At most one waits for each index.
#[derive(Debug)]
pub struct Waiting<T>(BTreeMap<Index, (Term, T)>);

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Waiting(BTreeMap::new())
    }
}

/// The requests whose outcome an applied entry decides.
#[derive(Debug, PartialEq, Eq)]
pub struct Decided<T> {
    /// The request that the applied entry belongs to.
    pub applied: Option<T>,
    /// The requests whose entries will never be committed: entries of other leaders took their place.
    pub overwritten: Vec<T>,
}

impl<T> Waiting<T> {
    /// Adds a request for the entry of `term` at `index`.
    ///
    /// Returns the request that waited for the entry of an earlier term at that index. That entry is no longer in this log, but
    /// another server may have it and become leader, so its outcome is unknown.
    pub fn insert(&mut self, index: Index, term: Term, request: T) -> Option<T> {
        self.0.insert(index, (term, request)).map(|(_, earlier)| earlier)
    }

    /// Removes the request for the entry of `term` at `index`, if it still waits.
    pub fn remove(&mut self, index: Index, term: Term) -> Option<T> {
        self.0.get(&index).filter(|(of, _)| *of == term)?;
        self.0.remove(&index).map(|(_, request)| request)
    }

    /// Removes the requests that are decided when the entry of `term` at `index` is applied. `is_same` compares the term that a
    /// request waits for with `term`.
    pub fn applied(&mut self, index: Index, term: Term, is_same: impl Fn(Term, Term) -> bool) -> Decided<T> {
        let mut decided = Decided { applied: None, overwritten: Vec::new() };
        if let Some((of, request)) = self.0.remove(&index) {
            match is_same(of, term) {
                true => decided.applied = Some(request),
                false => decided.overwritten.push(request),
            }
        }
        // Terms never decrease along a log: no entry of an earlier term is committed behind this one.
        while let Some(last) = self.0.last_entry().filter(|last| last.get().0 < term && !is_same(last.get().0, term)) {
            decided.overwritten.push(last.remove().1);
        }
        decided
    }

    /// Removes the requests for entries up to `index`, which a snapshot has skipped over. Their outcome is unknown.
    pub fn skipped(&mut self, index: Index) -> impl Iterator<Item = T> + use<T> {
        let later = self.0.split_off(&(index + 1));
        std::mem::replace(&mut self.0, later).into_values().map(|(_, request)| request)
    }

    /// Removes all requests. Their outcome is unknown.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(of: Term, term: Term) -> bool {
        of == term
    }

    fn waiting() -> Waiting<char> {
        let mut waiting = Waiting::default();
        for (index, term, request) in [(5, 1, 'a'), (6, 1, 'b'), (7, 2, 'c')] {
            assert_eq!(waiting.insert(index, term, request), None);
        }
        waiting
    }

    #[test]
    fn an_entry_of_that_term_at_that_index_is_the_requests() {
        let decided = waiting().applied(5, 1, same);
        assert_eq!(decided, Decided { applied: Some('a'), overwritten: vec![] });
    }

    #[test]
    fn an_entry_of_another_term_overwrites_it_and_those_of_earlier_terms_behind_it() {
        let mut waiting = waiting();
        let decided = waiting.applied(5, 3, same);
        assert_eq!(decided, Decided { applied: None, overwritten: vec!['a', 'c', 'b'] });
        let mut waiting = self::waiting();
        assert_eq!(waiting.insert(8, 1, 'd'), None);
        // The request for 7 waits for an entry of the very term that was applied.
        assert_eq!(waiting.applied(6, 2, same), Decided { applied: None, overwritten: vec!['b', 'd'] });
        assert_eq!(waiting.remove(7, 2), Some('c'));
    }

    #[test]
    fn a_later_proposal_at_the_same_index_takes_the_place() {
        let mut waiting = waiting();
        assert_eq!(waiting.insert(6, 3, 'x'), Some('b'));
        assert_eq!(waiting.remove(6, 1), None);
        assert_eq!(waiting.remove(6, 3), Some('x'));
    }

    #[test]
    fn a_snapshot_skips_over_those_up_to_its_index() {
        let mut waiting = waiting();
        assert_eq!(waiting.skipped(6).collect::<Vec<_>>(), ['a', 'b']);
        assert_eq!(waiting.applied(7, 2, same).applied, Some('c'));
    }
}
