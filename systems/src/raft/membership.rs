//! Cluster membership and its changes by joint consensus (section 6; thesis, section 4.3).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sim::planted;

use super::message::Id;
use super::quorum::{Joint, Majority};

/// The members of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Membership {
    /// The voters.
    pub voters: Joint,
    /// Servers that receive the log but have no vote (thesis, section 4.2.1). Disjoint from the voters.
    pub learners: BTreeSet<Id>,
    /// Outgoing voters that become learners when the joint membership is left (etcd's `LearnersNext`).
    pub demoted: BTreeSet<Id>,
}

/// The reason why a membership change was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Another membership change is in progress.
    #[error("another membership change is in progress")]
    UnderWay,
    /// The leader has not committed an entry of its own term yet (Ongaro's correction of 2015).
    #[error("the leader has not committed an entry of its own term yet")]
    NotYetCommitted,
    /// The target membership has no voter.
    #[error("the new membership has no voter")]
    NoVoters,
    /// The target membership equals the present one.
    #[error("the new membership equals the present one")]
    NoChange,
    /// A new voter lags too far behind the leader (see [`catch_up`](super::Config::catch_up)).
    #[error("server {} is too far behind to become a voter", .0.0)]
    Behind(Id),
    /// This server is not the leader.
    #[error("not the leader")]
    NotLeader,
}

impl Membership {
    /// A membership of these voters, without learners.
    pub fn of(voters: impl IntoIterator<Item = Id>) -> Membership {
        Membership {
            voters: Joint { incoming: voters.into_iter().collect(), outgoing: Majority::default() },
            ..Membership::default()
        }
    }

    /// Whether this is a joint membership: a change is in progress.
    pub fn is_joint(&self) -> bool {
        self.voters.is_joint()
    }

    /// All voters and learners, each once, in the order of their ids.
    pub fn members(&self) -> impl Iterator<Item = Id> + '_ {
        let voters: BTreeSet<Id> = self.voters.voters().collect();
        voters.union(&self.learners).copied().collect::<Vec<_>>().into_iter()
    }

    /// Whether the server is a voter or a learner.
    pub fn has(&self, id: Id) -> bool {
        self.voters.has(id) || self.learners.contains(&id)
    }

    /// The first membership on the way to `target`: the joint one, in which decisions need a majority of both voter sets. A
    /// server that is in neither set of the target stays until the joint membership is left. A change of learners alone takes
    /// one step.
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
        // A change of learners alone leaves the quorums as they are, so it needs no joint membership.
        let one_step = incoming == self.voters.incoming || planted!("raft.members-change-in-one-step");
        let outgoing = if one_step { Majority::default() } else { self.voters.incoming.clone() };
        let (demoted, learners) = learners.into_iter().partition(|id| outgoing.voters().contains(id));
        Ok(Membership { voters: Joint { incoming, outgoing }, learners, demoted })
    }

    /// The membership that follows a joint one: the incoming voters decide alone.
    pub fn leave_joint(&self) -> Membership {
        Membership {
            voters: Joint { incoming: self.voters.incoming.clone(), outgoing: Majority::default() },
            learners: self.learners.union(&self.demoted).copied().collect(),
            demoted: BTreeSet::new(),
        }
    }
}

/// The target of a membership change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// The new voters; not empty.
    pub voters: BTreeSet<Id>,
    /// The new learners. Ids that are voters too are ignored.
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
    fn a_demoted_voter_votes_until_the_joint_membership_is_left() {
        let joint = Membership::of(ids(&[1, 2, 3])).enter_joint(&target(&[1, 2], &[3])).unwrap();
        assert!(joint.voters.has(Id(3)) && !joint.learners.contains(&Id(3)));
        let left = joint.leave_joint();
        assert!(!left.voters.has(Id(3)) && left.learners.contains(&Id(3)));
    }

    #[test]
    fn adding_a_learner_takes_one_step() {
        let with = Membership::of(ids(&[1, 2, 3])).enter_joint(&target(&[1, 2, 3], &[4])).unwrap();
        assert!(!with.is_joint() && with.has(Id(4)) && !with.voters.has(Id(4)));
    }

    #[test]
    fn an_empty_or_unchanged_target_is_rejected() {
        let old = Membership::of(ids(&[1, 2, 3]));
        assert_eq!(old.enter_joint(&target(&[], &[1])), Err(ChangeError::NoVoters));
        assert_eq!(old.enter_joint(&target(&[1, 2, 3], &[])), Err(ChangeError::NoChange));
    }
}
