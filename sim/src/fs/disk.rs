//! One node's disk: names and files, what a crash makes of them, and what faults do to them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;

use super::changes::Entry;
use super::config::DiskConfig;
use super::crash::{Counts, Survival, survived};
use super::device::Strays;
use super::dice::{Dice, Mode, Rules};
use super::inode::Inode;
use super::names::Names;
use super::platter::Place;
use super::sector::Block;
use super::shadow::Stamp;
use super::space::Space;
use super::{Loss, Metadata, path};
use crate::base::seed::{Draw, Key, Purpose, SPREAD, Seed, fold};
use crate::base::{NodeId, glob_matches};
use crate::kernel::State;
use crate::trace::digest::{Tag, hash_bytes};
use crate::trace::record::Kind;

/// A disk.
pub(crate) struct Disk {
    key: Key,
    /// How much was written so far: each write and each change of a name has a number.
    sequence: u64,
    /// How many files and directories there were.
    created: u64,
    crashes: u64,
    rules: Rules,
    space: Rc<Space>,
    names: Names,
    /// What a wipe took: how long each file was.
    wiped: BTreeMap<String, u64>,
}

/// What a crash makes of a disk.
struct Outcome {
    changes: BTreeSet<u64>,
    files: BTreeMap<u64, (Rc<Inode>, Survival)>,
    counts: Counts,
}

/// Draws about images are apart from those about crashes.
const OF_IMAGES: u64 = 1 << 48;

impl Disk {
    fn new(key: Key) -> Disk {
        Disk {
            key,
            sequence: 0,
            created: 0,
            crashes: 0,
            rules: DiskConfig::default().rules(),
            space: Rc::new(Space::new(u64::MAX)),
            names: Names::default(),
            wiped: BTreeMap::new(),
        }
    }

    /// The number of what is written next, with a draw.
    #[inline]
    pub(super) fn stamp(&mut self) -> Stamp {
        self.sequence += 1;
        Stamp { seq: self.sequence, draw: self.key.draw(0, self.sequence) }
    }

    /// The number of what was written last.
    pub fn written(&self) -> u64 {
        self.sequence
    }

    fn number(&mut self) -> u64 {
        self.created += 1;
        self.created
    }

    // ---- names ------------------------------------------------------------------------------------------------

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// Creates a file where there is none.
    pub(super) fn create(&mut self, path: &str) -> io::Result<Rc<Inode>> {
        let inode = Inode::new(self.number(), &self.space);
        let seq = self.stamp().seq;
        self.names.create(path, inode.clone(), seq)?;
        Ok(inode)
    }

    pub fn metadata(&self, path: &str) -> io::Result<Metadata> {
        Ok(match self.names.find(path)? {
            Entry::File(inode) => Metadata { len: inode.content.borrow().len(), is_dir: false },
            Entry::Dir(_) => Metadata { len: 0, is_dir: true },
        })
    }

