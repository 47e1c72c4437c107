//! A violation in data and in words.
//!
//! What a reader needs to see is the point from which there was no way on: the longest order that still
//! explains the results, the state it leaves, and the completed operations for which it has no place.
//! That is given for the earliest illegal prefix rather than for the whole history, which after the
//! first wrong result tends to be wrong in many more places.

use std::time::Duration;

use super::cut::{Entry, IllegalPrefix};
use super::{Model, Operation};

/// Lines of the longest prefix to show: its end is what matters.
const SHOWN_PLACED: usize = 6;
/// Lines of unplaced operations to show.
const SHOWN_UNPLACED: usize = 6;
/// Characters of a state or an operation to show.
const SHOWN_CHARS: usize = 160;

/// Why a history is not linearizable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What the operations that have no linearization are about: `key x`.
    pub part: String,
    /// Completion time (ns) of the earliest operation by whose completion there was none: what had been
    /// observed by then is illegal, whatever came later. Failed operations count as never invoked.
    pub at: u64,
    /// Whether `at` is certainly the earliest; otherwise the budget ended before all earlier times were
    /// excluded.
    pub at_is_exact: bool,
    /// Of the operations up to `at`, an order which the model accepts and which has as many completed ones
    /// as the search could place: indexes into the history. Those not completed by `at` are in it if they
    /// are assumed to have taken effect.
    pub prefix: Vec<usize>,
    /// The state after `prefix`, in `Debug` form.
    pub state: String,
    /// The operations completed by `at` that are not in `prefix`, in order of invocation; never empty.
    pub unplaced: Vec<Unplaced>,
    /// All of this in a few lines.
    pub explanation: String,
    /// Steps taken over all keys.
    pub steps: u64,
}

/// A completed operation that could not be placed after the longest prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unplaced {
    /// Its index into the history.
    pub index: usize,
    /// What kept it out.
    pub reason: Reason,
}

/// What kept an operation out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It cannot have returned what it did in the state after the prefix.
    Refused,
    /// It was invoked after this operation (an index into the history) had completed, which could not be
    /// placed itself.
    After(usize),
}

/// Explains why `prefix` is illegal. The steps are for the caller to fill in.
pub(super) fn explain<M: Model>(
    history: &[Operation<M::Op, M::Ret>],
    keys: &[M::Key],
    prefix: &IllegalPrefix<'_, M>,
) -> Violation {
    let entries = &prefix.entries;
    let mut is_placed = vec![false; entries.len()];
    let mut state = M::init();
    let mut placed = Vec::new();
    for &number in &prefix.dead_end.longest {
        let entry = &entries[number as usize];
        state = M::step(&state, entry.op, entry.ret).expect("the search took this step");
        is_placed[number as usize] = true;
        placed.push(entry);
    }
    let left: Vec<&Entry<M>> = entries
        .iter()
        .zip(&is_placed)
        .filter(|(entry, is_placed)| entry.at.is_some() && !**is_placed)
        .map(|(entry, _)| entry)
        .collect();
    // The one that completed first blocks all the others that anything blocks.
    let first = left
        .iter()
        .min_by_key(|entry| (entry.at, entry.index))
        .expect("an illegal prefix leaves some operation unplaced");
    let unplaced: Vec<Unplaced> = left
        .iter()
        .map(|entry| Unplaced {
            index: entry.index,
            reason: if first.at < Some(entry.invoked) { Reason::After(first.index) } else { Reason::Refused },
        })
        .collect();

    let mut violation = Violation {
        part: M::part(keys),
        at: prefix.at,
        at_is_exact: prefix.exact,
        prefix: placed.iter().map(|entry| entry.index).collect(),
        state: M::describe_state(&state),
        unplaced,
        explanation: String::new(),
        steps: 0,
    };
    violation.explanation = narrate::<M>(history, &violation, &placed, &left);
    violation
}

