//! The search's memory: model states as numbers, and the configurations already visited.
//!
//! A *configuration* is the set of operations placed so far and the state they led to (Lowe 2017 §4). Two orders that reach
//! the same configuration have the same continuations, so only the first is followed. A configuration that differs from an
//! earlier one only by additional placed open operations is not followed either: open operations need not be placed, so the
//! earlier configuration has all its continuations. Without this rule, every open operation whose effect is lost would double
//! the number of configurations.
//!
//! Hashing is fixed, and nothing ever iterates over a table, so no result depends on hash order.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};

use super::Model;
use super::cut::Entry;

/// A model state, by its place in [`States`].
pub(super) type StateId = u32;

/// The states met in one search, and the steps between them.
///
/// Applying an operation to a large state (a long string, a map) costs far more than looking up what it
/// did last time, and a search applies the same one to the same state again and again.
pub(super) struct States<M: Model> {
    states: Vec<M::State>,
    hashes: Vec<u64>,
    /// 1 + the number of the state in this slot; 0 where it is free. A power of two long.
    slots: Vec<StateId>,
    steps: HashMap<u64, Option<StateId>, BuildHasherDefault<FixedHasher>>,
}

impl<M: Model> States<M> {
    /// No state but `init`, which gets the number 0.
    pub fn new(init: M::State) -> Self {
        let mut states = Self { states: Vec::new(), hashes: Vec::new(), slots: vec![0; 32], steps: HashMap::default() };
        states.id(init);
        states
    }

    /// The state after operation number `number`, described by `entry`, in state `from`.
    pub fn step(&mut self, from: StateId, number: u32, entry: &Entry<'_, M>) -> Option<StateId> {
        let edge = u64::from(from) << 32 | u64::from(number);
        if let Some(&known) = self.steps.get(&edge) {
            return known;
        }
        let to =
            M::step(&self.states[from as usize], entry.op, entry.ret).map(|to| match M::keeps(entry.op, entry.ret) {
                true => {
                    debug_assert!(to == self.states[from as usize], "{}: a read changed the state", M::NAME);
                    from
                }
                false => self.id(to),
            });
        self.steps.insert(edge, to);
        to
    }

    /// A state by its number.
    pub fn get(&self, id: StateId) -> &M::State {
        &self.states[id as usize]
    }

    fn id(&mut self, state: M::State) -> StateId {
        // Half full at most: probe sequences stay short.
        if (self.states.len() + 1) * 2 > self.slots.len() {
            self.slots = vec![0; self.slots.len() * 2];
            for (id, &hash) in self.hashes.iter().enumerate() {
                let slot = self.slot(hash, |_| false);
                self.slots[slot] = id as StateId + 1;
            }
        }
        let hash = BuildHasherDefault::<FixedHasher>::default().hash_one(&state);
        let slot = self.slot(hash, |id| self.hashes[id as usize] == hash && self.states[id as usize] == state);
        if self.slots[slot] == 0 {
            self.states.push(state);
            self.hashes.push(hash);
            self.slots[slot] = StateId::try_from(self.states.len()).expect("fewer than 2^32 model states");
        }
        self.slots[slot] - 1
    }

    /// The slot of the state that is the one, or the free one where it would be.
    fn slot(&self, hash: u64, is_it: impl Fn(StateId) -> bool) -> usize {
        let mut slot = hash as usize & (self.slots.len() - 1);
        while self.slots[slot] != 0 && !is_it(self.slots[slot] - 1) {
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        slot
    }
}

/// A row of bits of which only a window is of interest: all words before it are the same, and all behind it are zero.
struct Words {
    words: Vec<u64>,
    /// What the words before the window are.
    prefix: u64,
    from: usize,
    to: usize,
}

impl Words {
    fn new(bits: usize, prefix: u64) -> Self {
        Words { words: vec![0; bits.div_ceil(64)], prefix, from: 0, to: 0 }
    }

    fn contains(&self, bit: u32) -> bool {
        self.words[bit as usize / 64] & 1 << (bit % 64) != 0
    }

    fn toggle(&mut self, bit: u32) {
        let at = bit as usize / 64;
        self.words[at] ^= 1 << (bit % 64);
        self.from = self.from.min(at);
        self.to = self.to.max(at + 1);
        // The same bits always have the same window.
        while self.from < self.to && self.words[self.from] == self.prefix {
            self.from += 1;
        }
        while self.to > self.from && self.words[self.to - 1] == 0 {
            self.to -= 1;
        }
        if self.from == self.to && self.prefix == 0 {
            (self.from, self.to) = (0, 0);
        }
    }

    fn window(&self) -> &[u64] {
        &self.words[self.from..self.to]
    }

