//! A majority: more than half of a set of voters.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sim::planted;

use super::VoteResult;
use crate::raft::Id;

/// A set of voters, of which more than half decide.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Majority(BTreeSet<Id>);

impl Majority {
    /// The voters.
    pub fn voters(&self) -> &BTreeSet<Id> {
        &self.0
    }

    /// The size of a quorum: more than half of the voters, so 3 of 4.
    pub fn size(&self) -> usize {
        if planted!("raft.half-is-a-quorum") {
            return self.0.len().div_ceil(2);
        }
        self.0.len() / 2 + 1
    }

    /// The highest number that a quorum has reached, where each voter has reached `reached(voter)`. For the empty set
    /// `u64::MAX`, so that the empty half of a joint quorum imposes no limit.
    pub fn reached(&self, mut reached: impl FnMut(Id) -> u64) -> u64 {
        // Nearly all clusters have at most seven voters, which need no allocation.
        let mut few = [0; 7];
        let mut many;
        let of: &mut [u64] = if self.0.len() <= few.len() {
            &mut few[..self.0.len()]
        } else {
            many = vec![0; self.0.len()];
            &mut many
        };
        if of.is_empty() {
            return u64::MAX;
        }
        for (slot, &voter) in of.iter_mut().zip(&self.0) {
            *slot = reached(voter);
        }
        of.sort_unstable();
        of[of.len() - self.size()]
    }

    /// Counts the votes. A voter that has not answered is `None`. The empty set is won.
    pub fn tally(&self, mut vote: impl FnMut(Id) -> Option<bool>) -> VoteResult {
        let (mut yes, mut no) = (0, 0);
        for &voter in &self.0 {
            match vote(voter) {
                Some(true) => yes += 1,
                Some(false) => no += 1,
                None => {}
            }
        }
        if self.0.is_empty() || yes >= self.size() {
            VoteResult::Won
        } else if no > self.0.len() - self.size() {
            VoteResult::Lost
        } else {
            VoteResult::Pending
        }
    }
}

impl FromIterator<Id> for Majority {
    fn from_iter<T: IntoIterator<Item = Id>>(ids: T) -> Self {
        Majority(ids.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(n: u64) -> Majority {
        (1..=n).map(Id).collect()
    }

    #[test]
    fn a_quorum_is_more_than_half() {
        assert_eq!([1, 2, 3, 4, 5, 6].map(|n| of(n).size()), [1, 2, 2, 3, 3, 4]);
    }

    #[test]
    fn any_two_quorums_share_a_voter() {
        for n in 1..=8 {
            assert!(2 * of(n).size() > n as usize, "{n} voters");
        }
    }

    #[test]
    fn the_empty_set_imposes_no_limit() {
        assert_eq!(of(0).reached(|_| 0), u64::MAX);
        assert_eq!(of(0).tally(|_| None), VoteResult::Won);
    }

    #[test]
    fn elections_end_as_soon_as_they_are_decided() {
        let votes = |cast: [Option<bool>; 4]| of(4).tally(|id| cast[id.0 as usize - 1]);
        assert_eq!(votes([Some(true), Some(true), None, None]), VoteResult::Pending);
        assert_eq!(votes([Some(true), Some(true), Some(true), None]), VoteResult::Won);
        // Two noes of four leave two yeses at most.
        assert_eq!(votes([Some(true), Some(false), Some(false), None]), VoteResult::Lost);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn what_a_quorum_has_reached_is_the_highest_that_enough_voters_have(reached in prop::collection::vec(0u64..20, 1..10)) {
            let majority = of(reached.len() as u64);
            let enough = |n: u64| reached.iter().filter(|&&r| r >= n).count() >= majority.size();
            let brute = (0..20).rev().find(|&n| enough(n)).unwrap_or(0);
            prop_assert_eq!(majority.reached(|id| reached[id.0 as usize - 1]), brute);
        }
    }
}