    pub fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let seq = self.stamp().seq;
        self.names.rename(from, to, seq)
    }

    pub fn remove_file(&mut self, path: &str) -> io::Result<()> {
        let seq = self.stamp().seq;
        self.names.remove_file(path, seq)
    }

    pub fn create_dir(&mut self, path: &str) -> io::Result<()> {
        let (number, seq) = (self.number(), self.stamp().seq);
        self.names.create_dir(path, number, seq)
    }

    pub fn remove_dir(&mut self, path: &str) -> io::Result<()> {
        let seq = self.stamp().seq;
        self.names.remove_dir(path, seq)
    }

    /// Creates a directory and those above it that are not there.
    pub fn create_dir_all(&mut self, path: &str) -> io::Result<()> {
        let is_dir = |disk: &Disk| disk.names.directory(path).is_ok();
        match self.create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) if is_dir(self) => return Ok(()),
            done => return done,
        }
        if let Some(above) = path::parent(path) {
            self.create_dir_all(above)?;
        }
        self.create_dir(path)
    }

    /// Makes durable what was changed in a directory up to `since`.
    pub fn sync_names(&mut self, dir: u64, since: u64) -> u64 {
        self.names.sync(dir, since)
    }

    // ---- syncs of files ---------------------------------------------------------------------------------------

    /// A sync wrote sectors, and some of them in the place of others. Returns how many sectors it wrote, and how many of them
    /// elsewhere.
    pub(super) fn finish_astray(&mut self, inode: &Inode, strays: Strays) -> (u64, u64) {
        let (written, astray) = inode.content.borrow_mut().finish_astray(strays);
        for stray in &astray {
            let places = self.places("*");
            let all: u64 = places.iter().map(|(_, _, sectors)| sectors).sum();
            // In its own place it would not be astray: the last one stands in for it.
            let is_own = |place: &Place| place.inode.number == inode.number && place.sector == stray.sector;
            let has_own = places.iter().any(|(_, other, _)| other.number == inode.number)
                && inode.content.borrow().is_clean(stray.sector);
            let others = all - u64::from(has_own);
            let hit = match nth(&places, stray.place.below(others)) {
                Some(place) if is_own(&place) => nth(&places, others).filter(|last| !is_own(last)),
                hit => hit,
            };
            if let Some(place) = hit {
                place.overwrite(&stray.block);
            }
        }
        (written, astray.len() as u64)
    }

    // ---- crashes ----------------------------------------------------------------------------------------------

    fn outcome(&self, dice: impl FnOnce((u64, u64)) -> Dice) -> Outcome {
        let inodes = self.names.inodes();
        let (mut first, mut last) = (self.sequence, 0);
        let mut see = |seq: u64| (first, last) = (first.min(seq), last.max(seq));
        inodes.values().for_each(|inode| inode.content.borrow().unsynced().for_each(&mut see));
        self.names.unsynced().for_each(&mut see);
        let dice = dice((first, last));

        let sectors: Vec<u64> = inodes.values().map(|inode| inode.content.borrow().clean_sectors()).collect();
        let stale = |draw: Draw| {
            let mut n = draw.below(sectors.iter().sum());
            for (inode, &sectors) in inodes.values().zip(&sectors) {
                if n < sectors {
                    let content = inode.content.borrow();
                    return content.on_platter(content.clean_sector(n));
                }
                n -= sectors;
            }
            None::<Block>
        };
        let changes = self.names.survivors(|seq| {
            let draw = dice.draw(super::dice::About::Name, seq, 0);
            dice.keeps(seq, draw)
        });
        let mut counts = Counts { kept_names: changes.len() as u64, ..Counts::default() };
        counts.lost_names = self.names.unsynced().count() as u64 - counts.kept_names;
        let mut files = BTreeMap::new();
        for (&number, inode) in &inodes {
            let survival = inode.content.borrow().survival(number, &dice, &stale);
            counts.add(&survival.counts);
            files.insert(number, (inode.clone(), survival));
        }
        Outcome { changes, files, counts }
    }

    /// Power is lost. Returns what that did, and a hash of what is left.
    fn crash(&mut self) -> (Counts, u64) {
        self.crashes += 1;
        let outcome = self.outcome(|span| Dice::drawn(self.key, self.crashes, span, self.rules));
        self.names.become_what_survived(&outcome.changes);
        let mut hash = outcome.changes.iter().fold(0, |hash, &id| fold(hash ^ id, SPREAD));
        for (number, (inode, survival)) in outcome.files {
            hash = fold(hash ^ number, survival.len ^ SPREAD);
            for (sector, block, _) in &survival.sectors {
                hash = fold(hash ^ sector, hash_bytes(&**block) ^ SPREAD);
            }
            inode.content.borrow_mut().become_what_survived(survival);
        }
        // Handles that are still around count no more.
        self.space = Rc::new(Space::new(self.space.limit()));
        for inode in self.names.inodes().values() {
            inode.content.borrow_mut().move_to(&self.space);
        }
        (outcome.counts, hash)
    }

    /// The disk is replaced by an empty one.
    fn wipe(&mut self) {
        for (path, inode) in self.names.after(&BTreeSet::new()) {
            let len = self.wiped.entry(path).or_default();
            *len = inode.content.borrow().durable_len.max(*len);
        }
        self.names = Names::default();
        self.space = Rc::new(Space::new(self.space.limit()));
    }

    /// What would be there after a crash.
    pub fn image(&self, loss: Loss) -> BTreeMap<String, Vec<u8>> {
        let dice = |span| match loss {
            Loss::Everything | Loss::Nothing => Dice::fixed(Mode::Nothing, self.rules),
            Loss::Drawn(i) => Dice::drawn(self.key, OF_IMAGES ^ i, span, self.rules),
        };
        if loss == Loss::Nothing {
            let files = self.names.cached();
            return files.into_iter().map(|(path, inode)| (path, inode.content.borrow().bytes.clone())).collect();
        }
        let outcome = self.outcome(dice);
        let files = self.names.after(&outcome.changes).into_iter().map(|(path, inode)| {
            let (_, survival) = &outcome.files[&inode.number];
            (path, survived(inode.content.borrow().bytes.clone(), survival))
        });
        files.collect()
    }

    /// The part of a file that is sure to be there after a crash; none if it is not sure to be there.
    pub fn durable(&self, path: &str, from: u64, to: u64) -> Option<Vec<u8>> {
        let inode = self.names.durable_file(path)?;
        let content = inode.content.borrow();
        content.durable_bytes(from, to)
    }

    /// Whether a crash leaves a part of a file as it is read now, whatever it decides.
    pub fn is_certain(&self, path: &str, from: u64, to: u64) -> bool {
        self.names.certain_file(path).is_some_and(|inode| inode.content.borrow().is_certain(from, to))
    }

    /// The bytes that are never torn.
    pub fn atomic(&self) -> usize {
        self.rules.atomic
    }

    /// What crashes may do from now on.
    pub fn set_rules(&mut self, config: &DiskConfig) {
        self.rules = config.rules();
    }

    // ---- damage -----------------------------------------------------------------------------------------------

    /// The files of a glob that the cache has names of, and how many sectors of each are durable and clean.
    fn places(&self, files: &str) -> Vec<(String, Rc<Inode>, u64)> {
        let files = self.names.cached().into_iter().filter(|(path, _)| glob_matches(files, path));
        let places = files.map(|(path, inode)| {
            let sectors = inode.content.borrow().clean_sectors();
            (path, inode, sectors)
        });
        places.collect()
    }

    /// How many sectors of files of a glob are durable and have no newer version in the cache.
    pub fn durable_sectors(&self, files: &str) -> u64 {
        self.places(files).iter().map(|(_, _, sectors)| sectors).sum()
    }

    /// Flips a bit in the n-th of them. Returns which sector that is.
    pub fn corrupt(&mut self, files: &str, n: u64, bit: Draw) -> Option<(String, u64)> {
        let place = nth(&self.places(files), n)?;
        place.corrupt(bit);
        Some((place.path, place.sector))
    }

    /// Makes the n-th of them unreadable. Returns which sector that is.
    pub fn spoil(&mut self, files: &str, n: u64) -> Option<(String, u64)> {
        let place = nth(&self.places(files), n)?;
        place.spoil();
        Some((place.path, place.sector))
    }

    /// Whether any durable sector of any file was damaged and not written again.
    pub fn is_damaged(&self) -> bool {
        self.names.inodes().values().any(|inode| !inode.content.borrow().damage.is_empty())
    }

    /// Whether a fault destroyed some of these bytes of a file.
    pub fn is_damaged_at(&self, path: &str, from: u64, to: u64) -> bool {
        let cached = self.names.file(path).ok();
        let inodes: Vec<Rc<Inode>> = cached.into_iter().chain(self.names.durable_file(path)).collect();
        let is_again = |inode: &Rc<Inode>| inode.content.borrow().len() >= to;
        let was_wiped = self.wiped.get(&path::normal(path)).is_some_and(|&len| from < len);
        inodes.iter().any(|inode| inode.content.borrow().is_damaged(from, to))
            || was_wiped && !inodes.iter().any(is_again)
    }

    /// Whether a fault destroyed any byte of a file.
    pub fn is_file_damaged(&self, path: &str) -> bool {
        let wiped = self.wiped.get(&path::normal(path)).copied().unwrap_or(0);
        self.is_damaged_at(path, 0, wiped) || self.is_damaged_at(path, wiped, u64::MAX)
    }

    // ---- space ------------------------------------------------------------------------------------------------

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.space.used()
    }

    /// How many bytes may be in use.
    pub fn set_limit(&mut self, bytes: u64) {
        self.space.set_limit(bytes);
    }
}