    /// Where the window is, and how long: the two in one word.
    fn place(&self) -> u64 {
        (self.from as u64) << 32 | (self.to - self.from) as u64
    }
}

/// A set of operation numbers, one bit each.
///
/// It carries a hash of its completed operations, updated with every change (Zobrist 1970), so that hashing a
/// configuration does not read the whole set. Completed operations are numbered by their invocations, so those that are placed
/// are all up to some number and few behind it; of the open ones few are placed.
pub(super) struct BitSet {
    completed: Words,
    open: Words,
    hash: u64,
    /// How many of the numbers are of completed operations.
    first_open: u32,
}

impl BitSet {
    /// The empty set of numbers below `len`; those from `completed` on are of open operations.
    pub fn new(len: usize, completed: usize) -> Self {
        let first_open = u32::try_from(completed).expect("fewer than 2^31 operations");
        let (completed, open) = (Words::new(completed, u64::MAX), Words::new(len - completed, 0));
        Self { completed, open, hash: 0, first_open }
    }

    /// Puts `number` in if it is out, and takes it out if it is in.
    pub fn toggle(&mut self, number: u32) {
        match number.checked_sub(self.first_open) {
            Some(open) => self.open.toggle(open),
            None => {
                self.completed.toggle(number);
                self.hash ^= mix(u64::from(number) + 1);
            }
        }
    }

    /// Whether `number`, which is of an open operation, is in.
    pub fn contains_open(&self, number: u32) -> bool {
        self.open.contains(number - self.first_open)
    }
}

/// Words of a configuration before its windows: head, number and next, and the places of the windows.
const HEADER: usize = 4;

/// What storing a word costs, in words that are compared: the default budget is then 640 MB at most.
const STORED: u64 = 64;

/// The configurations visited so far: an open-addressing table of chains over one flat array. A chain has the configurations
/// whose completed operations and state have the same hash.
pub(super) struct Visited {
    /// Per configuration: the upper half of its hash above its state; its number above the place of the next one in its chain;
    /// the places of its two windows; and the windows.
    configurations: Vec<u64>,
    /// 1 + the place of the first configuration of the chain in this slot; 0 where it is free. A power of two long.
    slots: Vec<u32>,
    /// Configurations held.
    len: usize,
    /// Chains held.
    chains: usize,
    /// How many words were compared and stored, as work.
    work: u64,
}

impl Visited {
    /// Holds none.
    pub fn new() -> Self {
        Self { configurations: Vec::new(), slots: vec![0; 64], len: 0, chains: 0, work: 0 }
    }

    /// The work so far, in words compared.
    pub fn work(&self) -> u64 {
        self.work
    }

