//! The check on what clients saw: order kept, nothing invented, nothing twice.
//!
//! Nothing can excuse a violation of these, so they are judged from the history alone, disk faults or not. That nothing is
//! *missing* is another matter: see [`super::checks::ReadBack`].

use std::collections::{BTreeMap, BTreeSet};

use sim::check::linearizable::{Operation, Outcome};
use sim::check::ordered::{self, Access};
use sim::check::{Check, Finished, Verdict, Violation};

use super::events::Contents;
use super::workload::{JournalOp, JournalRet};

type Operated = Operation<JournalOp, JournalRet>;

/// Numbers follow real time, and every read has what was sent, once, under the number that it has.
pub struct Ordered;

impl Check for Ordered {
    const NAME: &'static str = "ordered";

    fn check(run: &Finished) -> Result<Verdict, String> {
        Ok(judge(&run.history.of::<JournalOp>()).into())
    }
}

/// A record, as its client knows it.
struct Sent {
    invoked: u64,
    /// Whether it was refused.
    refused: bool,
    /// When the client was told its number, and the number.
    acked: Option<(u64, u64)>,
    /// All numbers that it ever had. More than one, if the record was lost before its client was told the number, and sent
    /// again.
    places: BTreeSet<u64>,
}

fn judge(history: &[Operated]) -> Result<(), Violation> {
    let mut sent: BTreeMap<u64, Sent> = BTreeMap::new();
    for operation in history {
        let JournalOp::Append { record } = operation.op else { continue };
        let refused = matches!(operation.outcome, Outcome::Failed { .. });
        let mut entry = Sent { invoked: operation.invoked, refused, acked: None, places: BTreeSet::new() };
        match &operation.outcome {
            Outcome::Ok { at, ret: JournalRet::Appended(index) } => {
                entry.acked = Some((*at, *index));
                entry.places.insert(*index);
            }
            Outcome::Ok { ret, .. } => panic!("an append returned {ret:?}: the history was recorded wrongly"),
            Outcome::Failed { .. } | Outcome::Unknown => {}
        }
        sent.insert(record, entry);
    }
    ordered::check(history, |_, ret| match ret {
        JournalRet::Appended(index) => Some(Access::Append(*index)),
        JournalRet::Contents(_) => None,
    })?;
    let reads = || {
        history.iter().filter_map(|operation| match &operation.outcome {
            Outcome::Ok { at, ret: JournalRet::Contents(contents) } => Some((operation.invoked, *at, contents)),
            _ => None,
        })
    };
    for (_, _, contents) in reads() {
        for (index, record) in &contents.records {
            if let Some(sent) = sent.get_mut(record) {
                sent.places.insert(*index);
            }
        }
    }
    let mut numbers = BTreeMap::new();
    for (invoked, at, contents) in reads() {
        read(contents, (invoked, at), &sent, &mut numbers)?;
    }
    Ok(())
}

