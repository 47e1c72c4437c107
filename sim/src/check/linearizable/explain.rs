//! A violation in data and in words.
//!
//! What a reader needs to see is the point from which there was no way on: the longest order that still
//! explains the results, the state it leaves, and the completed operations for which it has no place.
//! That is given for the earliest illegal prefix rather than for the whole history, which after the
//! first wrong result tends to be wrong in many more places.

use std::time::Duration;

use super::cut::{Entry, IllegalPrefix};
use super::partition::Part;
use super::{Model, Operation, Outcome};
use crate::base::{Explanation, Step};

/// Operations of the longest prefix that the data has, and those that could not be placed: the end of the one and the
/// beginning of the others is what matters.
const KEPT: usize = 20;
/// Lines of the longest prefix to show in words.
const SHOWN_PLACED: usize = 6;
/// Lines of unplaced operations to show in words.
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
    /// The state after `prefix`.
    pub state: String,
    /// The operations completed by `at` that are not in `prefix`, in order of invocation; never empty.
    pub unplaced: Vec<Unplaced>,
    /// All of this in a few lines.
    pub explanation: String,
    /// The same as data, for a picture.
    pub data: Explanation,
    /// Steps taken over all parts.
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

/// What is known of an illegal prefix without the history that it was found in: indexes are those of the original one.
pub(super) struct Illegal {
    part: String,
    pub at: u64,
    exact: bool,
    placed: Vec<Placed>,
    hidden: usize,
    before: String,
    state: String,
    unplaced: Vec<Unplaced>,
    needs: Vec<Option<String>>,
    /// The indexes of the operations that it is about, in order.
    concerned: Vec<usize>,
}

struct Placed {
    index: usize,
    is_open: bool,
    state: Option<String>,
}

/// Finds out why `prefix` is illegal.
pub(super) fn examine<M: Model>(
    part: &Part<M::Key>,
    prefix: &IllegalPrefix<'_, M>,
    original: impl Fn(usize) -> usize,
) -> Illegal {
    let entries = &prefix.entries;
    let order: Vec<&Entry<M>> = prefix.dead_end.longest.iter().map(|&number| &entries[number as usize]).collect();
    let mut is_placed = vec![false; entries.len()];
    for &number in &prefix.dead_end.longest {
        is_placed[number as usize] = true;
    }
    let left: Vec<&Entry<M>> = entries
        .iter()
        .zip(&is_placed)
        .filter(|(entry, is_placed)| entry.at.is_some() && !**is_placed)
        .map(|(entry, _)| entry)
        .collect();
    // Of a part with many keys only those are of interest which have no order among themselves.
    let conflict = prefix.dead_end.conflict;
    let is_concerned = |entry: &&Entry<M>| entry.keys.meets(conflict);
    let narrows = left.iter().any(is_concerned);
    let is_of_interest = |entry: &&Entry<M>| !narrows || is_concerned(entry);
    let keys: Vec<M::Key> = part
        .keys
        .iter()
        .enumerate()
        .filter(|(place, _)| !narrows || conflict.has(*place))
        .map(|(_, key)| key.clone())
        .collect();

    let hidden = order.iter().filter(|entry| is_of_interest(entry)).count().saturating_sub(KEPT);
    let mut state = M::init();
    let mut before = (hidden == 0).then(|| describe_state::<M>(&state));
    let (mut placed, mut seen) = (Vec::new(), 0);
    for entry in &order {
        state = M::step(&state, entry.op, entry.ret).expect("the search took this step");
        seen += usize::from(is_of_interest(entry));
        let is_shown = is_of_interest(entry) && seen > hidden;
        let shown = is_shown.then(|| describe_state::<M>(&state));
        placed.push(Placed { index: original(entry.index), is_open: entry.at.is_none(), state: shown });
        if before.is_none() && seen == hidden {
            before = Some(describe_state::<M>(&state));
        }
    }
    // The one that completed first blocks all the others that anything blocks.
    let first = left
        .iter()
        .min_by_key(|entry| (entry.at, entry.index))
        .expect("an illegal prefix leaves some operation unplaced");
    let reason = |entry: &Entry<M>| match first.at < Some(entry.invoked) {
        true => Reason::After(original(first.index)),
        false => Reason::Refused,
    };
    let needs = |entry: &&Entry<M>| match reason(entry) {
        Reason::Refused => M::needs(entry.op, entry.ret?).map(|needs| shorten(&needs)),
        Reason::After(_) => None,
    };
    let mut concerned: Vec<usize> = entries.iter().filter(is_of_interest).map(|entry| original(entry.index)).collect();
    concerned.sort_unstable();
    Illegal {
        part: M::part(&keys),
        at: prefix.at,
        exact: prefix.exact,
        placed,
        hidden,
        before: before.unwrap_or_default(),
        state: M::describe_state(&state),
        unplaced: left.iter().map(|entry| Unplaced { index: original(entry.index), reason: reason(entry) }).collect(),
        needs: left.iter().map(needs).collect(),
        concerned,
    }
}

