//! How much of a disk is in use, and how much fits.

use std::cell::Cell;

use super::sector::{self, SECTOR};

/// The account of one disk. Each file holds as many sectors as its cached or its durable length takes, whichever is more,
/// from the first write until the file is unreachable.
#[derive(Debug)]
pub(super) struct Space {
    /// Sectors.
    used: Cell<u64>,
    /// Bytes.
    limit: Cell<u64>,
}

impl Space {
    /// An empty disk.
    pub fn new(limit: u64) -> Space {
        Space { used: Cell::new(0), limit: Cell::new(limit) }
    }

    /// Bytes in use, in whole sectors.
    pub fn used(&self) -> u64 {
        sector::start(self.used.get())
    }

    /// How many bytes may be in use. What is in use beyond that stays.
    pub fn limit(&self) -> u64 {
        self.limit.get()
    }

    pub fn set_limit(&self, bytes: u64) {
        self.limit.set(bytes);
    }

    /// Takes up to this many sectors, and returns the number taken.
    pub fn take(&self, sectors: u64) -> u64 {
        let free = (self.limit.get() / SECTOR as u64).saturating_sub(self.used.get());
        let taken = sectors.min(free);
        self.used.set(self.used.get() + taken);
        taken
    }

    /// Takes sectors whether they fit or not: a crash may bring a longer length back.
    pub fn take_anyway(&self, sectors: u64) {
        self.used.set(self.used.get() + sectors);
    }

    pub fn release(&self, sectors: u64) {
        self.used.set(self.used.get() - sectors);
    }
}
