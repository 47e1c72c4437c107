//! The check of the clients' history: the operations on the log are linearizable.
//!
//! An append returns the index of its command, a read returns the last applied index: see [`sim::check::ordered`].

use sim::check::linearizable::Operation;
use sim::check::ordered::{self, Access};
use sim::check::{Check, Finished, Verdict, Violation};

use super::Index;
use super::workload::LogOp;

/// Whether the clients' history is linearizable.
pub struct Ordered;

impl Check for Ordered {
    const NAME: &'static str = "ordered";

    fn check(run: &Finished) -> Result<Verdict, String> {
        Ok(judge(&run.history.of::<LogOp>()).into())
    }
}

fn judge(history: &[Operation<LogOp, Index>]) -> Result<(), Violation> {
    ordered::check(history, |op, index| {
        Some(match op {
            LogOp::Append(_) => Access::Append(*index),
            LogOp::Read => Access::Read(*index),
        })
    })
}

#[cfg(test)]
mod tests {
    use sim::check::linearizable::Outcome;

    use super::*;

    fn about(second: LogOp, index: Index) -> Option<String> {
        let op = |op, (invoked, at), ret| Operation { process: 0, op, invoked, outcome: Outcome::Ok { at, ret } };
        judge(&[op(LogOp::Append(1), (0, 10), 5), op(second, (11, 20), index)]).err().map(|violation| violation.about)
    }

    #[test]
    fn a_read_covers_what_was_appended_before() {
        assert_eq!(about(LogOp::Read, 5), None);
        assert_eq!(about(LogOp::Read, 4).as_deref(), Some("stale"));
    }

    #[test]
    fn an_append_comes_behind_what_was_appended_before() {
        assert_eq!(about(LogOp::Append(2), 6), None);
        assert_eq!(about(LogOp::Append(2), 4).as_deref(), Some("order"));
        assert_eq!(about(LogOp::Append(2), 5).as_deref(), Some("index"));
    }
}
