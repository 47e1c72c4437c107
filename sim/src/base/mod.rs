//! The vocabulary that all else is said in. It knows nothing of what uses it.
//!
//! | file | what |
//! |---|---|
//! | `units` | spans of time, amounts of data and rates as people write them |
//! | `latency` | how long a link or a disk takes |
//! | `ids` | nodes, groups and addresses |
//! | `phase` | the parts of a run |
//! | `glob` | names with wildcards |
//! | `failure`, `explanation` | what an oracle finds wrong, in words and as data |
//! | `effects` | what faults really did, counted |
//! | `slab` | values in slots that are reused, under names that are not |
//! | [`seed`] | one seed, many keyed streams of draws |
//! | [`codec`] | the one place where values become bytes |

pub mod codec;
pub(crate) mod effects;
mod explanation;
pub(crate) mod failure;
mod glob;
mod ids;
mod latency;
mod phase;
pub mod seed;
pub(crate) mod slab;
mod units;

pub use effects::Dose;
pub(crate) use effects::Effects;
pub use explanation::{Explanation, Step};
pub use failure::{Failure, Violation};
pub(crate) use glob::glob_matches;
pub use ids::{Addr, GroupId, NodeId};
pub use latency::Latency;
pub use phase::Phase;
pub use units::{Capacity, Iops, Offset, Rate, Size, Time};
