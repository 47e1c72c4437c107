//! Order in real time of an append-only log, judged without a search.
//!
//! An append returns the index that it was given, a read returns the last index of the log. Such a history is linearizable exactly
//! if no two appends have one index, an append that began after another operation had ended has an index above that operation's,
//! and a read that began after another operation had ended has at least that operation's index. Operations without a result are
//! no evidence against a log: they may have had an effect at any later time. See Herlihy and Wing, "Linearizability: A
//! Correctness Condition for Concurrent Objects" (TOPLAS 1990), section 2, for the order in real time.
//!
//! ```
//! use sim::check::linearizable::{Operation, Outcome};
//! use sim::check::ordered::{self, Access};
//!
//! let append = |invoked, at, index| Operation { process: 0, op: "append", invoked, outcome: Outcome::Ok { at, ret: index } };
//! let judge = |history: &[_]| ordered::check(history, |_: &&str, index: &u64| Some(Access::Append(*index)));
//! assert_eq!(judge(&[append(0, 10, 1), append(11, 20, 2)]), Ok(()));
//! assert_eq!(judge(&[append(0, 10, 2), append(11, 20, 1)]).unwrap_err().about, "order");
//! ```

use std::collections::BTreeSet;

use super::Violation;
use super::linearizable::{Operation, Outcome};

/// What an operation with a result did to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It appended an entry, which has this index, from 1.
    Append(u64),
    /// It saw the log up to this index; 0 is the empty log.
    Read(u64),
}

/// An operation that has ended.
struct Ended {
    invoked: u64,
    at: u64,
    index: u64,
    is_read: bool,
}

/// Checks a history. `access` says what an operation did that ended with a result; `None` leaves it out.
///
/// # Errors
/// The first violation: about `index` if two appends have one index, `order` if an append is not above what had ended before it
/// began, `stale` if a read is below that.
pub fn check<O, R>(history: &[Operation<O, R>], access: impl Fn(&O, &R) -> Option<Access>) -> Result<(), Violation> {
    let ended = history.iter().filter_map(|operation| {
        let Outcome::Ok { at, ret } = &operation.outcome else { return None };
        let (index, is_read) = match access(&operation.op, ret)? {
            Access::Append(index) => (index, false),
            Access::Read(index) => (index, true),
        };
        Some(Ended { invoked: operation.invoked, at: *at, index, is_read })
    });
    let mut by_begin: Vec<Ended> = ended.collect();
    by_begin.sort_by_key(|one| (one.invoked, one.at));
    let mut by_end: Vec<&Ended> = by_begin.iter().collect();
    by_end.sort_by_key(|one| (one.at, one.index));
    no_index_twice(&by_end)?;
    follows_real_time(&by_begin, &by_end)
}

fn no_index_twice(by_end: &[&Ended]) -> Result<(), Violation> {
    let mut taken = BTreeSet::new();
    match by_end.iter().find(|one| !one.is_read && !taken.insert(one.index)) {
        None => Ok(()),
        Some(Ended { at, index, .. }) => {
            Err(Violation::about("index", format!("two appends were given the index {index}")).at(*at))
        }
    }
}

fn follows_real_time(by_begin: &[Ended], by_end: &[&Ended]) -> Result<(), Violation> {
    let mut ended = by_end.iter().peekable();
    // The highest index of all operations that had ended by then.
    let mut seen = 0;
    for &Ended { invoked, at, index, is_read } in by_begin {
        while let Some(earlier) = ended.next_if(|earlier| earlier.at < invoked) {
            seen = seen.max(earlier.index);
        }
        if is_read && index < seen {
            let text = format!("a read saw the log up to {index}, which had reached {seen} before the read began");
            return Err(Violation::about("stale", text).at(at));
        }
        if !is_read && index <= seen {
            let text = format!("an append was given the index {index} when the log had reached {seen} before it began");
            return Err(Violation::about("order", text).at(at));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Op = Operation<fn(u64) -> Access, u64>;

    fn op(access: fn(u64) -> Access, (invoked, at): (u64, u64), index: u64) -> Op {
        Operation { process: 0, op: access, invoked, outcome: Outcome::Ok { at, ret: index } }
    }

    fn append(times: (u64, u64), index: u64) -> Op {
        op(Access::Append, times, index)
    }

    fn read(times: (u64, u64), index: u64) -> Op {
        op(Access::Read, times, index)
    }

    fn judge(history: &[Op]) -> Result<(), String> {
        check(history, |access, index| Some(access(*index))).map_err(|violation| violation.about)
    }

    fn wrong(about: &str) -> Result<(), String> {
        Err(about.to_owned())
    }

    #[test]
    fn one_growing_log_is_accepted() {
        let history = [
            append((0, 10), 1),
            // Both at once: either may be first.
            append((11, 30), 3),
            append((12, 20), 2),
            read((13, 19), 1),
            read((31, 40), 3),
        ];
        assert_eq!(judge(&history), Ok(()));
        assert_eq!(judge(&[append((0, 6), 2), append((6, 7), 1)]), Ok(()), "the same moment is no order");
        assert_eq!(judge(&[]), Ok(()));
    }

    #[test]
    fn a_read_below_what_had_ended_is_stale() {
        assert_eq!(judge(&[append((0, 10), 5), read((11, 20), 4)]), wrong("stale"));
        assert_eq!(judge(&[read((0, 10), 5), read((11, 20), 4)]), wrong("stale"));
        assert_eq!(judge(&[read((0, 10), 5), read((11, 20), 5)]), Ok(()));
    }

    #[test]
    fn an_append_is_above_what_had_ended() {
        assert_eq!(judge(&[append((0, 10), 5), append((11, 20), 4)]), wrong("order"));
        assert_eq!(judge(&[read((0, 10), 5), append((11, 20), 5)]), wrong("order"));
        assert_eq!(judge(&[read((0, 10), 5), append((11, 20), 6)]), Ok(()));
    }

    #[test]
    fn no_two_appends_have_one_index() {
        assert_eq!(judge(&[append((0, 10), 5), append((5, 20), 5)]), wrong("index"));
        assert_eq!(judge(&[append((0, 10), 5), read((5, 20), 5)]), Ok(()));
    }

    #[test]
    fn operations_without_a_result_are_left_out() {
        let unknown = Operation { outcome: Outcome::Unknown, ..append((0, 10), 0) };
        let failed = Operation { outcome: Outcome::Failed { at: 10 }, ..append((0, 10), 0) };
        assert_eq!(judge(&[append((0, 10), 5), unknown, failed, read((11, 20), 5)]), Ok(()));
        let violation = check(&[append((0, 10), 5), read((11, 20), 4)], |_, _| None);
        assert_eq!(violation, Ok(()));
    }

    #[test]
    fn a_violation_says_when_the_operation_ended() {
        let found = check(&[append((0, 10), 5), read((11, 20), 4)], |access, index| Some(access(*index)));
        assert_eq!(found.unwrap_err().at_ns, Some(20));
    }
}
