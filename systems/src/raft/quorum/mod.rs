//! Quorums: the sets of voters whose agreement decides.
//!
//! A [`Majority`] is more than half of a set of voters. While the membership changes there are two such sets, and a
//! [`Joint`] quorum is a majority of each (Ongaro's thesis, section 4.3; section 6 of the paper).

mod joint;
mod majority;

pub use joint::Joint;
pub use majority::Majority;

/// The result of counting votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoteResult {
    /// A quorum voted yes.
    Won,
    /// So many voters voted no that a quorum of yes votes is impossible.
    Lost,
    /// Neither, as long as voters are missing.
    Pending,
}
