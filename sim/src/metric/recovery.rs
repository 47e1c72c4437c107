//! Fault recovery time: from the moment at which a fault strikes to the end of the first operation that was invoked after it
//! and completed with a result.
//!
//! The metric needs no declaration: it uses the history and the list of faults. A fault without effect has a short recovery
//! time: the time until the next operation is invoked and completed. Operators' operations do not count.

use std::collections::BTreeMap;

use super::Recovery;
use crate::history::{Ended, Entry};

/// By kind of fault. `faults` are kinds and when they struck, `operations` in the order of their invocation.
pub(super) fn of<'a>(
    faults: &[(&'static str, u64)],
    operations: impl DoubleEndedIterator<Item = &'a Entry>,
) -> BTreeMap<String, Recovery> {
    // Those that completed, by invocation, latest first: each with the earliest end of all that were invoked no earlier.
    let mut ends: Vec<(u64, u64)> = Vec::new();
    for entry in operations.rev() {
        if let Some((ended, Ended::Ok)) = entry.ended {
            let earliest = ends.last().map_or(ended, |(_, later)| ended.min(*later));
            ends.push((entry.invoked, earliest));
        }
    }
    let mut recovery: BTreeMap<String, Recovery> = BTreeMap::new();
    for &(kind, struck) in faults {
        let after = ends.partition_point(|(invoked, _)| *invoked > struck);
        let of_kind = recovery.entry(kind.to_owned()).or_default();
        match after.checked_sub(1) {
            Some(first) => of_kind.time_ns.record(ends[first].1 - struck),
            None => of_kind.unrecovered += 1,
        }
    }
    recovery
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::tests::entry;

    fn times(faults: &[(&'static str, u64)], operations: &[Entry]) -> Vec<(String, Option<u64>, u64)> {
        let all = of(faults, operations.iter()).into_iter();
        all.map(|(kind, recovery)| (kind, recovery.time_ns.max(), recovery.unrecovered)).collect()
    }

    #[test]
    fn it_ends_with_the_first_operation_that_began_later_and_completed() {
        let operations = [
            entry(0, 10, Some((500, Ended::Ok))),
            entry(1, 120, Some((900, Ended::Ok))),
            entry(2, 130, Some((200, Ended::Failed))),
            entry(2, 210, None),
            entry(0, 510, Some((600, Ended::Ok))),
        ];
        // That which was under way does not count, nor what failed or never ended; the one that began last ended first.
        assert_eq!(times(&[("crash", 100)], &operations), [("crash".to_owned(), Some(500), 0)]);
        // An operation invoked at the moment of the fault was not invoked after it.
        assert_eq!(times(&[("crash", 510)], &operations), [("crash".to_owned(), None, 1)]);
    }

    #[test]
    fn each_kind_has_its_own_and_what_does_not_end_is_counted() {
        let operations = [entry(0, 10, Some((20, Ended::Ok))), entry(0, 30, Some((70, Ended::Ok)))];
        let faults = [("pause", 5), ("crash", 25), ("pause", 40), ("pause", 90)];
        let found = times(&faults, &operations);
        assert_eq!(found, [("crash".to_owned(), Some(45), 0), ("pause".to_owned(), Some(15), 2)]);
        assert!(times(&[], &operations).is_empty());
    }
}
