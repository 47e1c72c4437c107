//! A failure: what broke, under a name that is the same for the same bug.

use serde::{Deserialize, Serialize};

use crate::check::linearizable::Explanation;

/// One violation in one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The same for the same bug over all seeds: the kind of check, its name, and what it is about. Never a time, a key
    /// or a line number.
    pub signature: String,
    /// When it became true, in virtual nanoseconds.
    pub at_ns: u64,
    /// What happened, for a reader.
    pub explanation: String,
    /// The same as data, if the check has it. It is for who made the run: it does not go where reports are sent.
    #[serde(skip)]
    pub details: Option<Box<Explanation>>,
}

impl Failure {
    /// A failure.
    pub fn new(signature: impl Into<String>, at_ns: u64, explanation: impl Into<String>) -> Failure {
        Failure { signature: signature.into(), at_ns, explanation: explanation.into(), details: None }
    }

    /// Whether its signature is `name`, or begins with that and a colon.
    pub fn is_of(&self, name: &str) -> bool {
        is_of(&self.signature, name)
    }
}

/// Whether a signature is `name`, or begins with that and a colon.
pub(crate) fn is_of(signature: &str, name: &str) -> bool {
    signature.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}
