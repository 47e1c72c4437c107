//! Why a history is illegal, as data.

use serde::{Deserialize, Serialize};

/// A violation as data: what a picture of it shows. Texts that are long have their middles left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The model's name.
    pub model: String,
    /// What the operations are about: `key x`.
    pub part: String,
    /// By when there was no linearization, in virtual nanoseconds.
    pub at_ns: u64,
    /// Whether there was one just before.
    pub at_is_exact: bool,
    /// Completed operations that have a place in the longest linearizable prefix.
    pub placed: usize,
    /// Completed operations that have none.
    pub unplaced: usize,
    /// Operations of the prefix before the first one in `operations`.
    pub hidden: usize,
    /// The state that these leave.
    pub before: String,
    /// The last operations of the prefix in their order there, then those without a place in order of invocation.
    pub operations: Vec<Step>,
    /// The state after the prefix.
    pub state: String,
}

/// One operation of an [`Explanation`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The process that invoked it.
    pub process: u32,
    /// When it was invoked, in virtual nanoseconds.
    pub invoked_ns: u64,
    /// When it completed; none if it had not when the violation showed.
    pub ended_ns: Option<u64>,
    /// What it was asked to do.
    pub input: String,
    /// What it returned, if it returned something by then.
    pub output: Option<String>,
    /// Its place in the prefix, from 1; none if it could not be placed.
    pub place: Option<usize>,
    /// The state after it; none if it could not be placed.
    pub state: Option<String>,
    /// Why it could not be placed.
    pub why: Option<String>,
    /// What would have had to hold instead, if only that kept it out.
    pub needs: Option<String>,
}
