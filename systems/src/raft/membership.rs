//! Who is a member, and how that changes: joint consensus (section 6; thesis, section 4.3).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sim::planted;

use super::message::Id;
use super::quorum::{Joint, Majority};

/// The members of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Membership {
    /// Who votes.
    pub voters: Joint,
    /// Who receives the log and has no vote (thesis, section 4.2.1).
    pub learners: BTreeSet<Id>,
    /// Who votes now and shall be a learner when the joint membership is left.
    pub demoted: BTreeSet<Id>,
}

/// Why a membership cannot be changed so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// A change is under way; the next one must wait until it is over.
    #[error("another membership change is under way")]
    UnderWay,
    /// The leader has not committed an entry of its term yet (Ongaro's correction of 2015).
    #[error("the leader has not committed an entry of its own term yet")]
    NotYetCommitted,
    /// Nobody would have a vote.
    #[error("there would be no voter left")]
    NoVoters,
    /// It is what there is.
    #[error("nothing would change")]
    NoChange,
    /// A voter to be is too far behind.
    #[error("server {} is too far behind to be given a vote", .0.0)]
    Behind(Id),
    /// Only leaders change memberships.
    #[error("this server does not lead")]
    NotLeader,
}

impl Membership {
    /// A cluster of those voters.
    pub fn of(voters: impl IntoIterator<Item = Id>) -> Membership {
        Membership {
            voters: Joint { incoming: voters.into_iter().collect(), outgoing: Majority::default() },
            ..Membership::default()
        }
    }

    /// Whether a change is half done.
    pub fn is_joint(&self) -> bool {
        self.voters.is_joint()
    }

    /// Voters and learners, each once, in order.
    pub fn members(&self) -> impl Iterator<Item = Id> + '_ {
        let voters: BTreeSet<Id> = self.voters.voters().collect();
        voters.union(&self.learners).copied().collect::<Vec<_>>().into_iter()
    }

    /// Whether it is a voter or a learner.
    pub fn has(&self, id: Id) -> bool {
        self.voters.has(id) || self.learners.contains(&id)
    }

    /// The membership between this one and `target`, in which both decide. Who is neither voter nor learner of the target
    /// stays until the joint membership is left.
    pub fn enter_joint(&self, target: &Target) -> Result<Membership, ChangeError> {
        if self.is_joint() {
            return Err(ChangeError::UnderWay);
        }
        if target.voters.is_empty() {
            return Err(ChangeError::NoVoters);
        }
        let learners: BTreeSet<Id> = target.learners.difference(&target.voters).copied().collect();
        if target.voters == *self.voters.incoming.voters() && learners == self.learners {
            return Err(ChangeError::NoChange);
        }
        let incoming: Majority = target.voters.iter().copied().collect();
        // Without a new quorum there is nothing to be joint about: a learner more or less takes one step.
        let one_step = incoming == self.voters.incoming || planted!("raft.members-change-in-one-step");
        let outgoing = if one_step { Majority::default() } else { self.voters.incoming.clone() };
        let (demoted, learners) = learners.into_iter().partition(|id| outgoing.voters().contains(id));
        Ok(Membership { voters: Joint { incoming, outgoing }, learners, demoted })
    }

    /// The membership after a joint one: the incoming voters alone decide.
    pub fn leave_joint(&self) -> Membership {
        Membership {
            voters: Joint { incoming: self.voters.incoming.clone(), outgoing: Majority::default() },
            learners: self.learners.union(&self.demoted).copied().collect(),
            demoted: BTreeSet::new(),
        }
    }
}

/// The membership that is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Who shall vote.
    pub voters: BTreeSet<Id>,
    /// Who shall learn.
    pub learners: BTreeSet<Id>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[u64]) -> BTreeSet<Id> {
        ids.iter().copied().map(Id).collect()
    }

    fn target(voters: &[u64], learners: &[u64]) -> Target {
        Target { voters: ids(voters), learners: ids(learners) }
    }

    #[test]
    fn a_change_of_voters_goes_through_a_joint_membership() {
        let old = Membership::of(ids(&[1, 2, 3]));
        let joint = old.enter_joint(&target(&[2, 3, 4], &[])).unwrap();
        assert!(joint.is_joint());
        assert_eq!(joint.members().collect::<BTreeSet<_>>(), ids(&[1, 2, 3, 4]));
        assert_eq!(joint.enter_joint(&target(&[1], &[])), Err(ChangeError::UnderWay));
        assert_eq!(joint.leave_joint(), Membership::of(ids(&[2, 3, 4])));
    }

    #[test]
    fn a_voter_that_is_to_learn_votes_until_the_joint_membership_is_left() {
        let joint = Membership::of(ids(&[1, 2, 3])).enter_joint(&target(&[1, 2], &[3])).unwrap();
        assert!(joint.voters.has(Id(3)) && !joint.learners.contains(&Id(3)));
        let left = joint.leave_joint();
        assert!(!left.voters.has(Id(3)) && left.learners.contains(&Id(3)));
    }

    #[test]
    fn a_learner_more_takes_one_step() {
        let with = Membership::of(ids(&[1, 2, 3])).enter_joint(&target(&[1, 2, 3], &[4])).unwrap();
        assert!(!with.is_joint() && with.has(Id(4)) && !with.voters.has(Id(4)));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let old = Membership::of(ids(&[1, 2, 3]));
        assert_eq!(old.enter_joint(&target(&[], &[1])), Err(ChangeError::NoVoters));
        assert_eq!(old.enter_joint(&target(&[1, 2, 3], &[])), Err(ChangeError::NoChange));
    }
}
