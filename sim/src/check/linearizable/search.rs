//! The search for a linearization of one key's operations.
//!
//! The search places operations one after the other. A candidate for the next place is an operation that no unplaced operation
//! precedes: it was invoked no later than the first completion among unplaced operations. The search places the first candidate
//! that fits the model's state, and continues from there. If no candidate fits, the search takes back the last operation and
//! tries the next candidate in its place (Wing & Gong 1993). A configuration is never visited twice (Lowe 2017). Invocations
//! and completions are in a doubly linked list in order of time. Placed operations are unlinked, so the candidates are always
//! at the front of the list.
//!
//! Four rules limit the cost of open operations (unknown outcome) and reads:
//!
//! - Open operations are in a list of their own and are tried after completed operations, because they need not be placed.
//! - An open operation is not placed if it changes nothing, or if its effect is lost before any operation can see it
//!   ([`Model::matters`]): the rest of the linearization is possible without it.
//! - Of equal open operations only the one invoked first is tried: whatever the others lead to, that leads to, too.
//! - A read, or another operation that changes nothing, is placed for good where it fits: in any linearization that has it
//!   later, it can move here.
//!
//! A fifth rule limits the orders of operations between two reads ([`Foresight`]): the search does not enter a state from which
//! the next read that the operation concerns cannot return its result. A long search also looks at some later reads, because an
//! unread write may fit many places that the next read allows and later reads rule out.
//!
//! A sixth rule limits the orders of independent operations in a part with several keys. A dead end has a *conflict*: a set of
//! keys whose operations alone have no continuation from here. The search takes back the operations of other keys that were
//! placed since, without trying their alternatives (conflict-directed backjumping: Prosser, "Hybrid algorithms for the
//! constraint satisfaction problem", 1993). This is sound: the operations on the keys of the conflict, taken from a
//! linearization of all operations, would be a linearization of the conflict.
//!
//! Open operations may lead back to a configuration that is still on the stack. Such a *circle* is in no conflict of that
//! configuration, because the shortest continuation has no circles. The configurations visited on the circle are known to have
//! no continuation only if that configuration turns out to have none.
//!
//! The search uses a loop with a stack of frames instead of recursion, because histories are longer than call stacks.

use super::Model;
use super::cut::Entry;
use super::memo::{BitSet, StateId, States, Visited};
use super::partition::KeySet;

/// The number of invocations and completions that are inspected to find the next read that an operation concerns.
const LOOK_AHEAD: usize = 512;

/// A search is long after this many steps. Tests have few operations, so their limit is low.
const LONG: u64 = if cfg!(test) { 3 } else { 5_000 };

/// The number of invocations and completions that a long search inspects to find more such reads.
const LONG_LOOK_AHEAD: usize = 64;

/// How many open operations before one are compared with it.
const TWINS: usize = 256;

/// The work of the search's memory, in words compared, that takes as long as a step.
const WORK: u64 = 512;

/// The conclusion of a search.
pub(super) enum Conclusion {
    /// There is a linearization.
    Linearizable,
    /// There is none.
    Illegal(DeadEnd),
    /// The budget ended first.
    Exhausted(DeadEnd),
}

/// How far a search without result got.
pub(super) struct DeadEnd {
    /// The latest completion time (ns) that it could not get past: all that completed before it was placed.
    pub stuck_at: u64,
    /// The first of the sequences it tried that place the most completed operations: numbers of entries.
    pub longest: Vec<u32>,
    /// Keys whose operations alone have no linearization.
    pub conflict: KeySet,
}

/// An operation placed.
struct Frame {
    /// Its number.
    number: u32,
    /// The state it was placed in.
    from: StateId,
    /// It has no rivals: taking it back means taking back the one before as well.
    for_good: bool,
    /// The configuration that it led to.
    to: u32,
    /// The conflict of what was tried from where it was placed, before it.
    conflict: KeySet,
    /// How far down the stack circles lead from what was tried before it.
    circles_to: usize,
}

/// Whether the search asks [`Model::may_return`]. Without, it is slower and gets as far as one can before it is stuck.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Foresight {
    On,
    Off,
}