impl Illegal {
    /// Explains it. `history` is the one that was given to be checked.
    pub fn explain<M: Model>(self, history: &[Operation<M::Op, M::Ret>], steps: u64) -> Violation {
        let data = self.data::<M>(history);
        Violation {
            explanation: narrate(&data),
            data,
            part: self.part,
            at: self.at,
            at_is_exact: self.exact,
            prefix: self.placed.iter().map(|placed| placed.index).collect(),
            state: self.state,
            unplaced: self.unplaced,
            steps,
        }
    }

    fn data<M: Model>(&self, history: &[Operation<M::Op, M::Ret>]) -> Explanation {
        let step = |index: usize, is_open: bool| {
            let Operation { process, op, invoked, outcome } = &history[index];
            let (ended_ns, ret) = match outcome {
                Outcome::Ok { at, ret } if !is_open => (Some(*at), Some(ret)),
                _ => (None, None),
            };
            let input = M::describe(op, None);
            let whole = M::describe(op, ret);
            let output = whole.strip_prefix(&input).and_then(|rest| rest.strip_prefix(" -> ")).map(shorten);
            let (process, invoked_ns, input) = (*process, *invoked, shorten(&input));
            let (place, state, why, needs) = (None, None, None, None);
            Step { process, invoked_ns, ended_ns, input, output, place, state, why, needs }
        };
        let is_concerned = |index: &usize| self.concerned.binary_search(index).is_ok();
        let placed = self.placed.iter().filter(|placed| is_concerned(&placed.index));
        let completed = placed.clone().filter(|placed| !placed.is_open).count();
        let shown = (1..).zip(placed).skip(self.hidden).map(|(place, placed)| Step {
            place: Some(place),
            state: placed.state.clone(),
            ..step(placed.index, placed.is_open)
        });
        let left = || self.unplaced.iter().zip(&self.needs).filter(|(unplaced, _)| is_concerned(&unplaced.index));
        let kept_out = left().take(KEPT).map(|(unplaced, needs)| {
            let why = match unplaced.reason {
                Reason::Refused => "not possible in this state".to_owned(),
                Reason::After(first) => {
                    let Operation { process, op, .. } = &history[first];
                    format!("invoked after p{process} {} had completed", shorten(&M::describe(op, None)))
                }
            };
            Step { why: Some(why), needs: needs.clone(), ..step(unplaced.index, false) }
        });
        Explanation {
            model: M::NAME.to_owned(),
            part: self.part.clone(),
            at_ns: self.at,
            at_is_exact: self.exact,
            placed: completed,
            unplaced: left().count(),
            hidden: self.hidden,
            before: self.before.clone(),
            operations: shown.chain(kept_out).collect(),
            state: shorten(&self.state),
        }
    }
}

/// The data in a few lines.
fn narrate(data: &Explanation) -> String {
    let line = |step: &Step| {
        let Step { process, input, .. } = step;
        let output = step.output.as_ref().map_or(String::new(), |output| format!(" -> {output}"));
        let from = time(step.invoked_ns);
        match step.ended_ns {
            Some(at) => format!("p{process} {input}{output}  [{from} .. {}]", time(at)),
            None => format!("p{process} {input}  [{from} .. open, assumed to have taken effect]"),
        }
    };
    let Explanation { model, part, placed, unplaced, .. } = data;
    let from = if data.at_is_exact { "from" } else { "at the latest from" };
    let mut lines = vec![
        format!("{model}: the operations on {part} are not linearizable {from} {}", time(data.at_ns)),
        format!("longest linearizable prefix: {placed} of the {} operations completed by then", placed + unplaced),
    ];
    let order: Vec<&Step> = data.operations.iter().filter(|step| step.place.is_some()).collect();
    let shown = order.len().saturating_sub(SHOWN_PLACED);
    if data.hidden + shown > 0 {
        lines.push(format!("  ... {} before", data.hidden + shown));
    }
    lines.extend(order[shown..].iter().map(|step| format!("  {}", line(step))));
    lines.push(format!("it leaves the state {}", data.state));
    lines.push("and no place for".to_string());
    for step in data.operations[order.len()..].iter().take(SHOWN_UNPLACED) {
        let why = step.why.as_deref().unwrap_or_default();
        let needs = step.needs.as_ref().map_or(String::new(), |needs| format!("; {needs}"));
        lines.push(format!("  {}: {why}{needs}", line(step)));
    }
    if *unplaced > SHOWN_UNPLACED {
        lines.push(format!("  ... {} more", unplaced - SHOWN_UNPLACED));
    }
    lines.join("\n")
}

fn describe_state<M: Model>(state: &M::State) -> String {
    shorten(&M::describe_state(state))
}

fn time(nanoseconds: u64) -> String {
    format!("{:?}", Duration::from_nanos(nanoseconds))
}

/// `text`, its middle left out if it is long: values that grow differ at their end.
fn shorten(text: &str) -> String {
    if text.len() <= SHOWN_CHARS {
        return text.to_string();
    }
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
        let needs: Vec<_> = violation.data.operations.iter().map(|step| step.needs.as_deref()).collect();
        assert_eq!(needs, [None, Some("the register must not be 1"), Some("the register must be 2"), None]);
        assert!(
            violation.explanation.ends_with("p0 read() -> 2  [40ns .. 50ns]: invoked after p0 read() had completed")
        );
    }
}
