//! The device under the file system decides the duration and the outcome of each operation.
//!
//! The outcome is decided at the end of an operation, so a fault counts if it is active then. Each decision has a draw of its
//! own, keyed by (disk, operation number), so switching on read errors does not change any latency.
//!
//! An operation first queues for a limited device (`iops`, `bandwidth`), then takes its latency, then waits until no stall is
//! active. All durations are in true time, independent of the node's clock. Writes go to the page cache and are not limited;
//! their bytes use bandwidth when they are synced.

use std::collections::BTreeMap;
use std::io;
use std::task::Waker;

use super::config::{DiskConfig, DiskPatch, FailedSync};
use super::error;
use super::serving::{Operation, Serving, UnderWay};
use crate::base::seed::{Draw, Key, Probability, Purpose, Seed};
use crate::base::{Iops, NodeId, Rate};
use crate::kernel::{self, State};
use crate::trace::digest::{Tag, hash_bytes};
use crate::trace::record::Kind;

/// The index of each draw of an operation.
mod slot {
    pub const LATENCY: u64 = 0;
    pub const ERROR: u64 = 1;
    /// The part that a failed operation performed.
    pub const PART: u64 = 2;
    pub const CORRUPT: u64 = 3;
    pub const BIT: u64 = 4;
    /// The first of the draws for sectors, two per sector: whether the sector is misdirected, and its place.
    pub const SECTORS: u64 = 16;
}

/// The outcome of a sync.
#[derive(Clone, Copy, Debug)]
pub(super) enum Synced {
    /// The sectors are durable, except misdirected ones.
    Done(Strays),
    /// The sync failed with EIO. The draw decides the fate of each sector.
    Failed(FailedSync, Draw),
    /// The sync did nothing and reported success.
    Lied,
}

/// The misdirected sectors of a sync.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strays {
    key: Key,
    number: u64,
    misdirect: Probability,
}

impl Strays {
    /// Whether no sector can be misdirected.
    pub fn none(&self) -> bool {
        self.misdirect.is_zero()
    }

    /// Whether the i-th sector that this sync writes does; the draw is for the place that it lands in.
    pub fn of(&self, i: u64) -> Option<Draw> {
        let slot = slot::SECTORS + 2 * i;
        let astray = !self.none() && self.key.draw(self.number, slot).chance(self.misdirect);
        astray.then(|| self.key.draw(self.number, slot + 1))
    }
}

/// Waits for a read of up to `bytes`. With a draw, one bit of what was read is wrong.
pub(super) async fn read(bytes: usize) -> io::Result<Option<Draw>> {
    let number = Serving::new(Operation::Read(bytes as u64)).await;
    kernel::with(|state| {
        let device = state.device();
        if device.happens(number, slot::ERROR, device.read_error) {
            state.effects.read_errors += 1;
            state.record_fault("read failed");
            return Err(error::io());
        }
        Ok(device.happens(number, slot::CORRUPT, device.corrupt_read).then(|| device.key.draw(number, slot::BIT)))
    })
}

/// Waits for a write. With a draw, it fails with EIO after a part of it: so much as the draw says.
pub(super) async fn write() -> Result<(), Draw> {
    let number = Serving::new(Operation::Write).await;
    kernel::with(|state| {
        let device = state.device();
        if !device.happens(number, slot::ERROR, device.write_error) {
            return Ok(());
        }
        let part = device.key.draw(number, slot::PART);
        state.effects.write_errors += 1;
        state.record_fault("write failed");
        Err(part)
    })
}

