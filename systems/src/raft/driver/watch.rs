//! Watches a server from beside it: whether it stands for election when Figure 2 says and not before, and what it does about
//! refusals and transfers.
//!
//! The core counts for itself how long it has heard nothing. The watch counts again, from nothing but the messages that come
//! and the ticks that pass, so that a timer which something wrong starts anew, or something right does not, is seen in the
//! very run in which it happens, and not just by how long the cluster has no leader.

use std::mem::discriminant;

use sim::{GroupId, always, observe};

use crate::raft::Id;
use crate::raft::core::{Core, Output, Role};
use crate::raft::events;
use crate::raft::message::{Body, Message};
use crate::raft::progress::ReplicationState;

/// What the watch knows of a server. Times are in ticks.
pub(super) struct Watch {
    group: GroupId,
    /// When it last heard from a leader of its term or gave its vote; 0 if it did neither, as a server that starts waits too.
    bound_since: u64,
    /// Since when it has been a follower with a vote that neither heard from a leader nor gave its vote.
    idle_since: u64,
}

impl Watch {
    pub fn new(group: GroupId) -> Watch {
        Watch { group, bound_since: 0, idle_since: 0 }
    }

    /// Gives the core a tick.
    ///
    /// Figure 2, Followers: if election timeout elapses without receiving AppendEntries RPC from current leader or granting
    /// vote to candidate, convert to candidate. The timeout is drawn between one election timeout and two.
    pub fn tick(&mut self, core: &mut Core) {
        let before = (core.term(), discriminant(core.role()));
        core.tick();
        let (now, election) = (core.now(), core.election_ticks());
        let stands = matches!(core.role(), Role::PreCandidate(_) | Role::Candidate(_));
        if stands && before != (core.term(), discriminant(core.role())) {
            let waited = now - self.bound_since;
            always!(
                waited >= election,
                "raft.no-early-election",
                "stands for election {waited} ticks after it heard from its leader or gave its vote: less than {election}"
            );
        }
        if !matches!(core.role(), Role::Follower) || !core.log().is_promotable(core.id()) {
            self.idle_since = now;
        }
        let idle = now - self.idle_since;
        always!(
            idle < 2 * election,
            "raft.election-in-time",
            "has neither heard from a leader nor given its vote for {idle} ticks, and does not stand for election"
        );
    }

    /// Gives the core a message.
    pub fn step(&mut self, core: &mut Core, message: Message) {
        let (from, term, now) = (message.from, message.term, core.now());
        let vote = (core.term(), core.voted_for());
        let heard =
            matches!(message.body, Body::AppendEntries { .. } | Body::InstallSnapshot { .. }) && term >= core.term();
        let asked = matches!(message.body, Body::RequestVote { .. });
        let refusal = match message.body {
            Body::AppendEntriesReply { result: Err(conflict), .. } => {
                core.progress(from).map(|of| (conflict, of.state, of.next_index))
            }
            _ => None,
        };
        core.step(message);
        let has_vote = asked && (term, Some(from)) == (core.term(), core.voted_for());
        if heard || has_vote && vote != (term, Some(from)) {
            self.bound_since = now;
        }
        // A candidate that asks again for a vote that it has gets it again, unless the log has grown meanwhile.
        if heard || has_vote || !matches!(core.role(), Role::Follower) {
            self.idle_since = now;
        }
        if let Some((conflict, state, next)) = refusal
            && core.progress(from).is_some_and(|of| of.next_index < next)
        {
            let again = matches!(state, ReplicationState::Probe { .. });
            let (follower, refused, theirs) = (from.0, conflict.refused, conflict.term);
            observe!(group: self.group, events::NextIndexDecreased { term, follower, refused, theirs, again });
        }
    }
}

/// Says that a server is told to stand for election at once. What the leader's log got since it decided that is in the same
/// output.
pub(super) fn timeout_now_sent(group: GroupId, core: &Core, output: &Output, to: Id) {
    let since = output.persist.as_ref().and_then(|persist| persist.entries.first());
    let last = since.map_or(core.log().last().index, |entry| entry.index - 1);
    observe!(group: group, events::TimeoutNowSent { to: to.0, last });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::Config;
    use crate::raft::core::Restored;
    use crate::raft::membership::Membership;
    use crate::raft::message::{Position, SnapshotMeta};

    const ELECTION: u64 = 10;

    /// One of three servers, as patient as can be.
    fn server() -> Core {
        let membership = Membership::of([Id(0), Id(1), Id(2)]);
        let snapshot = SnapshotMeta { membership, ..SnapshotMeta::default() };
        let config = Config { election_ticks: ELECTION, pre_vote: false, ..Config::default() };
        Core::new(Id(0), config, Restored { snapshot, ..Restored::default() }, Box::new(|n| n - 1))
    }

    fn heartbeat() -> Message {
        let body = Body::AppendEntries { prev: Position::default(), entries: Vec::new(), commit: 0, round: 1 };
        Message { from: Id(1), to: Id(0), term: 1, body }
    }

    #[test]
    fn who_stands_between_one_timeout_and_two_is_in_time() {
        let (mut core, mut watch) = (server(), Watch::new(GroupId::new(0)));
        for tick in 0..6 * ELECTION {
            if tick == ELECTION {
                watch.step(&mut core, heartbeat());
            }
            watch.tick(&mut core);
            core.output();
        }
        assert!(matches!(core.role(), Role::Candidate(_)) && core.term() > 2);
    }

    #[test]
    #[should_panic(expected = "no-early-election")]
    fn who_stands_sooner_after_a_heartbeat_is_not() {
        let (mut core, mut watch) = (server(), Watch::new(GroupId::new(0)));
        (1..2 * ELECTION - 1).for_each(|_| watch.tick(&mut core));
        // It heard from a leader, and its timer knows nothing of that.
        watch.bound_since = core.now();
        watch.tick(&mut core);
    }

    #[test]
    #[should_panic(expected = "election-in-time")]
    fn who_waits_for_more_than_two_timeouts_is_not() {
        let (mut core, mut watch) = (server(), Watch::new(GroupId::new(0)));
        for _ in 0..3 * ELECTION {
            watch.tick(&mut core);
            // Its timer starts anew, and the watch has not seen why.
            core.step(heartbeat());
        }
    }
}
