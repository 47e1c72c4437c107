//! Damage at rest: which sectors rot, and which cannot be read any more.
//!
//! Hit are sectors of what is durable and has no newer version in the page cache, so that there is something to lose. Which
//! ones depends on the disk, on how often it was damaged before, and on what is on it.

use std::collections::BTreeSet;

use crate::base::NodeId;
use crate::base::seed::Draw;
use crate::kernel::State;
use crate::trace::digest::{Tag, hash_bytes};
use crate::trace::record::Kind;

impl State {
    /// How many sectors of files whose paths match a glob there are to damage on a disk.
    pub(crate) fn sectors_to_damage(&mut self, node: NodeId, files: &str) -> u64 {
        self.disks.of(node).durable_sectors(files)
    }

    /// Flips one bit in each of some sectors of a disk.
    pub(crate) fn rot(&mut self, node: NodeId, sectors: u64, files: &str) {
        for (n, bit) in self.pick(node, sectors, files) {
            let hit = self.disks.of(node).corrupt(files, n, bit);
            self.effects.rotten += 1;
            self.damaged(node, "rot", hit);
        }
    }

    /// Makes some sectors of a disk unreadable.
    pub(crate) fn spoil(&mut self, node: NodeId, sectors: u64, files: &str) {
        for (n, _) in self.pick(node, sectors, files) {
            let hit = self.disks.of(node).spoil(files, n);
            self.effects.bad_sectors += 1;
            self.damaged(node, "bad sector", hit);
        }
    }

    /// So many different ones of those there are, by their places among them, each with a draw of its own.
    fn pick(&mut self, node: NodeId, sectors: u64, files: &str) -> Vec<(u64, Draw)> {
        let all = self.sectors_to_damage(node, files);
        let device = self.devices.of(node);
        let mut picked = BTreeSet::new();
        let mut list = Vec::new();
        for i in 0..sectors.min(all) {
            let draw = device.damage_draw(i);
            let mut n = draw.below(all - i);
            // The n-th of those that are left.
            for &other in &picked {
                n += u64::from(other <= n);
            }
            picked.insert(n);
            list.push((n, draw.again()));
        }
        device.damages += 1;
        list
    }

    fn damaged(&mut self, node: NodeId, what: &'static str, hit: Option<(String, u64)>) {
        let Some((path, sector)) = hit else { return };
        let which = hash_bytes(what.as_bytes()) ^ hash_bytes(path.as_bytes()).rotate_left(1) ^ sector.rotate_left(2);
        self.digest.event(Tag::Disk, u64::from(node.0), which, self.now);
        self.record(node, Kind::Disk, |_| format!("{what} {path} sector {sector}"));
    }
}