/// Performs a sync of this many bytes.
pub(super) async fn sync(bytes: u64) -> Synced {
    let number = Serving::new(Operation::Sync(bytes)).await;
    kernel::with(|state| {
        let device = state.device();
        if device.happens(number, slot::ERROR, device.sync_error) {
            let failed = Synced::Failed(device.effective.failed_sync, device.key.draw(number, slot::PART));
            state.effects.sync_errors += 1;
            state.record_fault("sync failed");
            failed
        } else if device.effective.lying_sync {
            device.lied = true;
            state.effects.lies += 1;
            state.record_fault("sync did nothing");
            Synced::Lied
        } else {
            device.empty = false;
            Synced::Done(Strays { key: device.key, number, misdirect: device.misdirect })
        }
    })
}

/// Flips the bit that the draw selects.
pub(super) fn flip(bytes: &mut [u8], bit: Draw) {
    if !bytes.is_empty() {
        let bit = bit.below(bytes.len() as u64 * 8) as usize;
        bytes[bit / 8] ^= 1 << (bit % 8);
        kernel::with(|state| {
            state.effects.corrupt_reads += 1;
            state.record_fault("read a wrong bit");
        });
    }
}

// ---- the device ------------------------------------------------------------------------------------------------

/// One node's.
pub(crate) struct Device {
    key: Key,
    /// Operations begun so far: the index of the next one's draws.
    begun: u64,
    base: DiskConfig,
    /// Patches in force, by fault, oldest first.
    patches: Vec<(u32, DiskPatch)>,
    effective: DiskConfig,
    read_error: Probability,
    write_error: Probability,
    sync_error: Probability,
    corrupt_read: Probability,
    misdirect: Probability,
    /// When it is through with what was asked of it so far, if there is a limit.
    busy_until: u64,
    /// How many stalls are in force.
    pub stalls: u32,
    /// Operations that wait for others, for their bytes or for the end of a stall, by number.
    pub waiting: BTreeMap<u64, Waiting>,
    /// By fault: how many bytes may be in use.
    full: Vec<(u32, u64)>,
    /// How often it was damaged at rest.
    pub damages: u64,
    /// It said that something was durable that was not.
    lied: bool,
    /// It was wiped, and nothing was made durable since.
    empty: bool,
}

/// An operation that waits.
pub(crate) struct Waiting {
    /// When the device comes to it.
    pub start: u64,
    /// How long its bytes take to pass from then on.
    pub transfer: u64,
    pub waker: Waker,
}

/// How long something takes, by the pace before and the pace after a change.
#[derive(Clone, Copy)]
struct Pace {
    before: u64,
    after: u64,
}

impl Pace {
    fn rescaled(self, nanos: u64) -> u64 {
        if self.before == 0 {
            return nanos;
        }
        let nanos = u128::from(nanos) * u128::from(self.after) / u128::from(self.before);
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }
}

impl Waiting {
    /// What is left of it goes at the new pace, if that is faster.
    fn hurry(&mut self, now: u64, queue: Pace, bytes: Pace) {
        let passed = now.saturating_sub(self.start).min(self.transfer);
        let left = self.transfer - passed;
        self.transfer = passed + left.min(bytes.rescaled(left));
        let ahead = self.start.saturating_sub(now);
        self.start -= ahead - ahead.min(queue.rescaled(ahead));
    }
}

/// The assumed size of queued operations when a limit changes.
const TYPICAL: u64 = 4096;

/// The time for which an operation of this many bytes occupies the device.
fn occupied(iops: Iops, bandwidth: Rate, bytes: u64) -> u64 {
    iops.interval().max(transfer(bandwidth, bytes))
}

fn transfer(bandwidth: Rate, bytes: u64) -> u64 {
    if bandwidth == Rate::UNLIMITED { 0 } else { bandwidth.time_for(bytes) }
}

impl Device {
    fn new(key: Key, base: DiskConfig) -> Device {
        let mut device = Device {
            key,
            begun: 0,
            base,
            patches: Vec::new(),
            effective: base,
            read_error: Probability::ZERO,
            write_error: Probability::ZERO,
            sync_error: Probability::ZERO,
            corrupt_read: Probability::ZERO,
            misdirect: Probability::ZERO,
            busy_until: 0,
            stalls: 0,
            waiting: BTreeMap::new(),
            full: Vec::new(),
            damages: 0,
            lied: false,
            empty: false,
        };
        device.settle(0);
        device
    }

