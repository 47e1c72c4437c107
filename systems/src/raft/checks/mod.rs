//! The invariants of Raft. They are checked at every event of every run, from the servers' events and their disks.
//!
//! | check | subject |
//! |---|---|
//! | [`ElectionSafety`], [`LeaderAppendOnly`], [`LogMatching`], [`LeaderCompleteness`], [`StateMachineSafety`] | the paper's Figure 3 |
//! | [`Quorums`] | votes, successive memberships, memberships in snapshots |
//! | [`DurableVote`], [`Monotonic`], [`Ordering`], [`Durability`] | the state of each server, also across crashes |
//! | [`CommittedOnDisks`] | committed entries are on the disks of a quorum |
//! | [`FastBackup`], [`TransferTargetUpToDate`] | fast backup of diverged followers; the target of a leadership transfer is up to date |
//! | [`FreshReads`], [`SameState`], [`AckedIsApplied`] | reads, replicated states, acknowledged commands |

mod disks;
mod leaders;
mod leading;
mod logs;
mod memberships;
mod memory;
mod protect;
mod quorums;
mod reads;
mod states;
#[cfg(test)]
mod testing;

pub use disks::CommittedOnDisks;
pub use leaders::{ElectionSafety, Leader, LeaderCompleteness};
pub use leading::{FastBackup, TransferTargetUpToDate};
pub use logs::{LeaderAppendOnly, LogMatching, StateMachineSafety};
pub use memory::{Durability, DurableVote, Monotonic, Ordering};
pub use protect::MajorityOfDisks;
pub use quorums::Quorums;
pub use reads::FreshReads;
pub use states::{AckedIsApplied, SameState};
