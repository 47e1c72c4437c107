//! Changes of names that are not durable yet, and which of them hang together.
//!
//! A change sets some entries of directories, all of them or none: a rename takes one name away, gives another one, and with it what had
//! that name before. It comes *after* others, without which it cannot be: those that touched the same entries, and those that
//! a crash must not undo alone, or something would be nowhere. So a crash keeps any set of changes that has with each the ones
//! before it, and a sync makes durable with each the ones before it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::inode::Inode;

/// The number of a directory.
pub(super) type DirNo = u64;

/// What a name stands for.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    File(Rc<Inode>),
    Dir(DirNo),
}

impl Entry {
    /// Whether it stands for the same.
    pub fn is(&self, other: &Entry) -> bool {
        match (self, other) {
            (Entry::File(a), Entry::File(b)) => Rc::ptr_eq(a, b),
            (Entry::Dir(a), Entry::Dir(b)) => a == b,
            _ => false,
        }
    }
}

/// A new value of one entry of one directory.
#[derive(Clone, Debug)]
pub(super) struct Set {
    pub dir: DirNo,
    pub name: String,
    pub value: Option<Entry>,
}

impl Set {
    fn is_of(&self, other: &Set) -> bool {
        self.dir == other.dir && self.name == other.name
    }
}

/// One change.
#[derive(Debug)]
pub(super) struct Change {
    /// When the first part of it was made.
    pub first: u64,
    pub sets: Vec<Set>,
    /// The changes that it comes after, as far as they are not durable yet.
    pub after: Vec<u64>,
}

/// The number of changes that are tracked one by one; beyond that, each chain of changes is merged.
const TOLD_APART: usize = 64;

/// All changes that are not durable, by when they were made.
#[derive(Debug)]
pub(super) struct Changes {
    list: BTreeMap<u64, Change>,
    /// When there are so many, chains become one each.
    merge_at: usize,
}

impl Default for Changes {
    fn default() -> Self {
        Changes { list: BTreeMap::new(), merge_at: TOLD_APART }
    }
}

impl Changes {
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Change)> {
        self.list.iter().map(|(&id, change)| (id, change))
    }

    pub fn all(&self) -> Vec<u64> {
        self.list.keys().copied().collect()
    }

    pub fn get(&self, id: u64) -> Option<&Change> {
        self.list.get(&id)
    }

    pub fn add(&mut self, id: u64, change: Change) {
        self.list.insert(id, change);
    }

    pub fn take(&mut self, id: u64) -> Option<Change> {
        self.list.remove(&id)
    }

    pub fn take_all(&mut self) {
        self.list.clear();
    }

    /// Those for which `wanted` says so and all that they come after, in order.
    pub fn closure(&self, wanted: impl Fn(&Change) -> bool) -> BTreeSet<u64> {
        let mut found = BTreeSet::new();
        let mut open: Vec<u64> = self.iter().filter(|(_, change)| wanted(change)).map(|(id, _)| id).collect();
        while let Some(id) = open.pop() {
            if let Some(change) = self.list.get(&id)
                && found.insert(id)
            {
                open.extend(&change.after);
            }
        }
        found
    }

    /// Those that `keeps` keeps and that are not after one that is lost, in order.
    pub fn kept(&self, keeps: impl Fn(u64) -> bool) -> BTreeSet<u64> {
        let mut kept = BTreeSet::new();
        for (id, change) in self.iter() {
            let is_possible =
                change.after.iter().all(|before| kept.contains(before) || !self.list.contains_key(before));
            if is_possible && keeps(id) {
                kept.insert(id);
            }
        }
        kept
    }

    /// Keeps the list short: of a chain of old changes, the first becomes a part of the next. Returns whether it did anything.
    pub fn merge(&mut self, is_durable: impl Fn(&Set) -> bool) -> bool {
        if self.list.len() < self.merge_at {
            return false;
        }
        let old: Vec<u64> = self.list.keys().copied().take(self.list.len() / 2).collect();
        for id in old {
            // Nothing between the two comes after the first.
            let next = self.iter().find(|(_, change)| change.after.contains(&id)).map(|(next, _)| next);
            if let Some(next) = next {
                self.merge_into(id, next);
                self.forget_idle(next, &is_durable);
            }
        }
        self.merge_at = TOLD_APART.max(2 * self.list.len());
        true
    }

    fn merge_into(&mut self, id: u64, next: u64) {
        let Some(old) = self.list.remove(&id) else { return };
        for change in self.list.values_mut() {
            if let Some(at) = change.after.iter().position(|&before| before == id) {
                change.after[at] = next;
            }
        }
        let Some(new) = self.list.get_mut(&next) else { return };
        new.first = new.first.min(old.first);
        new.after.extend(old.after);
        new.after.retain(|&before| before != next);
        new.after.sort_unstable();
        new.after.dedup();
        for set in old.sets {
            if !new.sets.iter().any(|other| other.is_of(&set)) {
                new.sets.push(set);
            }
        }
    }

    /// Forgets names that came and went: a change takes away what is not durable, and no other one touches.
    fn forget_idle(&mut self, id: u64, is_durable: impl Fn(&Set) -> bool) {
        let Some(change) = self.list.get(&id) else { return };
        let touched = |set: &Set| self.iter().any(|(other, c)| other != id && c.sets.iter().any(|s| s.is_of(set)));
        let idle: Vec<bool> =
            change.sets.iter().map(|set| set.value.is_none() && !is_durable(set) && !touched(set)).collect();
        if let Some(change) = self.list.get_mut(&id) {
            let mut idle = idle.into_iter();
            change.sets.retain(|_| idle.next() == Some(false));
            if change.sets.is_empty() {
                let before = std::mem::take(&mut change.after);
                self.list.remove(&id);
                for change in self.list.values_mut().filter(|change| change.after.contains(&id)) {
                    change.after.retain(|&other| other != id);
                    change.after.extend(&before);
                }
            }
        }
    }
}
