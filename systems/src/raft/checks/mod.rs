//! What must hold at every moment of every run, judged from what servers say and from what is on their disks.
//!
//! | check | what it is about |
//! |---|---|
//! | [`ElectionSafety`], [`LeaderAppendOnly`], [`LogMatching`], [`LeaderCompleteness`], [`StateMachineSafety`] | the paper's Figure 3 |
//! | [`Quorums`] | votes, memberships that follow each other, members in snapshots |
//! | [`DurableVote`], [`Monotonic`], [`Ordering`], [`Remembers`] | what each server must keep, also through a crash |
//! | [`CommittedOnDisks`] | what is committed is on the disks of a quorum |
//! | [`BacksUp`], [`HandsOver`] | that followers are brought into line, and leadership is handed over, without detours |
//! | [`FreshReads`], [`SameState`], [`AckedIsApplied`] | what clients are told |

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
pub use leading::{BacksUp, HandsOver};
pub use logs::{LeaderAppendOnly, LogMatching, StateMachineSafety};
pub use memory::{DurableVote, Monotonic, Ordering, Remembers};
pub use protect::MajorityOfDisks;
pub use quorums::Quorums;
pub use reads::FreshReads;
pub use states::{AckedIsApplied, SameState};