/// Searches for a linearization of `entries` (as [`cut`](super::cut::cut) orders them), which are about `keys`, in at most
/// `budget` steps; gives the steps taken as well.
pub(super) fn search<M: Model>(
    keys: &[M::Key],
    entries: &[Entry<'_, M>],
    budget: u64,
    foresight: Foresight,
) -> (u64, Conclusion) {
    let completed = entries.iter().filter(|entry| entry.at.is_some()).count();
    let has_wide = keys.len() > 1 && entries.iter().any(|entry| entry.keys.is_wide());
    let mut states = States::<M>::new(M::init());
    let mut visited = Visited::new();
    // Of each configuration; none while the search is behind it.
    let mut conflicts: Vec<Option<KeySet>> = Vec::new();
    let mut timeline = Timeline::new(entries, completed);
    let twins = twins(entries, completed);

    let mut state: StateId = 0;
    let mut placed = BitSet::new(entries.len(), completed);
    let mut stack: Vec<Frame> = Vec::new();
    let mut placed_completed = 0;
    // Of what was tried from where the search stands.
    let mut conflict = KeySet::default();
    // The lowest place in the stack that a circle from there leads to.
    let mut circles_to = usize::MAX;

    let mut steps = 0;
    let mut stuck_at = 0;
    let mut longest = Vec::new();
    let mut longest_completed = 0;

    let mut cursor = timeline.first();
    while placed_completed < completed {
        let mut is_decided = false;
        if let Some(number) = timeline.candidate(cursor) {
            if steps >= budget || visited.work() / WORK >= budget {
                let conflict = KeySet::ALL;
                return (steps, Conclusion::Exhausted(DeadEnd { stuck_at, longest, conflict }));
            }
            if twins[number as usize].is_some_and(|twin| !placed.contains_open(twin)) {
                cursor = timeline.after(cursor);
                continue;
            }
            steps += 1;
            let entry = &entries[number as usize];
            let to = states.step(state, number, entry);
            let Some(to) = to.filter(|&to| entry.at.is_some() || to != state) else {
                cursor = timeline.after(cursor);
                continue;
            };
            let is_vain = || {
                timeline.hides_a_read(number, entries, states.get(to), steps > LONG)
                    || entry.at.is_none() && !timeline.matters(number, entries, states.get(state), states.get(to))
            };
            if foresight == Foresight::On && to != state && is_vain() {
                cursor = timeline.after(cursor);
                continue;
            }
            let for_good = M::keeps(entry.op, entry.ret);
            placed.toggle(number);
            let known = match visited.insert(&placed, to) {
                Ok(new) => {
                    conflicts.push(None);
                    stack.push(Frame { number, from: state, for_good, to: new, conflict, circles_to });
                    conflict = KeySet::default();
                    circles_to = usize::MAX;
                    timeline.lift(number);
                    placed_completed += usize::from(entry.at.is_some());
                    state = to;
                    cursor = timeline.first();
                    continue;
                }
                Err(known) => known,
            };
            placed.toggle(number);
            match conflicts[known as usize] {
                Some(known) => is_decided = learn(&mut conflict, known, entry, for_good),
                None => {
                    let place = stack.iter().rposition(|frame| frame.to == known).expect("the search is behind it");
                    circles_to = circles_to.min(place);
                }
            }
            if !is_decided {
                cursor = timeline.after(cursor);
                continue;
            }
        }

        // Nothing fits: the way here is a dead end.
        stuck_at = stuck_at.max(timeline.first_completion());
        if placed_completed > longest_completed {
            longest_completed = placed_completed;
            longest = stack.iter().map(|frame| frame.number).collect();
        }
        if !is_decided {
            conflict = conflict.with(timeline.conflict(keys, entries, &mut states, state, conflict, has_wide));
        }
        loop {
            let Some(frame) = stack.pop() else {
                return (steps, Conclusion::Illegal(DeadEnd { stuck_at, longest, conflict }));
            };
            let entry = &entries[frame.number as usize];
            timeline.unlift(frame.number);
            placed.toggle(frame.number);
            placed_completed -= usize::from(entry.at.is_some());
            state = frame.from;
            // Its circles end here, unless they lead further down: then nothing is certain yet.
            let is_certain = circles_to >= stack.len();
            conflicts[frame.to as usize] = Some(if is_certain { conflict } else { KeySet::ALL });
            circles_to = frame.circles_to.min(if is_certain { usize::MAX } else { circles_to });
            let known = std::mem::replace(&mut conflict, frame.conflict);
            if !learn(&mut conflict, known, entry, frame.for_good) {
                cursor = timeline.after(frame.number);
                break;
            }
        }
    }
    (steps, Conclusion::Linearizable)
}

/// For each open operation the last one before it that is equal.
fn twins<M: Model>(entries: &[Entry<'_, M>], completed: usize) -> Vec<Option<u32>> {
    let equal = |number: usize| {
        let before = completed.max(number.saturating_sub(TWINS))..number;
        before.rev().find(|&before| entries[before].op == entries[number].op).map(|before| before as u32)
    };
    (0..entries.len()).map(|number| if number < completed { None } else { equal(number) }).collect()
}

/// Adds what came of placing an operation to the conflict of where it was placed: `true` if that is a dead end by this alone.
fn learn<M: Model>(conflict: &mut KeySet, known: KeySet, entry: &Entry<'_, M>, for_good: bool) -> bool {
    let is_decided = for_good || !known.meets(entry.keys);
    *conflict = if is_decided { known } else { conflict.with(known).with(entry.keys) };
    is_decided
}

/// The invocations and completions of the operations not yet placed, in order of time.
///
/// Two circular doubly linked lists over one array of nodes: the invocations and completions of completed
/// operations, and the invocations of open ones. Operation `i`'s invocation is node `i` and its
/// completion node `operations + i`; the last two nodes are the lists' heads.
struct Timeline {
    next: Vec<u32>,
    previous: Vec<u32>,
    /// The invocation time of each operation, then the completion time of each completed one, in ns.
    time: Vec<u64>,
    /// Operations that completed.
    completed: u32,
    /// All operations.
    operations: u32,
}

impl Timeline {
    fn new<M: Model>(entries: &[Entry<'_, M>], completed: usize) -> Self {
        let nodes = entries.len() + completed;
        let operations = u32::try_from(entries.len()).expect("fewer than 2^31 operations");
        let mut time: Vec<u64> = entries.iter().map(|entry| entry.invoked).collect();
        time.extend(entries.iter().filter_map(|entry| entry.at));

        let mut timeline = Self {
            next: vec![0; nodes + 2],
            previous: vec![0; nodes + 2],
            time,
            completed: completed as u32,
            operations,
        };
        let mut order: Vec<u32> = (0..timeline.completed).chain(operations..operations + timeline.completed).collect();
        // Invocations first where times are equal: such operations are concurrent.
        order.sort_by_key(|&node| (timeline.time[node as usize], node >= operations, node));
        timeline.link(timeline.completed_head(), &order);
        let open: Vec<u32> = (timeline.completed..operations).collect();
        timeline.link(timeline.open_head(), &open);
        timeline
    }

    fn link(&mut self, head: u32, order: &[u32]) {
        let mut last = head;
        for &node in order.iter().chain([&head]) {
            self.next[last as usize] = node;
            self.previous[node as usize] = last;
            last = node;
        }
    }

    fn completed_head(&self) -> u32 {
        self.operations + self.completed
    }

    fn open_head(&self) -> u32 {
        self.completed_head() + 1
    }

    fn is_invocation(&self, node: u32) -> bool {
        node < self.operations
    }

    /// Where the candidates start.
    fn first(&self) -> u32 {
        self.skip_completion(self.next[self.completed_head() as usize])
    }

    /// The node to look at after `invocation`, whether or not that is still linked.
    fn after(&self, invocation: u32) -> u32 {
        self.skip_completion(self.next[invocation as usize])
    }

    /// Behind the first completion only open operations can be candidates.
    fn skip_completion(&self, node: u32) -> u32 {
        if self.operations <= node && node < self.completed_head() {
            self.next[self.open_head() as usize]
        } else {
            node
        }
    }

    /// The operation invoked at `node` if it can be placed next.
    fn candidate(&self, node: u32) -> Option<u32> {
        let open = self.completed..self.operations;
        let is_candidate =
            self.is_invocation(node) && (!open.contains(&node) || self.time[node as usize] <= self.first_completion());
        is_candidate.then_some(node)
    }

    /// The time (ns) of the first completion still to come.
    fn first_completion(&self) -> u64 {
        self.time[self.first_completion_node() as usize]
    }

    /// The first completion still to come.
    fn first_completion_node(&self) -> u32 {
        let mut node = self.next[self.completed_head() as usize];
        while self.is_invocation(node) {
            node = self.next[node as usize];
        }
        node
    }

    /// Whether the next read to complete that `placed` concerns could not return what it did any more, if that led to `state`;
    /// or, in a long search, one of those soon after it.
    fn hides_a_read<M: Model>(&self, placed: u32, entries: &[Entry<'_, M>], state: &M::State, is_long: bool) -> bool {
        let by = &entries[placed as usize];
        let is_hidden = |node: u32| {
            let number = node - self.operations;
            let read = &entries[number as usize];
            let Some(ret) = read.ret else { return false };
            let others = self.until(self.time[node as usize]).filter(|&other| other != placed && other != number);
            let others = others.map(|other| &entries[other as usize]).filter(|other| other.keys.meets(by.keys));
            !M::may_return(state, by.op, (read.op, ret), others.map(|other| other.op))
        };
        self.reads(by, entries, LOOK_AHEAD).next().is_some_and(is_hidden)
            || is_long && self.reads(by, entries, LONG_LOOK_AHEAD).skip(1).any(is_hidden)
    }

    /// Whether it matters that `placed`, which is open, leads from one state to another.
    fn matters<M: Model>(&self, placed: u32, entries: &[Entry<'_, M>], before: &M::State, after: &M::State) -> bool {
        let by = &entries[placed as usize];
        let until = match self.reads(by, entries, LOOK_AHEAD).next() {
            Some(read) => self.time[read as usize],
            // There is none, or it is too far away to tell.
            None if self.chain(self.completed_head()).nth(LOOK_AHEAD).is_none() => u64::MAX,
            None => return true,
        };
        let others = self.until(until).filter(|&other| other != placed);
        let others = others.map(|other| &entries[other as usize]).filter(|other| other.keys.meets(by.keys));
        M::matters(before, by.op, after, others.map(|other| (other.op, other.ret)))
    }

    /// The completions of the next reads to complete that `by` concerns, as far as so many nodes ahead.
    fn reads<'a, M: Model>(
        &'a self,
        by: &'a Entry<'_, M>,
        entries: &'a [Entry<'_, M>],
        look_ahead: usize,
    ) -> impl Iterator<Item = u32> {
        let is_concerned = |node: &u32| {
            let read =
                |read: &Entry<'_, M>| read.keys.meets(by.keys) && M::is_read(read.op) && M::concerns(by.op, read.op);
            !self.is_invocation(*node) && read(&entries[(*node - self.operations) as usize])
        };
        self.chain(self.completed_head()).take(look_ahead).filter(is_concerned)
    }

    /// The operations that are invoked until then, the completed ones first.
    fn until(&self, time: u64) -> impl Iterator<Item = u32> + Clone + '_ {
        let until = move |head: u32| self.chain(head).take_while(move |&node| self.time[node as usize] <= time);
        until(self.completed_head()).chain(until(self.open_head())).filter(|&node| self.is_invocation(node))
    }

    /// The conflict of a dead end where nothing fits `state`: the keys of the operation that must come next, and of what else
    /// could have come before it. `conflict` is that of the operations that were tried and led no further.
    fn conflict<M: Model>(
        &self,
        keys: &[M::Key],
        entries: &[Entry<'_, M>],
        states: &mut States<M>,
        state: StateId,
        mut conflict: KeySet,
        has_wide: bool,
    ) -> KeySet {
        if keys.len() <= 1 {
            return KeySet::ALL;
        }
        let next = &entries[(self.first_completion_node() - self.operations) as usize];
        if !next.keys.is_wide() {
            conflict = conflict.with(next.keys);
        }
        // An operation on one key was kept out by that key. One on several may be by any of them, so it adds what is needed to
        // keep it out where it has to do with the conflict; and that may bring the next one in.
        let mut before = None;
        while has_wide && before != Some(conflict) {
            before = Some(conflict);
            let mut cursor = self.first();
            while let Some(number) = self.candidate(cursor) {
                let entry = &entries[number as usize];
                let is_next = entry.index == next.index;
                if entry.keys.is_wide() && (is_next || entry.keys.meets(conflict)) {
                    let refused_by = match (M::is_read(entry.op), entry.ret) {
                        (true, Some(ret)) if states.step(state, number, entry).is_none() => {
                            let refused_by = M::refused_by(states.get(state), entry.op, ret);
                            KeySet::of(refused_by.iter().filter_map(|key| keys.binary_search(key).ok())).and(entry.keys)
                        }
                        // What it led to is in the conflict already.
                        (true, _) => conflict,
                        _ => entry.keys,
                    };
                    conflict = match () {
                        () if refused_by == KeySet::default() => conflict.with(entry.keys),
                        () if !M::is_read(entry.op) => conflict.with(refused_by),
                        () if refused_by.meets(conflict) => conflict,
                        () => conflict.with(refused_by.first()),
                    };
                }
                cursor = self.after(cursor);
            }
        }
        conflict
    }

    /// What is linked behind a list's head, in order.
    fn chain(&self, head: u32) -> impl Iterator<Item = u32> + Clone + '_ {
        let first = self.next[head as usize];
        std::iter::successors(Some(first), |&node| Some(self.next[node as usize])).take_while(move |&node| node != head)
    }

    /// Takes operation `number` out.
    fn lift(&mut self, number: u32) {
        self.unlink(number);
        if number < self.completed {
            self.unlink(self.operations + number);
        }
    }

    /// Puts operation `number` back; the last one taken out goes first.
    fn unlift(&mut self, number: u32) {
        if number < self.completed {
            self.relink(self.operations + number);
        }
        self.relink(number);
    }

    fn unlink(&mut self, node: u32) {
        let (previous, next) = (self.previous[node as usize], self.next[node as usize]);
        self.next[previous as usize] = next;
        self.previous[next as usize] = previous;
    }

    fn relink(&mut self, node: u32) {
        let (previous, next) = (self.previous[node as usize], self.next[node as usize]);
        self.next[previous as usize] = node;
        self.previous[next as usize] = node;
    }
}
