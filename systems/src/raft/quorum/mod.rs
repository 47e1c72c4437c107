//! Quorums: who must agree before something is decided.
//!
//! A [`Majority`] is more than half of a set of voters. While the membership changes there are two such sets, and a
//! [`Joint`] quorum is a majority of each (Ongaro's thesis, section 4.3; section 6 of the paper).

mod joint;
mod majority;

pub use joint::Joint;
pub use majority::Majority;

/// What an election has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoteResult {
    /// Enough yeses.
    Won,
    /// So many noes that there never will be enough yeses.
    Lost,
    /// It may go either way.
    Pending,
}
