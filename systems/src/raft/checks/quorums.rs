//! Quorums: leaders have one, and successive memberships have no disjoint ones.

use std::collections::{BTreeMap, BTreeSet};

use sim::check::{Invariant, Violation};
use sim::event::On;

use super::super::events::{Appended, BecameLeader, Members, MembersApplied, Voted};
use super::memberships::{Memberships, Voters};

/// Three properties of quorums:
/// - `elected`: a leader has the votes of a quorum of the membership in its log;
/// - `disjoint`: successive memberships have no disjoint quorums (section 6);
/// - `snapshot`: a snapshot has the latest membership committed up to its last entry.
#[derive(Default)]
pub struct Quorums {
    memberships: Memberships,
    votes: BTreeMap<(u64, u64), BTreeSet<u64>>,
    /// The committed memberships by index. The initial membership has index 0.
    committed: BTreeMap<u64, Voters>,
}

impl Invariant for Quorums {
    const NAME: &'static str = "quorums";

    fn subscribe(on: &mut On<Self>) {
        on.fold::<Appended>(|this, moment, event| {
            this.memberships.appended(moment.node, event.index);
        });
        on.fold::<Voted>(|this, moment, event| {
            this.votes.entry((event.term, event.candidate)).or_default().insert(moment.node.index() as u64);
        });
        on.fold::<MembersApplied>(|this, _, event| {
            let MembersApplied { index, incoming, outgoing, learners } = event.clone();
            this.committed.insert(index, Voters { incoming, outgoing, learners });
        });
        on.event::<Members>(|this, moment, event| {
            let Members { index, base, incoming, outgoing, learners } = event.clone();
            let voters = Voters { incoming, outgoing, learners };
            if base {
                let known = this.committed.entry(0).or_insert_with(|| voters.clone());
                let known = if index > 0 {
                    this.committed.range(..=index).next_back().map(|(_, of)| of)
                } else {
                    Some(&*known)
                };
                if known.is_some_and(|known| *known != voters) {
                    let text =
                        format!("has {voters:?} as of entry {index}, but the membership committed then is different");
                    return Err(Violation::about("snapshot", text));
                }
            } else if let Some(before) = this.memberships.in_force(moment.node)
                && !before.overlaps(&voters)
            {
                return Err(Violation::about(
                    "disjoint",
                    format!("{before:?} and then {voters:?} have disjoint quorums"),
                ));
            }
            this.memberships.has(moment.node, index, base, voters);
            Ok(())
        });
        on.event::<BecameLeader>(|this, moment, event| {
            let me = moment.node.index() as u64;
            let none = BTreeSet::new();
            let votes = this.votes.get(&(event.term, me)).unwrap_or(&none);
            match this.memberships.in_force(moment.node) {
                Some(voters) if !voters.decided(|id| id == me || votes.contains(&id)) => Err(Violation::about(
                    "elected",
                    format!("leads term {} with the votes of {votes:?}, not a quorum of {voters:?}", event.term),
                )),
                _ => Ok(()),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use sim::observe;

    use super::super::testing::{History, at, violations_of};
    use super::*;

    fn members(index: u64, base: bool, incoming: &[u64]) -> impl Fn() + Send + 'static {
        let incoming = incoming.to_vec();
        move || observe!(Members { index, base, incoming: incoming.clone(), outgoing: vec![], learners: vec![] })
    }

    fn voted(candidate: u64) -> impl Fn() + Send + 'static {
        move || observe!(Voted { term: 2, candidate })
    }

    const LEADS: fn() = || observe!(BecameLeader { term: 2 });

    #[test]
    fn a_leader_needs_the_votes_of_a_quorum() {
        let base = || members(0, true, &[0, 1, 2]);
        assert!(violations_of::<Quorums>(vec![at(0, base()), at(1, voted(0)), at(0, LEADS)]).is_empty());
        let alone = violations_of::<Quorums>(vec![at(0, base()), at(1, voted(2)), at(0, LEADS)]);
        assert_eq!(alone, ["quorums:elected"]);
    }

    #[test]
    fn successive_memberships_overlap() {
        let base = || members(0, true, &[0, 1, 2]);
        let one = vec![at(0, base()), at(0, members(1, false, &[0, 1, 2, 3]))];
        assert!(violations_of::<Quorums>(one).is_empty());
        let two = vec![at(0, base()), at(0, members(1, false, &[3, 4]))];
        assert_eq!(violations_of::<Quorums>(two), ["quorums:disjoint"]);
    }

    #[test]
    fn a_snapshot_has_the_committed_membership() {
        let applied =
            || observe!(MembersApplied { index: 5, incoming: vec![0, 1], outgoing: vec![], learners: vec![] });
        let history = |later: &[u64]| -> History {
            vec![at(0, members(0, true, &[0, 1, 2])), at(0, applied), at(1, members(9, true, later))]
        };
        assert!(violations_of::<Quorums>(history(&[0, 1])).is_empty());
        assert_eq!(violations_of::<Quorums>(history(&[0, 1, 2])), ["quorums:snapshot"]);
    }
}
