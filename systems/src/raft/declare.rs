//! The declarations of every system on Raft: events, the selector `leader`, the protection of disks, and the invariants.

use sim::{Manifest, System};

use super::checks::{
    CommittedOnDisks, Durability, DurableVote, ElectionSafety, FastBackup, FreshReads, Leader, LeaderAppendOnly,
    LeaderCompleteness, LogMatching, MajorityOfDisks, Monotonic, Ordering, Quorums, SameState, StateMachineSafety,
    TransferTargetUpToDate,
};
use super::events;

/// Declares the events, selectors, protections and invariants, for each group of nodes that runs Raft: see [`sim::group`].
pub fn declare<S: System>(m: &mut Manifest<S>) {
    m.event::<events::BecameLeader>()
        .event::<events::Voted>()
        .event::<events::Restored>()
        .event::<events::Forgotten>()
        .event::<events::Appended>()
        .event::<events::Wrote>()
        .event::<events::Committed>()
        .event::<events::Applied>()
        .event::<events::Installed>()
        .event::<events::Compacted>()
        .event::<events::Members>()
        .event::<events::MembersApplied>()
        .event::<events::Acted>()
        .event::<events::NextIndexDecreased>()
        .event::<events::TimeoutNowSent>()
        .event::<events::State>()
        .event::<events::ReadIndexRequested>()
        .event::<events::ReadIndexReceived>();
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