/// Judges a read from `invoked` to `at`. `numbers` has what was read before under each number.
fn read(
    contents: &Contents,
    (invoked, at): (u64, u64),
    sent: &BTreeMap<u64, Sent>,
    numbers: &mut BTreeMap<u64, u64>,
) -> Result<(), Violation> {
    let mut last = 0;
    for &(index, record) in &contents.records {
        if index <= last {
            return Err(Violation::about("order", format!("a read has record {index} after record {last}")).at(at));
        }
        last = index;
        let Some(sent) = sent.get(&record).filter(|sent| sent.invoked <= at) else {
            return Err(
                Violation::about("invented", format!("a read has a record {index} that nobody had sent")).at(at)
            );
        };
        if sent.refused {
            return Err(Violation::about("refused", format!("a read has record {index}, which was refused")).at(at));
        }
        if let Some((_, said)) = sent.acked.filter(|&(acked, said)| acked < invoked && said > index) {
            return Err(Violation::about(
                "number",
                format!("a read has a record under {index} that was acknowledged as {said}"),
            )
            .at(at));
        }
        // It was sent again because the former one is lost; and then that is known.
        if let Some(other) = sent.places.range(..index).find(|&&other| !contents.is_lost(other)) {
            return Err(Violation::about("twice", format!("a record is there as {other} and as {index}")).at(at));
        }
        if *numbers.entry(index).or_insert(record) != record {
            return Err(Violation::about(
                "number",
                format!("two reads have different records under the number {index}"),
            )
            .at(at));
        }
        if contents.is_lost(index) {
            return Err(Violation::about("lost", format!("a read has record {index} and says that it is lost")).at(at));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::state::Lost;
    use super::*;

    fn append(record: u64, times: (u64, u64), index: u64) -> Operated {
        let outcome = Outcome::Ok { at: times.1, ret: JournalRet::Appended(index) };
        Operation { process: 1, op: JournalOp::Append { record }, invoked: times.0, outcome }
    }

    fn ended(record: u64, outcome: Outcome<JournalRet>) -> Operated {
        Operation { process: 1, op: JournalOp::Append { record }, invoked: 0, outcome }
    }

    fn list(times: (u64, u64), records: &[(u64, u64)]) -> Operated {
        let contents = Contents { records: records.to_vec(), lost: Vec::new() };
        let outcome = Outcome::Ok { at: times.1, ret: JournalRet::Contents(contents) };
        Operation { process: 2, op: JournalOp::Read, invoked: times.0, outcome }
    }

    fn about(history: &[Operated]) -> String {
        judge(history).expect_err("it must be rejected").about
    }

    #[test]
    fn an_ordinary_history_is_accepted() {
        let history = [
            append(11, (0, 5), 1),
            append(12, (1, 6), 3),
            ended(13, Outcome::Unknown),
            ended(14, Outcome::Failed { at: 9 }),
            list((6, 8), &[(1, 11), (2, 13), (3, 12)]),
            list((8, 9), &[(1, 11), (3, 12)]),
        ];
        assert_eq!(judge(&history), Ok(()));
    }

    #[test]
    fn numbers_must_follow_real_time() {
        assert_eq!(about(&[append(11, (0, 5), 2), append(12, (6, 7), 1)]), "order");
        assert_eq!(judge(&[append(11, (0, 6), 2), append(12, (6, 7), 1)]), Ok(()), "at the same time");
    }

    #[test]
    fn a_number_is_given_once() {
        assert_eq!(about(&[append(11, (0, 5), 1), append(12, (1, 5), 1)]), "index");
        let two = [
            ended(11, Outcome::Unknown),
            ended(12, Outcome::Unknown),
            list((1, 2), &[(1, 11)]),
            list((3, 4), &[(1, 12)]),
        ];
        assert_eq!(about(&two), "number");
        assert_eq!(about(&[append(11, (0, 5), 3), list((6, 7), &[(2, 11)])]), "number");
    }

    #[test]
    fn nothing_is_invented() {
        assert_eq!(about(&[list((0, 1), &[(1, 11)])]), "invented");
        assert_eq!(about(&[list((0, 1), &[(1, 11)]), append(11, (2, 3), 1)]), "invented");
        assert_eq!(about(&[ended(11, Outcome::Failed { at: 1 }), list((2, 3), &[(1, 11)])]), "refused");
    }

    #[test]
    fn nothing_is_there_twice_nor_out_of_order() {
        assert_eq!(about(&[ended(11, Outcome::Unknown), list((1, 2), &[(1, 11), (2, 11)])]), "twice");
        let swapped = [ended(11, Outcome::Unknown), ended(12, Outcome::Unknown), list((1, 2), &[(2, 12), (1, 11)])];
        assert_eq!(about(&swapped), "order");
    }

    #[test]
    fn a_record_that_was_lost_may_come_again_under_another_number() {
        let lost = Contents { records: vec![(3, 11)], lost: vec![Lost { first: 1, last: 1, ambiguous: false }] };
        let mut history = [
            list((1, 2), &[(1, 11)]),
            append(11, (0, 5), 3),
            Operation { outcome: Outcome::Ok { at: 7, ret: JournalRet::Contents(lost) }, ..list((6, 7), &[]) },
        ];
        assert_eq!(judge(&history), Ok(()));
        history[2] = list((6, 7), &[(3, 11)]);
        assert_eq!(about(&history), "twice", "nobody says that the first one is lost");
        assert_eq!(about(&[append(11, (0, 5), 1), list((6, 7), &[(2, 11)])]), "twice");
    }

    #[test]
    fn what_is_there_is_not_lost() {
        let mut history = [append(11, (0, 1), 1), list((2, 3), &[(1, 11)])];
        assert_eq!(judge(&history), Ok(()));
        if let Outcome::Ok { ret: JournalRet::Contents(contents), .. } = &mut history[1].outcome {
            contents.lost.push(Lost { first: 1, last: 4, ambiguous: false });
        }
        assert_eq!(about(&history), "lost");
    }
}