    /// Adds the configuration and gives its number. If it was there already, or one with fewer open operations was, the number
    /// of that one is an error.
    pub fn insert(&mut self, placed: &BitSet, state: StateId) -> Result<u32, u32> {
        // Half full at most: probe sequences stay short.
        if (self.chains + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let hash = mix(placed.hash ^ mix(!u64::from(state)));
        let head = hash >> 32 << 32 | u64::from(state);
        let slot = self.slot(head);
        let first = self.slots[slot];
        let mut next = first;
        while next != 0 {
            let other = &self.configurations[next as usize - 1..];
            let (is_part, compared) = is_part(other, placed);
            self.work += compared;
            if is_part {
                return Err((other[1] >> 32) as u32);
            }
            next = other[1] as u32;
        }
        let number = u32::try_from(self.len).expect("fewer than 2^32 configurations");
        let at = self.configurations.len();
        self.slots[slot] = u32::try_from(at + 1).expect("fewer than 2^32 words");
        self.chains += usize::from(first == 0);
        self.len += 1;
        let places = [placed.completed.place(), placed.open.place()];
        self.configurations.extend([head, u64::from(number) << 32 | u64::from(first), places[0], places[1]]);
        self.configurations.extend_from_slice(placed.completed.window());
        self.configurations.extend_from_slice(placed.open.window());
        self.work += (self.configurations.len() - at) as u64 * STORED;
        Ok(number)
    }

    /// The slot of the chain with this head, or the free one where it would be.
    fn slot(&self, head: u64) -> usize {
        let mut slot = (head >> 32) as usize & (self.slots.len() - 1);
        while self.slots[slot] != 0 && self.configurations[self.slots[slot] as usize - 1] != head {
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        slot
    }

    fn grow(&mut self) {
        let old = std::mem::take(&mut self.slots);
        self.slots = vec![0; old.len() * 2];
        for first in old.into_iter().filter(|first| *first != 0) {
            let slot = self.slot(self.configurations[first as usize - 1]);
            self.slots[slot] = first;
        }
    }
}

/// Whether a configuration, whose words are the first here, differs from the set only by open operations, and the set has all
/// that it has. Also how many words were compared.
fn is_part(configuration: &[u64], placed: &BitSet) -> (bool, u64) {
    let &[_, _, completed, open, ref windows @ ..] = configuration else { return (false, 1) };
    let (length, open_from, open_length) = (completed as u32 as usize, (open >> 32) as usize, open as u32 as usize);
    let compared = (HEADER + length) as u64;
    if completed != placed.completed.place() || windows[..length] != *placed.completed.window() {
        return (false, compared);
    }
    let fewer = &windows[length..length + open_length];
    let more = |at: usize| placed.open.words[at];
    let is_part = fewer.iter().enumerate().all(|(at, &fewer)| fewer & !more(open_from + at) == 0);
    (is_part, compared + open_length as u64)
}

/// The finalizer of SplitMix64 (Steele, Lea & Flood, OOPSLA 2014): every input bit moves every output bit.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A hasher without a key: std's default is seeded per process.
#[derive(Default)]
pub(super) struct FixedHasher(u64);

impl Hasher for FixedHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        // Folding the whole product spreads each bit both ways.
        let product = u128::from(self.0.rotate_left(23) ^ word ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }

    fn finish(&self) -> u64 {
        mix(self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_configuration_is_new_once_per_set_and_state() {
        let mut visited = Visited::new();
        let mut placed = BitSet::new(130, 130);
        for round in [true, false] {
            for number in 0..130 {
                placed.toggle(number);
                for state in 0..20 {
                    assert_eq!(visited.insert(&placed, state).is_ok(), round, "{number} {state}");
                }
            }
            for number in 0..130 {
                placed.toggle(number);
            }
        }
        assert_eq!(visited.len, 130 * 20);
    }

    #[test]
    fn more_open_operations_make_no_new_configuration() {
        let (mut visited, mut placed) = (Visited::new(), BitSet::new(140, 70));
        placed.toggle(3);
        placed.toggle(90);
        assert!(visited.insert(&placed, 1).is_ok());
        placed.toggle(75);
        assert!(visited.insert(&placed, 1).is_err(), "it has one more");
        assert!(visited.insert(&placed, 2).is_ok(), "in another state");
        placed.toggle(90);
        assert!(visited.insert(&placed, 1).is_ok(), "it lacks one");
        placed.toggle(75);
        assert!(visited.insert(&placed, 1).is_ok(), "it lacks both");
        placed.toggle(90);
        assert!(visited.insert(&placed, 1).is_err());
        placed.toggle(69);
        assert!(visited.insert(&placed, 1).is_ok(), "another operation completed");
    }

    #[test]
    fn toggling_twice_restores_the_set_and_its_hash() {
        let mut placed = BitSet::new(70, 70);
        placed.toggle(3);
        let (window, hash) = (placed.completed.window().to_vec(), placed.hash);
        placed.toggle(69);
        assert!(placed.completed.window() != window && placed.hash != hash);
        placed.toggle(69);
        assert!(placed.completed.window() == window && placed.hash == hash);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_set_is_found_exactly_if_one_with_the_same_completed_and_no_more_open_ones_was_there(
            completed in 0..150_usize,
            toggles in prop::collection::vec((0..300_u32, 0..3_u32), 1..200),
        ) {
            let (mut visited, mut placed) = (Visited::new(), BitSet::new(300, completed));
            let (mut set, mut known) = (BTreeSet::new(), Vec::<(BTreeSet<u32>, u32)>::new());
            for (number, state) in toggles {
                // Mostly in order, as a search does.
                let number = if number < 200 { (set.len() as u32 + number % 3).min(299) } else { number };
                placed.toggle(number);
                if !set.remove(&number) {
                    set.insert(number);
                }
                let is_open = |number: &&u32| **number >= completed as u32;
                let closed = |set: &BTreeSet<u32>| set.iter().filter(|n| !is_open(n)).copied().collect::<Vec<_>>();
                let there = known.iter().any(|(other, at)| *at == state && other.is_subset(&set) && closed(other) == closed(&set));
                prop_assert_eq!(visited.insert(&placed, state).is_err(), there);
                if !there {
                    known.push((set.clone(), state));
                }
            }
        }
    }

    #[test]
    fn the_hasher_has_no_key() {
        let hash = |text: &str| BuildHasherDefault::<FixedHasher>::default().hash_one(text);
        assert_eq!(hash("a linearization point"), hash("a linearization point"));
        assert_ne!(hash("x"), hash("y"));
    }
}
