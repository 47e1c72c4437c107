//! The check of the clients' history: the operations on the log are linearizable.
//!
//! An append returns the index of its command, a read returns the last applied index. The history is linearizable exactly if
//! no two appends have the same index (`index`), later appends have higher indexes (`order`), and a read returns at least
//! every index seen before it began (`stale`). This needs no search.

use std::collections::BTreeMap;

use sim::check::linearizable::{Operation, Outcome};
use sim::check::{Check, Finished, Verdict, Violation};

use super::Index;
use super::workload::LogOp;

/// Whether the clients' history is linearizable.
pub struct Ordered;

impl Check for Ordered {
    const NAME: &'static str = "ordered";

    fn check(run: &Finished) -> Result<Verdict, String> {
        Ok(judge(&run.history.of::<LogOp>()).map_or(Verdict::Pass, Verdict::Fail))
    }
}

struct Done {
    invoked: u64,
    at: u64,
    index: Index,
    is_read: bool,
}

fn judge(history: &[Operation<LogOp, Index>]) -> Option<Violation> {
    let done = history.iter().filter_map(|operation| match operation.outcome {
        Outcome::Ok { at, ret } => {
            Some(Done { invoked: operation.invoked, at, index: ret, is_read: operation.op == LogOp::Read })
        }
        _ => None,
    });
    let mut by_begin: Vec<Done> = done.collect();
    by_begin.sort_by_key(|done| (done.invoked, done.at));
    let mut by_end: Vec<&Done> = by_begin.iter().collect();
    by_end.sort_by_key(|done| done.at);
    let violation = |about: &str, at: u64, explanation: String| {
        Some(Violation { about: about.to_owned(), at_ns: Some(at), ..Violation::new(explanation) })
    };

    let mut taken: BTreeMap<Index, u64> = BTreeMap::new();
    for append in by_end.iter().filter(|done| !done.is_read) {
        if taken.insert(append.index, append.at).is_some() {
            return violation("index", append.at, format!("two commands were appended at index {}", append.index));
        }
    }
    // The highest index returned by operations that ended before the present one began.
    let mut ended = by_end.into_iter().peekable();
    let mut seen = 0;
    for done in &by_begin {
        while let Some(earlier) = ended.next_if(|earlier| earlier.at < done.invoked) {
            seen = seen.max(earlier.index);
        }
        if done.is_read && done.index < seen {
            let text = format!("a read returned index {}, but index {seen} was seen before the read began", done.index);
            return violation("stale", done.at, text);
        }
        if !done.is_read && done.index <= seen {
            let text = format!(
                "a command was appended at index {}, but index {seen} was seen before the append began",
                done.index
            );
            return violation("order", done.at, text);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(op: LogOp, invoked: u64, at: u64, ret: Index) -> Operation<LogOp, Index> {
        Operation { process: 0, op, invoked, outcome: Outcome::Ok { at, ret } }
    }

    fn about(history: &[Operation<LogOp, Index>]) -> Option<String> {
        judge(history).map(|violation| violation.about)
    }

    #[test]
    fn a_growing_log_is_accepted() {
        let history = [
            op(LogOp::Append(1), 0, 10, 1),
            // Two concurrent appends may take effect in either order.
            op(LogOp::Append(2), 11, 30, 3),
            op(LogOp::Append(3), 12, 20, 2),
            op(LogOp::Read, 13, 19, 1),
            op(LogOp::Read, 31, 40, 3),
        ];
        assert_eq!(about(&history), None);
    }

    #[test]
    fn stale_reads_lost_appends_and_double_indexes_are_rejected() {
        let append = |invoked, at, index| op(LogOp::Append(index), invoked, at, index);
        assert_eq!(about(&[append(0, 10, 5), op(LogOp::Read, 11, 20, 4)]).as_deref(), Some("stale"));
        assert_eq!(about(&[op(LogOp::Read, 0, 10, 5), op(LogOp::Read, 11, 20, 4)]).as_deref(), Some("stale"));
        assert_eq!(about(&[append(0, 10, 5), append(11, 20, 4)]).as_deref(), Some("order"));
        assert_eq!(about(&[op(LogOp::Read, 0, 10, 5), append(11, 20, 5)]).as_deref(), Some("order"));
        assert_eq!(about(&[append(0, 10, 5), append(5, 20, 5)]).as_deref(), Some("index"));
    }
}
