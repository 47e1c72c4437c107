//! A majority of each of two sets of voters.

use serde::{Deserialize, Serialize};
use sim::planted;

use super::{Majority, VoteResult};
use crate::raft::Id;

/// The voters of a membership. During a change a quorum needs a majority of both sets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Joint {
    /// The new voters.
    pub incoming: Majority,
    /// The old voters; empty when no change is in progress.
    pub outgoing: Majority,
}

impl Joint {
    /// Whether a change is in progress.
    pub fn is_joint(&self) -> bool {
        !self.outgoing.voters().is_empty()
    }

    /// Whether the server is a voter in either set.
    pub fn has(&self, id: Id) -> bool {
        self.incoming.voters().contains(&id) || self.outgoing.voters().contains(&id)
    }

    /// The voters of both sets, each once.
    pub fn voters(&self) -> impl Iterator<Item = Id> + '_ {
        self.incoming.voters().union(self.outgoing.voters()).copied()
    }

    /// The highest number that a majority of both sets has reached.
    pub fn reached(&self, mut reached: impl FnMut(Id) -> u64) -> u64 {
        if planted!("raft.joint-is-one-majority") {
            return self.incoming.reached(&mut reached);
        }
        self.incoming.reached(&mut reached).min(self.outgoing.reached(&mut reached))
    }

    /// Counts the votes: both sets must be won.
    pub fn tally(&self, mut vote: impl FnMut(Id) -> Option<bool>) -> VoteResult {
        if planted!("raft.joint-is-one-majority") {
            return self.incoming.tally(&mut vote);
        }
        match (self.incoming.tally(&mut vote), self.outgoing.tally(&mut vote)) {
            (VoteResult::Lost, _) | (_, VoteResult::Lost) => VoteResult::Lost,
            (VoteResult::Won, VoteResult::Won) => VoteResult::Won,
            _ => VoteResult::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joint(incoming: &[u64], outgoing: &[u64]) -> Joint {
        let of = |ids: &[u64]| ids.iter().copied().map(Id).collect();
        Joint { incoming: of(incoming), outgoing: of(outgoing) }
    }

    #[test]
    fn both_majorities_must_have_it() {
        let reached = |id: Id| if id.0 <= 3 { 9 } else { 2 };
        assert_eq!(joint(&[1, 2, 3], &[]).reached(reached), 9);
        // The outgoing voters lag behind.
        assert_eq!(joint(&[1, 2, 3], &[3, 4, 5]).reached(reached), 2);
    }

    #[test]
    fn one_majority_wins_nothing_and_loses_all() {
        let yes = |ids: &'static [u64]| move |id: Id| ids.contains(&id.0).then_some(true);
        assert_eq!(joint(&[1, 2, 3], &[3, 4, 5]).tally(yes(&[1, 2, 3])), VoteResult::Pending);
        assert_eq!(joint(&[1, 2, 3], &[3, 4, 5]).tally(yes(&[1, 2, 3, 4])), VoteResult::Won);
        let no = |id: Id| (id.0 >= 4).then_some(false);
        assert_eq!(joint(&[1, 2, 3], &[3, 4, 5]).tally(no), VoteResult::Lost);
    }
}
