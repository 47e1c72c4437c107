//! What the oracles know: which record must be where, what is on the disk, and what a fault has destroyed.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use sim::NodeId;
use sim::fs::{self, CrashImage, Loss};

use super::events::{Acked, Contents};
use super::recovery::SNAPSHOTS;
use super::state::{State, id_of};
use crate::storage::snapshot;
use crate::storage::wal::{self, HEADER};

/// Where the bytes of a record are in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: String,
    /// Where in it they begin.
    pub offset: u64,
    /// How many they are.
    pub len: u64,
}

impl Place {
    /// As an acknowledgement says. `None` if it says that the record is in snapshots only.
    pub fn of(acked: &Acked) -> Option<Place> {
        let place = Place { path: acked.path.clone(), offset: acked.offset, len: acked.len };
        (!place.path.is_empty()).then_some(place)
    }

    /// Whether a fault destroyed the bytes, or the header in front of them.
    fn is_damaged(&self, node: NodeId) -> bool {
        fs::damaged(node, &self.path, self.header(), self.offset + self.len)
    }

    /// Where the header begins.
    fn header(&self) -> u64 {
        self.offset.saturating_sub(HEADER as u64)
    }

    /// Whether `bytes`, which begin where the header does, are this record, in a way that can be read.
    fn has(&self, index: u64, record: u64, bytes: &[u8]) -> bool {
        let found = wal::decode(&self.path, self.header(), bytes);
        found.is_some_and(|(number, payload)| number == index && id_of(payload) == record)
    }
}

/// A record that must not get lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its identity.
    pub record: u64,
    /// Where it is, as far as was said.
    pub place: Option<Place>,
    /// The position of the record in the order in which the oracle learned of the records.
    pub order: u64,
}

/// The records that must not get lost, by number.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    kept: BTreeMap<u64, Kept>,
    destroyed: BTreeSet<u64>,
    order: u64,
}

impl Ledger {
    /// A record that from now on must not get lost.
    pub fn keep(&mut self, index: u64, record: u64, place: Option<Place>) {
        let order = self.order + 1;
        let kept = self.kept.entry(index).or_insert(Kept { record, place: None, order });
        self.order = self.order.max(kept.order);
        kept.place = place.or(kept.place.take());
    }

    /// How many it knows of.
    pub fn order(&self) -> u64 {
        self.order
    }

    /// The record of that number, if it must not get lost.
    pub fn get(&self, index: u64) -> Option<&Kept> {
        self.kept.get(&index)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Kept)> {
        self.kept.iter().map(|(index, kept)| (*index, kept))
    }

    /// Whether a fault destroyed the record of that number.
    pub fn is_destroyed(&self, index: u64) -> bool {
        self.destroyed.contains(&index)
    }

    /// The disk is gone, and with it all that was on it.
    pub fn wiped(&mut self) {
        self.destroyed.extend(self.kept.keys());
    }

    /// Looks at the disk of `node`. Remembers which records a fault has destroyed: the damage is gone when it is written
    /// over. Returns the first record that is gone without such an excuse.
    pub fn inspect(&mut self, node: NodeId) -> Option<(u64, Kept)> {
        let disk = Disk::of(node);
        let mut gone = None;
        for (index, kept) in &self.kept {
            if self.destroyed.contains(index) {
                continue;
            }
            match disk.fate(*index, kept) {
                Fate::There => {}
                Fate::Destroyed => {
                    self.destroyed.insert(*index);
                }
                Fate::Gone => gone = gone.or(Some((*index, kept.clone()))),
            }
        }
        gone
    }

    /// Looks for one record only, as [`Ledger::inspect`]. Cheap if the record is in the log.
    pub fn is_gone(&mut self, node: NodeId, index: u64) -> bool {
        let Some(kept) = self.kept.get(&index) else { return false };
        if kept.place.as_ref().is_some_and(|place| is_certain(node, place, index, kept.record)) {
            return false;
        }
        match Disk::of(node).fate(index, kept) {
            Fate::There => false,
            Fate::Destroyed => {
                self.destroyed.insert(index);
                false
            }
            Fate::Gone => true,
        }
    }
}

