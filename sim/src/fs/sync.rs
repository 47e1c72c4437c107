//! Syncs: what they cover, and what becomes of it when they succeed, fail, or go astray.
//!
//! A sync covers what was written before it began. What is written while it is under way stays dirty; the bytes that it covers
//! are put by when they are overwritten (copy on write).
//!
//! A sync that fails writes a drawn part of what it covers and drops the rest, at least one thing. What it dropped counts as clean
//! from then on, as Linux does it: later syncs have nothing to do there and succeed. The cache goes on showing the new
//! bytes (ext4, XFS) or shows the old ones again (Btrfs), as [`FailedSync`] says: Rebello et al., "Can Applications Recover from fsync
//! Failures?", ATC 2020, section 3.

use super::config::FailedSync;
use super::content::{Content, Damage, UnderWay};
use super::device::Strays;
use super::dice::split;
use super::sector::{self, Block, SECTOR};
use super::shadow::{Shadow, Version};
use crate::base::seed::Draw;

/// A sector that landed in the place of another one.
pub(super) struct Stray {
    /// Where it should have landed.
    pub sector: u64,
    pub block: Block,
    /// Draws the place.
    pub place: Draw,
}

impl Content {
    /// A sync begins. Returns how many bytes it has to write.
    pub fn begin_sync(&mut self, since: u64) -> u64 {
        self.syncing = Some(UnderWay { since, len: self.len(), len_changed: self.lengths.changed().is_some() });
        let dirty = self.shadows.values().filter(|shadow| shadow.dirty).count();
        (dirty * SECTOR) as u64
    }

    /// The sync's future was dropped.
    pub fn abandon_sync(&mut self) {
        if self.syncing.take().is_some() {
            self.shadows.values_mut().for_each(|shadow| shadow.abandon());
            self.shadows.retain(|_, shadow| !shadow.is_void());
        }
    }

    /// What the sync covers is durable. Returns how many sectors were written.
    pub fn finish_sync(&mut self) -> u64 {
        let Some(under_way) = self.syncing.take() else { return 0 };
        let mut written = 0;
        let damage = &mut self.damage;
        self.shadows.retain(|&sector, shadow| {
            if let Some(version) = shadow.pending.take() {
                mend(damage, sector, version.tainted);
                shadow.became_durable(version, under_way.since);
                written += 1;
            } else if shadow.dirty && shadow.seq <= under_way.since {
                mend(damage, sector, shadow.tainted);
                written += 1;
                return false;
            }
            true
        });
        if under_way.len_changed {
            self.write_len(under_way);
        }
        written
    }

    /// As [`Content::finish_sync`], where some sectors land elsewhere: they are returned. Their own places keep what they had,
    /// and so does the cache, which need not hold what it believes to be clean.
    pub fn finish_astray(&mut self, strays: Strays) -> (u64, Vec<Stray>) {
        let Some(under_way) = self.syncing else { return (0, Vec::new()) };
        let mut astray = Vec::new();
        for (i, sector) in (0..).zip(self.in_flight(under_way)) {
            let Some(place) = strays.of(i) else { continue };
            let version = self.take_in_flight(sector);
            self.drop_in_flight(sector, under_way, true);
            // If it was to become what it is, it is right.
            if self.on_platter(sector).is_none_or(|durable| durable != version.block) {
                self.damage.entry(sector).or_insert(Damage::Wrong);
            }
            astray.push(Stray { sector, block: version.block, place });
            // What is written into it next joins bytes that are not what was written there.
            if let Some(shadow) = self.shadows.get_mut(&sector).filter(|shadow| !shadow.dirty) {
                shadow.tainted = true;
            }
        }
        (self.finish_sync() + astray.len() as u64, astray)
    }

    /// The sync failed. Returns how many sectors were dropped.
    pub fn fail_sync(&mut self, pages: FailedSync, atomic: usize, draw: Draw) -> u64 {
        let Some(under_way) = self.syncing else { return 0 };
        let sectors = self.in_flight(under_way);
        // All sectors of a unit share one fate.
        let together = (atomic / SECTOR).max(1) as u64;
        let first = |i: u64| match sectors.get(i as usize) {
            Some(&sector) => sectors.partition_point(|&other| other / together < sector / together) as u64,
            None => i,
        };
        let things = sectors.len() as u64 + u64::from(under_way.len_changed);
        let sure = first(split(draw, 0).below(things));
        let reverts = match pages {
            FailedSync::Clean => false,
            FailedSync::Old => true,
            FailedSync::Any => split(draw, 1).0.is_multiple_of(2),
        };
        let is_dropped = |i: u64| i == sure || split(draw, 2 + i).0.is_multiple_of(2);
        let mut dropped = 0;
        for (i, &sector) in (0..).zip(&sectors) {
            if is_dropped(first(i)) {
                drop(self.take_in_flight(sector));
                self.drop_in_flight(sector, under_way, reverts);
                dropped += 1;
            }
        }
        let len_dropped = under_way.len_changed && is_dropped(sectors.len() as u64);
        if len_dropped {
            // Written it is not, and dirty it is no more.
            self.syncing = Some(UnderWay { len_changed: false, ..under_way });
        }
        self.finish_sync();
        if len_dropped {
            self.drop_len(under_way, reverts);
        }
        dropped
    }