fn nth(places: &[(String, Rc<Inode>, u64)], mut n: u64) -> Option<Place> {
    for (path, inode, sectors) in places {
        if n < *sectors {
            let sector = inode.content.borrow().clean_sector(n);
            return Some(Place { path: path.clone(), inode: inode.clone(), sector });
        }
        n -= sectors;
    }
    None
}

/// The disks of all nodes.
#[derive(Default)]
pub(crate) struct Disks {
    disks: Vec<Disk>,
}

impl Disks {
    pub fn add(&mut self, seed: Seed, node: &str) {
        self.disks.push(Disk::new(seed.key(Purpose::Disk, node)));
    }

    pub fn of(&mut self, node: NodeId) -> &mut Disk {
        &mut self.disks[node.index()]
    }
}

impl State {
    /// The node lost power.
    pub(crate) fn crash_disk(&mut self, node: NodeId) {
        self.reset_device(node);
        let (counts, hash) = self.disks.of(node).crash();
        self.effects.unsynced_bytes += counts.bytes;
        self.effects.unsynced_names += counts.lost_names;
        self.effects.kept_sectors += counts.kept;
        self.effects.lost_sectors += counts.lost;
        self.effects.torn += counts.torn;
        self.effects.garbage += counts.garbage;
        self.effects.kept_names += counts.kept_names;
        self.digest.event(Tag::Disk, u64::from(node.0), hash, self.now);
        let Counts { bytes, kept, lost, kept_names, lost_names, .. } = counts;
        if kept + lost + kept_names + lost_names + bytes > 0 {
            self.record(node, Kind::Disk, |_| {
                let kept = format!("kept {kept} sectors and {kept_names} changes of names");
                format!(
                    "crash lost {bytes} unsynced bytes in {lost} sectors, and {lost_names} changes of names; {kept}"
                )
            });
        }
    }

    /// The node's disk is replaced by an empty one.
    pub(crate) fn wipe_disk(&mut self, node: NodeId) {
        self.empty_device(node);
        self.disks.of(node).wipe();
        self.digest.event(Tag::Disk, u64::from(node.0), u64::MAX, self.now);
    }

    /// The disk of the running node.
    #[inline]
    pub(super) fn disk(&mut self) -> &mut Disk {
        let here = self.here();
        self.disks.of(here)
    }

    /// Puts an operation into digest and trace. `which` and `what` stand for all that it was asked and answered.
    #[inline]
    pub(super) fn did(&mut self, op: &'static str, which: u64, what: u64, text: impl FnOnce() -> String) {
        let here = self.here();
        self.effects.disk_ops += 1;
        let hash = fold(which ^ hash_bytes(op.as_bytes()), what ^ SPREAD);
        self.digest.event(Tag::Disk, u64::from(here.0), hash, self.now);
        self.record(here, Kind::Disk, |_| format!("{op} {}", text()).trim_end().to_owned());
    }
}
