//! The rolling digest: 128 bits that stand for everything that happened in a run.

use std::hash::Hasher;

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// What kind of event a record in the digest is.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum Tag {
    Poll = 1,
    Timer,
    Send,
    Deliver,
    Drop,
    Disk,
    Fault,
    Undo,
    Observe,
    Invoke,
    Complete,
    Boot,
    Kill,
    Failure,
    Buggify,
}

const BUFFER: usize = 1024;

/// A streaming XXH3-128 over fixed-size records, buffered so that an event costs a few stores.
pub(crate) struct Digest {
    buffer: [u8; BUFFER],
    used: usize,
    hasher: Box<Xxh3>,
    events: u64,
}

impl Default for Digest {
    fn default() -> Self {
        Digest { buffer: [0; BUFFER], used: 0, hasher: Box::new(Xxh3::new()), events: 0 }
    }
}

impl Digest {
    /// One event: its kind, who (56 bits), what, and when.
    #[inline]
    pub fn event(&mut self, tag: Tag, who: u64, what: u64, now: u64) {
        if self.used > BUFFER - 24 {
            self.flush();
        }
        let record = &mut self.buffer[self.used..][..24];
        record[..8].copy_from_slice(&((tag as u64) << 56 ^ who).to_le_bytes());
        record[8..16].copy_from_slice(&what.to_le_bytes());
        record[16..].copy_from_slice(&now.to_le_bytes());
        self.used += 24;
        self.events += 1;
    }

    fn flush(&mut self) {
        self.hasher.update(&self.buffer[..self.used]);
        self.used = 0;
    }

    /// The digest of all events so far.
    pub fn value(&mut self) -> u128 {
        self.flush();
        self.hasher.digest128()
    }

    /// How many events it stands for.
    pub fn events(&self) -> u64 {
        self.events
    }
}

/// The hash of some bytes, as it enters the digest.
#[inline]
pub(crate) fn hash_bytes(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// A `Hasher` for values that implement `Hash`: events and operations. Deterministic, unlike std's.
pub(crate) struct ValueHasher {
    /// What was written so far, as long as it is short: most values are, and the state for a long one takes longer to set up
    /// than a short one takes to hash.
    short: [u8; SHORT],
    used: usize,
    long: Option<Xxh3>,
}

/// Most events and operations have less.
const SHORT: usize = 128;

impl ValueHasher {
    pub fn hash(value: &(impl std::hash::Hash + ?Sized)) -> u64 {
        let mut hasher = ValueHasher { short: [0; SHORT], used: 0, long: None };
        value.hash(&mut hasher);
        hasher.finish()
    }

    #[cold]
    fn write_long(&mut self, bytes: &[u8]) {
        let long = self.long.get_or_insert_with(|| {
            let mut long = Xxh3::new();
            long.update(&self.short[..self.used]);
            long
        });
        long.update(bytes);
    }
}

impl Hasher for ValueHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        match self.short[self.used..].get_mut(..bytes.len()) {
            Some(room) if self.long.is_none() => {
                room.copy_from_slice(bytes);
                self.used += bytes.len();
            }
            _ => self.write_long(bytes),
        }
    }

    fn finish(&self) -> u64 {
        self.long.as_ref().map_or_else(|| xxh3_64(&self.short[..self.used]), Xxh3::digest)
    }
}