fn narrate<M: Model>(
    history: &[Operation<M::Op, M::Ret>],
    violation: &Violation,
    placed: &[&Entry<'_, M>],
    left: &[&Entry<'_, M>],
) -> String {
    let line = |entry: &Entry<M>| {
        let process = history[entry.index].process;
        let what = shorten(&M::describe(entry.op, entry.ret));
        let from = time(entry.invoked);
        match entry.at {
            Some(at) => format!("p{process} {what}  [{from} .. {}]", time(at)),
            None => format!("p{process} {what}  [{from} .. open, assumed to have taken effect]"),
        }
    };

    let mut lines = vec![format!(
        "{}: the operations on {} are not linearizable {} {}",
        M::NAME,
        violation.part,
        if violation.at_is_exact { "from" } else { "at the latest from" },
        time(violation.at),
    )];
    let done = placed.iter().filter(|entry| entry.at.is_some()).count();
    lines
        .push(format!("longest linearizable prefix: {done} of the {} operations completed by then", done + left.len()));
    let hidden = placed.len().saturating_sub(SHOWN_PLACED);
    if hidden > 0 {
        lines.push(format!("  ... {hidden} before"));
    }
    lines.extend(placed[hidden..].iter().map(|entry| format!("  {}", line(entry))));
    lines.push(format!("it leaves the state {}", shorten(&violation.state)));
    lines.push("and no place for".to_string());
    for (entry, unplaced) in left.iter().zip(&violation.unplaced).take(SHOWN_UNPLACED) {
        let why = match unplaced.reason {
            Reason::Refused => "not possible in this state".to_string(),
            Reason::After(first) => {
                let Operation { process, op, .. } = &history[first];
                format!("invoked after p{process} {} had completed", shorten(&M::describe(op, None)))
            }
        };
        lines.push(format!("  {}: {why}", line(entry)));
    }
    if left.len() > SHOWN_UNPLACED {
        lines.push(format!("  ... {} more", left.len() - SHOWN_UNPLACED));
    }
    lines.join("\n")
}

fn time(nanoseconds: u64) -> String {
    format!("{:?}", Duration::from_nanos(nanoseconds))
}

/// `text`, its middle left out if it is long: values that grow differ at their end.
fn shorten(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= SHOWN_CHARS {
        return text.to_string();
    }
    let half = SHOWN_CHARS / 2;
    let start: String = chars[..half].iter().collect();
    let end: String = chars[chars.len() - half..].iter().collect();
    format!("{start} ... {end}")
}

#[cfg(test)]
mod tests {
    use super::super::models::{Register, RegisterOp, RegisterRet};
    use super::super::{Outcome, Verdict, check};
    use super::*;

    #[test]
    fn shorten_keeps_both_ends_and_cuts_between_characters() {
        assert_eq!(shorten("short"), "short");
        let long = "ä".repeat(SHOWN_CHARS) + "end";
        let short = shorten(&long);
        assert!(short.starts_with("ää") && short.contains(" ... ") && short.ends_with("äend"));
        assert!(short.chars().count() < long.chars().count() + 5);
    }

    #[test]
    fn an_operation_behind_an_unplaced_one_says_so() {
        // While the swap is open the reads are fine; that it then claims to have failed leaves them unexplained.
        let operation = |op, invoked, at, ret| Operation { process: 0, op, invoked, outcome: Outcome::Ok { at, ret } };
        let (expected, new) = (1, 2);
        let swap = RegisterOp::Cas { expected, new };
        let two = RegisterRet::Value(Some(2));
        let history = [
            operation(RegisterOp::Read, 40, 50, two.clone()),
            operation(RegisterOp::Read, 20, 30, two),
            operation(swap, 10, 100, RegisterRet::Swapped(false)),
            operation(RegisterOp::Write { value: 1 }, 0, 5, RegisterRet::Done),
        ];
        let Verdict::Violation(violation) = check::<Register>(&history, 1_000) else {
            panic!("accepted");
        };
        assert_eq!((violation.at, &violation.prefix[..]), (100, &[3][..]));
        let unplaced = |(index, reason)| Unplaced { index, reason };
        let expected = [(2, Reason::Refused), (1, Reason::Refused), (0, Reason::After(1))];
        assert_eq!(violation.unplaced, expected.map(unplaced));
        assert!(
            violation.explanation.ends_with("p0 read() -> 2  [40ns .. 50ns]: invoked after p0 read() had completed")
        );
    }
}
