//! What must hold at every moment of every run, judged from what servers say and from what is on their disks.
//!
//! The first five are the properties of the paper's Figure 3.

mod disks;
mod leaders;
mod logs;

pub use disks::{CommittedOnDisks, DurableVote, Monotonic};
pub use leaders::{ElectionSafety, Leader, LeaderCompleteness};
pub use logs::{LeaderAppendOnly, LogMatching, StateMachineSafety};