    /// The change of the length was not written, and counts as written.
    fn drop_len(&mut self, under_way: UnderWay, reverts: bool) {
        self.lengths.settle(under_way.since, self.durable_len);
        if self.lengths.changed().is_some() {
            return;
        }
        // What was written meanwhile needs the length, and the next sync has to write it for that.
        if let Some(seq) = self.written_beyond(under_way.since) {
            self.lengths.append(seq, self.durable_len, self.len());
        } else if reverts {
            self.revert_len();
        }
    }

    /// When something was last written, after that moment, that may be beyond the durable end.
    fn written_beyond(&self, since: u64) -> Option<u64> {
        let beyond = self.shadows.range(self.durable_len / SECTOR as u64..).map(|(_, shadow)| shadow);
        beyond.filter(|shadow| shadow.dirty && shadow.seq > since).map(|shadow| shadow.seq).max()
    }

    /// The sectors that the sync under way is to write, in order.
    fn in_flight(&self, under_way: UnderWay) -> Vec<u64> {
        let is = |shadow: &Shadow| shadow.pending.is_some() || shadow.dirty && shadow.seq <= under_way.since;
        self.shadows.iter().filter(|(_, shadow)| is(shadow)).map(|(&sector, _)| sector).collect()
    }

    /// What the sync under way is to write there.
    fn take_in_flight(&mut self, sector: u64) -> Version {
        let shadow = self.shadows.get_mut(&sector).expect("what is in flight has a shadow");
        match shadow.pending.take() {
            Some(version) => version,
            None => Version { block: sector::copy(&self.bytes, sector), seq: shadow.seq, tainted: shadow.tainted },
        }
    }

    /// A sector was not written, and the cache believes that it was.
    fn drop_in_flight(&mut self, sector: u64, under_way: UnderWay, reverts: bool) {
        let Some(shadow) = self.shadows.get_mut(&sector) else { return };
        if shadow.dirty && shadow.seq <= under_way.since {
            shadow.dirty = false;
            shadow.forget_versions();
            if reverts {
                let old = shadow.durable.as_deref().copied().unwrap_or([0; SECTOR]);
                sector::put(&mut self.bytes, sector, &old);
                if shadow.durable.is_some() {
                    self.shadows.remove(&sector);
                }
            }
        } else if shadow.is_void() {
            self.shadows.remove(&sector);
        }
    }

    /// The length that the sync covers is durable.
    fn write_len(&mut self, under_way: UnderWay) {
        let len = under_way.len;
        self.lengths.settle(under_way.since, len);
        let cut = len < self.durable_len;
        self.durable_len = len;
        if cut {
            let end = self.len();
            for (_, shadow) in self.shadows.range_mut(sector::count(len)..) {
                shadow.durable = None;
            }
            self.shadows.retain(|&sector, shadow| sector::start(sector) < len.max(end) && !shadow.is_void());
            self.damage.split_off(&sector::count(len));
            self.settle_space();
        }
    }

    /// The cache shows the durable length again.
    fn revert_len(&mut self) {
        let (old, len) = (self.len(), self.durable_len);
        if len < old {
            self.shadows.split_off(&sector::count(len));
            self.bytes.truncate(len as usize);
        } else {
            self.bytes.resize(len as usize, 0);
            for sector in sector::count(old)..sector::count(len) {
                // It was cut off, and is not.
                if let Some(durable) = self.shadows.remove(&sector).and_then(|shadow| shadow.durable) {
                    sector::put(&mut self.bytes, sector, &durable);
                }
            }
        }
        self.settle_space();
    }
}

/// A durable sector was written.
fn mend(damage: &mut std::collections::BTreeMap<u64, Damage>, sector: u64, tainted: bool) {
    if tainted {
        damage.insert(sector, Damage::Wrong);
    } else if !damage.is_empty() {
        damage.remove(&sector);
    }
}
