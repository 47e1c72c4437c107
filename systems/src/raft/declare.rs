//! The declarations of every system on Raft: events, the selector `leader`, the protection of disks, and the invariants.

use sim::{Manifest, System};

use super::checks::{
    CommittedOnDisks, Durability, DurableVote, ElectionSafety, FastBackup, FreshReads, Leader, LeaderAppendOnly,
    LeaderCompleteness, LogMatching, MajorityOfDisks, Monotonic, Ordering, Quorums, SameState, StateMachineSafety,
    TransferTargetUpToDate,
};
use super::events::BecameLeader;

/// Declares the events, selectors, protections and invariants, for each group of nodes that runs Raft: see [`sim::group`].
pub fn declare<S: System>(m: &mut Manifest<S>) {
    m.events_beside::<BecameLeader>();
    m.per_group()
        .selector::<Leader>()
        .protected::<MajorityOfDisks>()
        .invariant::<ElectionSafety>()
        .invariant::<LeaderAppendOnly>()
        .invariant::<LogMatching>()
        .invariant::<LeaderCompleteness>()
        .invariant::<StateMachineSafety>()
        .invariant::<DurableVote>()
        .invariant::<Monotonic>()
        .invariant::<Ordering>()
        .invariant::<Durability>()
        .invariant::<CommittedOnDisks>()
        .invariant::<Quorums>()
        .invariant::<FastBackup>()
        .invariant::<TransferTargetUpToDate>()
        .invariant::<FreshReads>()
        .invariant::<SameState>();
}