    /// Puts the patches in force on top of the base. Returns whom to wake: those in the queue, and those whose bytes are passing,
    /// which goes faster now.
    fn settle(&mut self, now: u64) -> Vec<Waker> {
        let before = self.effective;
        let config = self.patches.iter().fold(self.base, |config, (_, patch)| config.patched(patch));
        self.effective = config;
        self.read_error = Probability::new(config.read_error);
        self.write_error = Probability::new(config.write_error);
        self.sync_error = Probability::new(config.sync_error);
        self.corrupt_read = Probability::new(config.corrupt_read);
        self.misdirect = Probability::new(config.misdirect);
        let pace = |of: fn(&DiskConfig) -> u64| Pace { before: of(&before), after: of(&config) };
        let queue = pace(|config| occupied(config.iops, config.bandwidth, TYPICAL));
        let bytes = pace(|config| transfer(config.bandwidth, TYPICAL));
        if queue.before == queue.after && bytes.before == bytes.after {
            return Vec::new();
        }
        self.busy_until = now.saturating_add(queue.rescaled(self.busy_until.saturating_sub(now)));
        self.waiting.values_mut().for_each(|waiting| waiting.hurry(now, queue, bytes));
        self.wakers()
    }

    fn wakers(&self) -> Vec<Waker> {
        self.waiting.values().map(|waiting| waiting.waker.clone()).collect()
    }

    /// A new operation.
    #[inline]
    pub(super) fn begin(&mut self, now: u64, operation: Operation) -> UnderWay {
        self.begun += 1;
        let config = &self.effective;
        let draw = self.key.draw(self.begun, slot::LATENCY);
        let (latency, bytes) = match operation {
            Operation::Read(bytes) => (config.read.sample(draw), bytes),
            Operation::Sync(bytes) => (config.sync.sample(draw), bytes),
            // Into the page cache: the device has nothing to do yet.
            Operation::Write => {
                return UnderWay::new(self.begun, now, 0, config.write.sample(draw));
            }
        };
        let occupied = occupied(config.iops, config.bandwidth, bytes);
        if occupied == 0 {
            return UnderWay::new(self.begun, now, 0, latency);
        }
        let start = now.max(self.busy_until);
        self.busy_until = start.saturating_add(occupied);
        UnderWay::new(self.begun, start, transfer(config.bandwidth, bytes), latency)
    }

    /// Whether what has that probability happens to an operation.
    #[inline]
    fn happens(&self, number: u64, slot: u64, p: Probability) -> bool {
        !p.is_zero() && self.key.draw(number, slot).chance(p)
    }

    /// The i-th draw for the damage that comes next.
    pub fn damage_draw(&self, i: u64) -> Draw {
        // Numbers of operations begin at the other end.
        self.key.draw(u64::MAX - self.damages, i)
    }

    /// How many bytes may be in use.
    pub fn limit(&self) -> u64 {
        let full = self.full.iter().map(|&(_, limit)| limit).min();
        full.unwrap_or(u64::MAX).min(self.effective.capacity.bytes())
    }

    /// Whether what it holds, or says that it holds, may be lost or wrong, apart from single sectors.
    fn is_unreliable(&self) -> bool {
        self.lied || self.empty || self.effective.can_lose_silently()
    }
}

/// The devices of all nodes.
#[derive(Default)]
pub(crate) struct Devices {
    config: DiskConfig,
    devices: Vec<Device>,
}

impl Devices {
    pub fn add(&mut self, seed: Seed, node: &str) {
        self.devices.push(Device::new(seed.key(Purpose::Device, node), self.config));
    }

    pub fn of(&mut self, node: NodeId) -> &mut Device {
        &mut self.devices[node.index()]
    }
}

