//! What an oracle finds wrong, and the failure that the run reports under a name that is the same for the same bug.

use serde::{Deserialize, Serialize};

use super::Explanation;

/// One violation in one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The signature, the same for the same bug with all seeds: the kind of check, its name and its subject, but no times, keys
    /// or line numbers.
    pub signature: String,
    /// The virtual time of the failure, in nanoseconds.
    pub at_ns: u64,
    /// The explanation.
    pub explanation: String,
    /// The explanation as data, if the check provides it. It is available only in the process that made the run.
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

/// What an oracle found wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What it is about, if the oracle tells bugs apart: part of the failure's signature, so the same for the same bug
    /// over all seeds. Often empty.
    pub about: String,
    /// When it became true, if not now.
    pub at_ns: Option<u64>,
    /// What happened, for a reader.
    pub explanation: String,
    /// The same as data, if the oracle has it.
    pub details: Option<Box<Explanation>>,
}

impl Violation {
    /// A violation that needs no telling apart.
    pub fn new(explanation: impl Into<String>) -> Violation {
        Violation { about: String::new(), at_ns: None, explanation: explanation.into(), details: None }
    }

    /// A violation that is told apart from the oracle's others: `about` is part of the signature, so it is the same for the same
    /// bug over all seeds.
    pub fn about(about: impl Into<String>, explanation: impl Into<String>) -> Violation {
        Violation { about: about.into(), ..Violation::new(explanation) }
    }

    /// The same, true since that virtual nanosecond and not only now.
    #[must_use]
    pub fn at(self, at_ns: u64) -> Violation {
        Violation { at_ns: Some(at_ns), ..self }
    }

    /// The failure's signature: the oracle's name, and what it is about.
    pub(crate) fn signature(&self, oracle: &str) -> String {
        if self.about.is_empty() { oracle.to_owned() } else { format!("{oracle}:{}", self.about) }
    }
}
