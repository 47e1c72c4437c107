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
        let to = M::step(&self.states[from as usize], entry.op, entry.ret).map(|to| match M::is_read(entry.op) {
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

/// A set of operation numbers, one bit each.
///
/// It carries a hash of its completed operations, updated with every change (Zobrist 1970), so that hashing a
/// configuration does not read the whole set.
pub(super) struct BitSet {
    words: Vec<u64>,
    hash: u64,
    completed: u32,
}

impl BitSet {
    /// The empty set of numbers below `len`; those from `completed` on are of open operations.
    pub fn new(len: usize, completed: usize) -> Self {
        let completed = u32::try_from(completed).expect("fewer than 2^31 operations");
        Self { words: vec![0; len.div_ceil(64)], hash: 0, completed }
    }

    /// Puts `number` in if it is out, and takes it out if it is in.
    pub fn toggle(&mut self, number: u32) {
        self.words[number as usize / 64] ^= 1 << (number % 64);
        if number < self.completed {
            self.hash ^= mix(u64::from(number) + 1);
        }
    }
}

/// The configurations visited so far: an open-addressing table over one flat array.
pub(super) struct Visited {
    /// Words of one operation set.
    width: usize,
    /// The numbers below this are of completed operations.
    completed: usize,
    /// Per configuration: the upper half of its hash above its state, then the operation set.
    configurations: Vec<u64>,
    /// 1 + the number of the configuration in this slot; 0 where it is free. A power of two long.
    slots: Vec<u32>,
    /// Configurations held.
    len: usize,
}

impl Visited {
    /// Room for sets of numbers below `len`, of which those from `completed` on are of open operations; holds none.
    pub fn new(len: usize, completed: usize) -> Self {
        Self { width: len.div_ceil(64), completed, configurations: Vec::new(), slots: vec![0; 64], len: 0 }
    }

    /// Adds the configuration and gives its number. If it was there already, or one with fewer open operations was, the number
    /// of that one is an error.
    pub fn insert(&mut self, placed: &BitSet, state: StateId) -> Result<u32, u32> {
        // Half full at most: probe sequences stay short.
        if (self.len + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let hash = mix(placed.hash ^ mix(!u64::from(state)));
        let head = hash >> 32 << 32 | u64::from(state);
        let mut slot = self.first_slot(head);
        while self.slots[slot] != 0 {
            let start = (self.slots[slot] - 1) as usize * (self.width + 1);
            let other = &self.configurations[start..=start + self.width];
            if other[0] == head && self.is_part(&other[1..], &placed.words) {
                return Err(self.slots[slot] - 1);
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        self.len += 1;
        self.slots[slot] = u32::try_from(self.len).expect("fewer than 2^32 configurations");
        self.configurations.push(head);
        self.configurations.extend_from_slice(&placed.words);
        Ok(self.slots[slot] - 1)
    }

    /// Whether two sets differ only by open operations, and the second has all that the first has.
    fn is_part(&self, fewer: &[u64], more: &[u64]) -> bool {
        fewer.iter().zip(more).enumerate().all(|(at, (&fewer, &more))| {
            let closed = match self.completed.saturating_sub(at * 64) {
                0 => 0,
                bits @ 1..64 => (1 << bits) - 1,
                _ => u64::MAX,
            };
            fewer & !more == 0 && (fewer ^ more) & closed == 0
        })
    }

    fn grow(&mut self) {
        self.slots = vec![0; self.slots.len() * 2];
        for (number, start) in (0..self.configurations.len()).step_by(self.width + 1).enumerate() {
            let mut slot = self.first_slot(self.configurations[start]);
            while self.slots[slot] != 0 {
                slot = (slot + 1) & (self.slots.len() - 1);
            }
            self.slots[slot] = u32::try_from(number + 1).expect("fewer than 2^32 configurations");
        }
    }

    fn first_slot(&self, head: u64) -> usize {
        (head >> 32) as usize & (self.slots.len() - 1)
    }
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
    use super::*;

    #[test]
    fn a_configuration_is_new_once_per_set_and_state() {
        let mut visited = Visited::new(130, 130);
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
        let (mut visited, mut placed) = (Visited::new(140, 70), BitSet::new(140, 70));
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
        let (words, hash) = (placed.words.clone(), placed.hash);
        placed.toggle(69);
        assert!(placed.words != words && placed.hash != hash);
        placed.toggle(69);
        assert!(placed.words == words && placed.hash == hash);
    }

    #[test]
    fn the_hasher_has_no_key() {
        let hash = |text: &str| BuildHasherDefault::<FixedHasher>::default().hash_one(text);
        assert_eq!(hash("a linearization point"), hash("a linearization point"));
        assert_ne!(hash("x"), hash("y"));
    }
}