/// Whether the record is at a place for certain, whatever a crash does.
fn is_certain(node: NodeId, place: &Place, index: u64, record: u64) -> bool {
    let (from, to) = (place.header(), place.offset + place.len);
    let bytes = fs::survives(node, &place.path, from, to).then(|| fs::durable_bytes(node, &place.path, from, to));
    bytes.flatten().is_some_and(|bytes| place.has(index, record, &bytes))
}

/// What has become of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    There,
    /// Not there, and a fault hit what it was in.
    Destroyed,
    Gone,
}

/// What is on a disk for certain.
struct Disk {
    node: NodeId,
    image: CrashImage,
    snapshots: OnceCell<Vec<Snapshot>>,
}

struct Snapshot {
    /// After which record it was made, as its name says.
    index: u64,
    /// `None` if it is not whole.
    contents: Option<Contents>,
    damaged: bool,
}

impl Disk {
    fn of(node: NodeId) -> Disk {
        Disk { node, image: fs::crash_image(node, Loss::Everything), snapshots: OnceCell::new() }
    }

    fn snapshots(&self) -> &[Snapshot] {
        self.snapshots.get_or_init(|| {
            // One that has not its name yet would not be looked at.
            let files = self.image.files().filter_map(|(path, bytes)| {
                let name = path.strip_prefix(SNAPSHOTS)?.strip_prefix('/')?;
                Some((snapshot::parse(name)?, path, bytes))
            });
            let snapshots = files.map(|(index, path, bytes)| Snapshot {
                index,
                contents: snapshot::decode(bytes)
                    .ok()
                    .and_then(|(_, bytes)| State::decode(&bytes).ok())
                    .map(|state| Contents::from(&state)),
                damaged: self.is_damaged(path, bytes),
            });
            snapshots.collect()
        })
    }

    fn fate(&self, index: u64, kept: &Kept) -> Fate {
        let Kept { record, place, .. } = kept;
        let in_log = |place: &Place| {
            let bytes = self.image.read(&place.path)?.get(usize::try_from(place.header()).ok()?..)?;
            place.has(index, *record, bytes).then_some(())
        };
        // Faults destroy bits, and excuse no loss of what else is in the same sector.
        if place.as_ref().and_then(in_log).is_some() {
            return Fate::There;
        }
        let holds = |snapshot: &Snapshot| snapshot.contents.as_ref().is_some_and(|has| has.get(index) == Some(*record));
        if self.snapshots().iter().any(holds) {
            return Fate::There;
        }
        let destroyed = match place {
            Some(place) if self.image.read(&place.path).is_some() => place.is_damaged(self.node),
            // A log file that is gone was cut off because there were snapshots.
            Some(place) => place.is_damaged(self.node) || self.were_snapshots_damaged(index),
            // Of a record that only was read back nobody has said where it is.
            None => self.was_log_damaged(index) || self.were_snapshots_damaged(index),
        };
        match place {
            _ if destroyed => Fate::Destroyed,
            Some(_) => Fate::Gone,
            None => Fate::There,
        }
    }

    /// Whether there are snapshots that should have a record, and all are damaged.
    fn were_snapshots_damaged(&self, index: u64) -> bool {
        let mut should = self.snapshots().iter().filter(|snapshot| snapshot.index >= index).peekable();
        should.peek().is_some() && should.all(|snapshot| snapshot.damaged)
    }

    /// Whether anything is damaged in a file of the log that a record could be in.
    fn was_log_damaged(&self, index: u64) -> bool {
        let could = |path: &str| wal::first_in(path).is_some_and(|first| first <= index);
        self.image.files().any(|(path, bytes)| could(path) && self.is_damaged(path, bytes))
    }

    fn is_damaged(&self, path: &str, bytes: &[u8]) -> bool {
        fs::damaged(self.node, path, 0, bytes.len().max(1) as u64)
    }
}
