//! Prefixes of one key's history, and the earliest of them that is illegal.
//!
//! The prefix up to time `t` is the knowledge of an observer at `t`: operations invoked later are missing, and operations that
//! complete later are open, with unknown results. A linearization of a longer prefix, stopped after the last operation
//! completed by `t`, is a linearization of the prefix up to `t`. So every extension of an illegal prefix is illegal, and the
//! earliest illegal prefix can be found by bisection.
//!
//! The failed search gives only a lower bound: it knows results from after `t`, and may fail before `t` because of such a
//! result. (Failed operations are left out throughout, even before they failed: a read that returns the value of a failed
//! write is the violation.)

use super::partition::{KeySet, Member, Part};
use super::search::{Conclusion, DeadEnd, Foresight, search};
use super::{Model, Operation, Outcome};

/// The step budget of an explanation.
const EXPLANATION: u64 = 2_000;

/// One operation as a search sees it.
pub(super) struct Entry<'a, M: Model> {
    /// Its place in the history.
    pub index: usize,
    /// What it was asked to do.
    pub op: &'a M::Op,
    /// What it returned; `None` while that is unknown.
    pub ret: Option<&'a M::Ret>,
    /// When it was invoked, in nanoseconds.
    pub invoked: u64,
    /// When it completed, in nanoseconds; `None` while it is open, and so may stay unplaced.
    pub at: Option<u64>,
    /// The keys that it is about.
    pub keys: KeySet,
}

/// The prefix up to `until` (ns) of the operations of a part: the completed ones before the open ones,
/// each in order of invocation.
pub(super) fn cut<'a, M: Model>(
    history: &'a [Operation<M::Op, M::Ret>],
    part: &Part<M::Key>,
    until: u64,
) -> Vec<Entry<'a, M>> {
    let mut entries: Vec<_> = part
        .members
        .iter()
        .map(|&Member { index, keys }| (index, keys, &history[index]))
        .filter(|(_, _, operation)| operation.invoked <= until)
        .map(|(index, keys, operation)| {
            let (at, ret) = match &operation.outcome {
                Outcome::Ok { at, ret } if *at <= until => (Some(*at), Some(ret)),
                _ => (None, None),
            };
            Entry { index, op: &operation.op, ret, invoked: operation.invoked, at, keys }
        })
        .collect();
    entries.sort_by_key(|entry| (entry.at.is_none(), entry.invoked, entry.index));
    entries
}

/// An illegal prefix.
pub(super) struct IllegalPrefix<'a, M: Model> {
    /// Where it ends: a completion time, in nanoseconds.
    pub at: u64,
    /// Whether every shorter prefix was seen to be legal; otherwise the budget ended before.
    pub exact: bool,
    /// Its operations.
    pub entries: Vec<Entry<'a, M>>,
    /// How far its search got.
    pub dead_end: DeadEnd,
    /// Steps taken to find it.
    pub steps: u64,
}

/// The earliest illegal prefix of the operations of a part, which as a `whole`, which ends at `until`, are illegal by
/// `dead_end`.
pub(super) fn earliest<'a, M: Model>(
    history: &'a [Operation<M::Op, M::Ret>],
    part: &Part<M::Key>,
    until: u64,
    whole: &[Entry<'a, M>],
    dead_end: DeadEnd,
    budget: u64,
) -> IllegalPrefix<'a, M> {
    let mut completions: Vec<u64> = whole.iter().filter_map(|entry| entry.at).collect();
    completions.sort_unstable();
    completions.dedup();
    let place = |at: u64| completions.partition_point(|&other| other < at);

    // Invariant: the prefix up to `high` is illegal, by `found`; those before `low` are not known to be.
    let mut low = place(dead_end.stuck_at);
    let mut high = completions.len() - 1;
    let mut found = dead_end;
    let mut exact = true;
    let mut steps = 0;
    // The lower bound is most often the answer.
    let mut probe = low;
    while low < high {
        let entries = cut::<M>(history, part, completions[probe]);
        let (taken, conclusion) = search::<M>(&part.keys, &entries, budget - steps, Foresight::On);
        steps += taken;
        match conclusion {
            Conclusion::Illegal(dead_end) => {
                high = probe;
                low = low.max(place(dead_end.stuck_at));
                found = dead_end;
            }
            Conclusion::Linearizable => low = probe + 1,
            Conclusion::Exhausted(_) => {
                low = probe + 1;
                exact = false;
            }
        }
        probe = low.midpoint(high);
    }
    // `found` numbers the operations of the prefix it was found in; the whole one and the one up to the last completion
    // differ in operations that were invoked after it, so they are cut as found.
    let until = if high + 1 == completions.len() { until } else { completions[high] };
    let entries = cut::<M>(history, part, until);
    extend::<M>(&entries, &mut found.longest);
    // No order places all, so one that lacks a single operation is as good as any. For others: with foresight a search turns
    // back before an operation that would still have fitted. What it finds in a few steps is as good to read as what it would
    // in all.
    let completed = |order: &[u32]| order.iter().filter(|&&number| entries[number as usize].at.is_some()).count();
    if completed(&found.longest) + 1 < entries.iter().filter(|entry| entry.at.is_some()).count() {
        let worth = EXPLANATION.min(budget - steps);
        let (taken, conclusion) = search::<M>(&part.keys, &entries, worth, Foresight::Off);
        steps += taken;
        if let Conclusion::Illegal(mut other) | Conclusion::Exhausted(mut other) = conclusion {
            extend::<M>(&entries, &mut other.longest);
            if completed(&other.longest) > completed(&found.longest) {
                found.longest = other.longest;
            }
        }
    }
    IllegalPrefix { at: completions[high], exact, entries, dead_end: found, steps }
}

/// Places what still fits behind an order of operations: where foresight or the budget ended a search, something may.
fn extend<M: Model>(entries: &[Entry<'_, M>], order: &mut Vec<u32>) {
    let mut state = M::init();
    let mut is_placed = vec![false; entries.len()];
    for &number in order.iter() {
        let entry = &entries[number as usize];
        state = M::step(&state, entry.op, entry.ret).expect("the search took this step");
        is_placed[number as usize] = true;
    }
    loop {
        let left = || entries.iter().enumerate().filter(|(number, entry)| entry.at.is_some() && !is_placed[*number]);
        let Some(first) = left().filter_map(|(_, entry)| entry.at).min() else { return };
        let next = left()
            .filter(|(_, entry)| entry.invoked <= first)
            .find_map(|(number, entry)| Some((number, M::step(&state, entry.op, entry.ret)?)));
        let Some((number, to)) = next else { return };
        state = to;
        is_placed[number] = true;
        order.push(number as u32);
    }
}
