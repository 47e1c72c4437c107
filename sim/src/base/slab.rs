//! A slab: values in slots that are reused, under names that are not.

use std::fmt;
use std::marker::PhantomData;

/// Generations wrap at this: a waker has 24 bits for one.
const GENERATIONS: u32 = 1 << 24;

/// The name of a value in a [`Slab`]: its slot, and which use of the slot it is. Once the value is removed, it names
/// nothing.
pub(crate) struct Id<T> {
    slot: u32,
    generation: u32,
    of: PhantomData<fn() -> T>,
}

impl<T> Id<T> {
    /// The name of nothing, ever.
    pub const NONE: Id<T> = Id::new(u32::MAX, u32::MAX);

    pub const fn new(slot: u32, generation: u32) -> Id<T> {
        Id { slot, generation, of: PhantomData }
    }

    #[inline]
    pub const fn slot(self) -> u32 {
        self.slot
    }

    /// Below 2²⁴, but for [`Id::NONE`].
    #[inline]
    pub const fn generation(self) -> u32 {
        self.generation
    }
}

// Derived, these would ask the same of `T`.
impl<T> Clone for Id<T> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Id<T> {}
impl<T> PartialEq for Id<T> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        (self.slot, self.generation) == (other.slot, other.generation)
    }
}
impl<T> Eq for Id<T> {}
impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.slot, self.generation)
    }
}

struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// Values by [`Id`]. All operations but those on all values take constant time. The slot that was freed last is used
/// first, so which slot a value gets depends on the sequence of operations alone.
pub(crate) struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab { slots: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    #[inline]
    pub fn insert(&mut self, value: T) -> Id<T> {
        match self.free.pop() {
            Some(slot) => {
                let entry = &mut self.slots[slot as usize];
                entry.value = Some(value);
                Id::new(slot, entry.generation)
            }
            None => {
                let slot = self.slots.len() as u32;
                self.slots.push(Slot { generation: 0, value: Some(value) });
                Id::new(slot, 0)
            }
        }
    }

    #[inline]
    pub fn contains(&self, id: Id<T>) -> bool {
        self.get(id).is_some()
    }

    #[inline]
    pub fn get(&self, id: Id<T>) -> Option<&T> {
        let slot = self.slots.get(id.slot as usize)?;
        if slot.generation == id.generation { slot.value.as_ref() } else { None }
    }

    #[inline]
    pub fn get_mut(&mut self, id: Id<T>) -> Option<&mut T> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        if slot.generation == id.generation { slot.value.as_mut() } else { None }
    }

    #[inline]
    pub fn remove(&mut self, id: Id<T>) -> Option<T> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        if slot.generation != id.generation {
            return None;
        }
        let value = slot.value.take()?;
        slot.generation = (slot.generation + 1) % GENERATIONS;
        self.free.push(id.slot);
        Some(value)
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// All values, by slot.
    pub fn iter(&self) -> impl Iterator<Item = (Id<T>, &T)> {
        (0u32..)
            .zip(&self.slots)
            .filter_map(|(slot, entry)| Some((Id::new(slot, entry.generation), entry.value.as_ref()?)))
    }

    /// Takes all values, by slot, and forgets all names: they may be given anew.
    pub fn drain(&mut self) -> impl Iterator<Item = T> {
        self.free.clear();
        self.slots.drain(..).filter_map(|slot| slot.value)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_of_one_value_and_its_slot_of_many() {
        let mut slab = Slab::default();
        let (a, b) = (slab.insert('a'), slab.insert('b'));
        assert_eq!((slab.get(a), slab.get(b)), (Some(&'a'), Some(&'b')));
        assert_eq!(slab.remove(a), Some('a'));
        assert_eq!((slab.contains(a), slab.len()), (false, 1));
        assert_eq!(slab.remove(a), None);

        let c = slab.insert('c');
        assert_eq!((c.slot(), c.generation()), (a.slot(), a.generation() + 1));
        assert_eq!(slab.get_mut(a), None);
        assert_eq!(slab.get_mut(c), Some(&mut 'c'));
        assert!(!slab.contains(Id::NONE));
    }

    #[test]
    fn the_slot_freed_last_is_used_first() {
        let mut slab = Slab::default();
        let ids: Vec<Id<u32>> = (0..4).map(|n| slab.insert(n)).collect();
        slab.remove(ids[1]);
        slab.remove(ids[3]);
        assert_eq!([slab.insert(5).slot(), slab.insert(6).slot(), slab.insert(7).slot()], [3, 1, 4]);
    }

    #[test]
    fn generations_fit_in_24_bits() {
        let mut slab = Slab { slots: vec![Slot { generation: GENERATIONS - 1, value: None }], free: vec![0] };
        let last = slab.insert(1);
        assert_eq!(last.generation(), GENERATIONS - 1);
        slab.remove(last);
        assert_eq!(slab.insert(2).generation(), 0);
    }

    #[test]
    fn what_is_drained_is_gone() {
        let mut slab = Slab::default();
        let ids: Vec<Id<u32>> = (0..3).map(|n| slab.insert(n)).collect();
        slab.remove(ids[1]);
        assert_eq!(slab.drain().collect::<Vec<_>>(), [0, 2]);
        assert_eq!((slab.len(), slab.get(ids[0])), (0, None));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Every fourth operation removes; names of removed values stay in the pool and must find nothing.
        #[test]
        fn it_is_a_map_whose_keys_are_never_given_twice(operations in proptest::collection::vec((0u8..4, any::<usize>()), 0..200)) {
            let mut slab = Slab::default();
            let mut map = BTreeMap::new();
            let mut ids: Vec<Id<usize>> = Vec::new();
            for (n, (operation, which)) in operations.into_iter().enumerate() {
                if operation == 0 || ids.is_empty() {
                    let id = slab.insert(n);
                    prop_assert!(!ids.contains(&id));
                    map.insert((id.slot(), id.generation()), n);
                    ids.push(id);
                    continue;
                }
                let id = ids[which % ids.len()];
                let key = (id.slot(), id.generation());
                match operation {
                    1 => prop_assert_eq!(slab.remove(id), map.remove(&key)),
                    2 => prop_assert_eq!(slab.get(id), map.get(&key)),
                    _ => {
                        let (value, expected) = (slab.get_mut(id), map.get_mut(&key));
                        prop_assert_eq!(value.is_some(), expected.is_some());
                        if let (Some(value), Some(expected)) = (value, expected) {
                            (*value, *expected) = (n, n);
                        }
                    }
                }
                prop_assert_eq!(slab.len(), map.len());
            }
            let left: Vec<((u32, u32), usize)> = slab.iter().map(|(id, &n)| ((id.slot(), id.generation()), n)).collect();
            prop_assert_eq!(left, map.into_iter().collect::<Vec<_>>());
        }
    }
}