impl State {
    /// What every disk is like.
    pub(crate) fn configure_disks(&mut self, config: DiskConfig) {
        self.devices.config = config;
        let now = self.now;
        for device in &mut self.devices.devices {
            device.base = config;
            device.settle(now);
        }
        (0..self.nodes.len() as u16).for_each(|node| self.settle_disk(NodeId::new(node)));
    }

    /// Puts a patch on a disk. As all that follow, it returns wakers that are not the kernel's own.
    pub(crate) fn patch_disk(&mut self, node: NodeId, fault: u32, patch: DiskPatch) -> Vec<Waker> {
        let now = self.now;
        let device = self.devices.of(node);
        device.patches.push((fault, patch));
        let wakers = device.settle(now);
        self.settle_disk(node);
        self.wake_all(wakers)
    }

    /// Takes the patch of a fault off again.
    pub(crate) fn unpatch_disk(&mut self, node: NodeId, fault: u32) -> Vec<Waker> {
        let now = self.now;
        let device = self.devices.of(node);
        device.patches.retain(|(owner, _)| *owner != fault);
        let wakers = device.settle(now);
        self.settle_disk(node);
        self.wake_all(wakers)
    }

    /// No operation comes to its end from now on.
    pub(crate) fn stall_disk(&mut self, node: NodeId) {
        self.devices.of(node).stalls += 1;
    }

    /// Undoes one stall. After the last, what is through comes to its end.
    pub(crate) fn unstall_disk(&mut self, node: NodeId) -> Vec<Waker> {
        let device = self.devices.of(node);
        device.stalls -= 1;
        let wakers = if device.stalls == 0 { device.wakers() } else { Vec::new() };
        self.wake_all(wakers)
    }

    /// From now on only so much more fits.
    pub(crate) fn fill_disk(&mut self, node: NodeId, fault: u32, free: u64) {
        let limit = self.disks.of(node).used().saturating_add(free);
        self.devices.of(node).full.push((fault, limit));
        self.settle_disk(node);
    }

    /// As much fits as before that fault.
    pub(crate) fn unfill_disk(&mut self, node: NodeId, fault: u32) {
        self.devices.of(node).full.retain(|(owner, _)| *owner != fault);
        self.settle_disk(node);
    }

    /// The file system hears how much fits, and what a crash may do.
    pub(crate) fn settle_disk(&mut self, node: NodeId) {
        let device = self.devices.of(node);
        let disk = self.disks.of(node);
        disk.set_limit(device.limit());
        disk.set_rules(&device.effective);
    }

    /// The device lost power: nothing waits for it any more.
    pub(crate) fn reset_device(&mut self, node: NodeId) {
        self.devices.of(node).busy_until = 0;
    }

    /// There is nothing on the disk any more.
    pub(crate) fn empty_device(&mut self, node: NodeId) {
        self.devices.of(node).empty = true;
    }

    /// Whether what a disk holds may be lost or wrong by a fault: a sector of it is damaged, it has lied, or it was wiped and
    /// nothing was made durable on it since.
    pub(crate) fn is_disk_damaged(&mut self, node: NodeId) -> bool {
        self.devices.of(node).is_unreliable() || self.disks.of(node).is_damaged()
    }

    /// The one of the running node.
    fn device(&mut self) -> &mut Device {
        let here = self.here();
        self.devices.of(here)
    }

    fn wake_all(&mut self, wakers: Vec<Waker>) -> Vec<Waker> {
        wakers.into_iter().filter_map(|waker| self.wake_waker(waker)).collect()
    }

    /// Records a fault of the running node's device in digest and trace.
    fn record_fault(&mut self, what: &'static str) {
        let here = self.here();
        self.digest.event(Tag::Disk, u64::from(here.0), hash_bytes(what.as_bytes()), self.now);
        self.record(here, Kind::Disk, |_| what.to_owned());
    }
}
