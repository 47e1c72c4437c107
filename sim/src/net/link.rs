//! One directed link between two nodes: latency, faults, partitions and clogs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::MessageId;
use crate::base::seed::{Draw, Key, Probability};
use crate::base::{Latency, Rate, Size, Time};

/// The properties of a link: the table `[network]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinkConfig {
    /// The latency of a datagram.
    pub latency: Latency,
    /// The probability that a datagram is lost, 0 to 1.
    pub loss: f64,
    /// The probability that a datagram arrives twice, 0 to 1. The second copy has a latency of its own.
    pub duplicate: f64,
    /// The probability that a datagram is delayed by up to `reorder_by`, so that later datagrams overtake it, 0 to 1.
    pub reorder: f64,
    /// The longest delay of a reordered datagram.
    pub reorder_by: Time,
    /// The probability that a bit of a datagram is flipped, 0 to 1. The receiver's checksum detects the error and drops the
    /// datagram.
    pub corrupt: f64,
    /// The bandwidth; datagrams queue for the link. Unlimited by default.
    pub bandwidth: Rate,
    /// The capacity of the queue, in bytes. A datagram that does not fit is dropped. Only with a `bandwidth`.
    pub queue: Size,
}

impl Default for LinkConfig {
    /// A LAN: 100 to 500 µs latency, without faults.
    fn default() -> Self {
        LinkConfig {
            latency: Latency::Uniform(Time::new(Duration::from_micros(100)), Time::new(Duration::from_micros(500))),
            loss: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
            reorder_by: Time::new(Duration::from_millis(10)),
            corrupt: 0.0,
            bandwidth: Rate::UNLIMITED,
            queue: Size::from_bytes(256 << 10),
        }
    }
}

impl LinkConfig {
    /// What is wrong with the numbers, if something is.
    pub(crate) fn problem(&self) -> Option<String> {
        for (name, value) in
            [("loss", self.loss), ("duplicate", self.duplicate), ("reorder", self.reorder), ("corrupt", self.corrupt)]
        {
            if !(0.0..=1.0).contains(&value) {
                return Some(format!("{name} is {value}, expected a probability from 0 to 1"));
            }
        }
        self.latency.problem()
    }

    /// This configuration with `patch` on top.
    pub(crate) fn patched(mut self, patch: &LinkPatch) -> LinkConfig {
        self.latency = patch.latency.unwrap_or(self.latency);
        self.loss = patch.loss.unwrap_or(self.loss);
        self.duplicate = patch.duplicate.unwrap_or(self.duplicate);
        self.reorder = patch.reorder.unwrap_or(self.reorder);
        self.reorder_by = patch.reorder_by.unwrap_or(self.reorder_by);
        self.corrupt = patch.corrupt.unwrap_or(self.corrupt);
        self.bandwidth = patch.bandwidth.unwrap_or(self.bandwidth);
        self.queue = patch.queue.unwrap_or(self.queue);
        self
    }
}

/// A change of some of a link's properties; the others stay as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinkPatch {
    /// See [`LinkConfig::latency`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// See [`LinkConfig::loss`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// See [`LinkConfig::duplicate`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<f64>,
    /// See [`LinkConfig::reorder`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reorder: Option<f64>,
    /// See [`LinkConfig::reorder_by`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reorder_by: Option<Time>,
    /// See [`LinkConfig::corrupt`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrupt: Option<f64>,
    /// See [`LinkConfig::bandwidth`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<Rate>,
    /// See [`LinkConfig::queue`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<Size>,
}

/// What happens to one datagram. Each decision has its own draw, made whether or not the others turn out so: switching
/// duplication on leaves every latency as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fate {
    pub lost: bool,
    /// Which bit to flip, as a fraction of the datagram.
    pub corrupt: Option<Draw>,
    pub latency: u64,
    pub reordered: bool,
    pub duplicate: Option<u64>,
    /// The order among datagrams that arrive in the same nanosecond.
    pub order: Draw,
}

/// The kernel's side of a directed link.
pub(crate) struct Link {
    key: Key,
    /// Datagrams sent so far: the index of the next one's draws.
    sent: u64,
    base: LinkConfig,
    /// Patches in force, by fault, oldest first.
    patches: Vec<(u32, LinkPatch)>,
    effective: LinkConfig,
    loss: Probability,
    duplicate: Probability,
    reorder: Probability,
    corrupt: Probability,
    /// When the last datagram that was sent will be on the wire, if there is a bandwidth.
    busy_until: u64,
    /// How many partitions cut it for what is sent.
    pub cut: u16,
    /// How often what was under way was lost to a partition: what was sent before the latest time never arrives, also
    /// if the partition is over by then.
    pub severed: u32,
    /// How many clogs hold it, and the messages they hold, in order of arrival.
    pub clogged: u16,
    pub held: Vec<MessageId>,
}

impl Link {
    pub fn new(key: Key, base: LinkConfig) -> Link {
        let mut link = Link {
            key,
            sent: 0,
            base,
            patches: Vec::new(),
            effective: base,
            loss: Probability::ZERO,
            duplicate: Probability::ZERO,
            reorder: Probability::ZERO,
            corrupt: Probability::ZERO,
            busy_until: 0,
            cut: 0,
            severed: 0,
            clogged: 0,
            held: Vec::new(),
        };
        link.settle();
        link
    }

    pub fn set_base(&mut self, base: LinkConfig) {
        self.base = base;
        self.settle();
    }

    pub fn patch(&mut self, now: u64, fault: u32, patch: LinkPatch) {
        self.patches.push((fault, patch));
        self.change(now);
    }

    pub fn unpatch(&mut self, now: u64, fault: u32) {
        self.patches.retain(|(owner, _)| *owner != fault);
        self.change(now);
    }

    /// What is in the queue keeps the pace at which it was sent; what comes after it waits for as long as that many bytes
    /// take from now on. A link that was slow would otherwise be busy, and full, long after it is fast again.
    fn change(&mut self, now: u64) {
        let waiting = self.effective.bandwidth.bytes_in(self.busy_until.saturating_sub(now));
        self.settle();
        self.busy_until = now.saturating_add(self.effective.bandwidth.time_for(waiting));
    }

    fn settle(&mut self) {
        let config = self.patches.iter().fold(self.base, |config, (_, patch)| config.patched(patch));
        self.effective = config;
        self.loss = Probability::new(config.loss);
        self.duplicate = Probability::new(config.duplicate);
        self.reorder = Probability::new(config.reorder);
        self.corrupt = Probability::new(config.corrupt);
    }

    /// Puts a datagram into the queue of a link of limited bandwidth. Returns how long it is until all of it is on the wire,
    /// and how much of that it waited for others; `None` if the queue is full.
    #[inline]
    pub fn enqueue(&mut self, now: u64, bytes: usize) -> Option<(u64, u64)> {
        let rate = self.effective.bandwidth;
        if rate == Rate::UNLIMITED {
            return Some((0, 0));
        }
        let wait = self.busy_until.saturating_sub(now);
        if rate.bytes_in(wait).saturating_add(bytes as u64) > self.effective.queue.bytes() {
            return None;
        }
        let takes = wait.saturating_add(rate.time_for(bytes as u64));
        self.busy_until = now.saturating_add(takes);
        Some((takes, wait))
    }

    /// Decides the fate of the next datagram.
    #[inline]
    pub fn next_fate(&mut self) -> Fate {
        self.sent += 1;
        let i = self.sent;
        let draw = |slot: u64| self.key.draw(i, slot);
        let mut latency = self.effective.latency.sample(draw(0));
        let reordered = !self.reorder.is_zero() && draw(1).chance(self.reorder);
        if reordered {
            latency += draw(2).below(self.effective.reorder_by.nanos());
        }
        Fate {
            lost: !self.loss.is_zero() && draw(3).chance(self.loss),
            corrupt: (!self.corrupt.is_zero() && draw(4).chance(self.corrupt)).then(|| draw(5)),
            latency,
            reordered,
            duplicate: (!self.duplicate.is_zero() && draw(6).chance(self.duplicate))
                .then(|| self.effective.latency.sample(draw(7))),
            order: draw(8),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seed::{Purpose, Seed};

    #[test]
    fn switching_one_fault_on_leaves_every_other_decision_as_it_was() {
        let key = Seed(1).key(Purpose::Link, "a->b");
        let plain = LinkConfig::default();
        let faulty = LinkConfig { loss: 0.3, duplicate: 0.5, corrupt: 0.2, ..plain };
        let (mut a, mut b) = (Link::new(key, plain), Link::new(key, faulty));
        let (mut lost, mut duplicated, mut corrupted) = (0, 0, 0);
        for _ in 0..1_000 {
            let (plain, faulty) = (a.next_fate(), b.next_fate());
            assert_eq!((plain.latency, plain.order), (faulty.latency, faulty.order));
            lost += u32::from(faulty.lost);
            duplicated += u32::from(faulty.duplicate.is_some());
            corrupted += u32::from(faulty.corrupt.is_some());
        }
        assert!((250..350).contains(&lost) && (450..550).contains(&duplicated) && (150..250).contains(&corrupted));
    }

    #[test]
    fn a_limited_bandwidth_makes_datagrams_wait_and_a_full_queue_drops_them() {
        let bandwidth = Rate::from_bytes_per_second(1_000_000);
        let config = LinkConfig { bandwidth, queue: Size::from_bytes(2_500), ..LinkConfig::default() };
        let mut link = Link::new(Seed(1).key(Purpose::Link, "a->b"), config);
        assert_eq!(link.enqueue(0, 1_000), Some((1_000_000, 0)));
        assert_eq!(link.enqueue(0, 1_000), Some((2_000_000, 1_000_000)));
        assert_eq!(link.enqueue(0, 1_000), None);
        assert_eq!(link.enqueue(1_000_000, 1_000), Some((2_000_000, 1_000_000)));
        assert_eq!(link.enqueue(9_000_000, 500), Some((500_000, 0)));
        link.patch(9_000_000, 1, LinkPatch { bandwidth: Some(Rate::UNLIMITED), ..LinkPatch::default() });
        assert_eq!(link.enqueue(9_000_000, 1 << 20), Some((0, 0)));
    }

    #[test]
    fn a_link_that_is_fast_again_is_not_full_of_what_it_got_when_it_was_slow() {
        let bandwidth = Rate::from_bytes_per_second(1_000_000);
        let config = LinkConfig { bandwidth, queue: Size::from_bytes(10_000), ..LinkConfig::default() };
        let mut link = Link::new(Seed(1).key(Purpose::Link, "a->b"), config);
        let slow = LinkPatch { bandwidth: Some(Rate::from_bytes_per_second(1_000)), ..LinkPatch::default() };
        link.patch(0, 1, slow);
        // Nine seconds' worth, of which one is through when the fault is undone.
        assert_eq!(link.enqueue(0, 9_000), Some((9_000_000_000, 0)));
        link.unpatch(1_000_000_000, 1);
        assert_eq!(link.enqueue(1_000_000_000, 1_000), Some((9_000_000, 8_000_000)));
        // And the other way round: what waits takes longer.
        link.patch(1_000_000_000, 2, slow);
        assert_eq!(link.enqueue(1_000_000_000, 500), Some((9_500_000_000, 9_000_000_000)));
        assert_eq!(link.enqueue(1_000_000_000, 501), None);
    }

    #[test]
    fn patches_stack_and_come_off_in_any_order() {
        let mut link = Link::new(Seed(1).key(Purpose::Link, "a->b"), LinkConfig::default());
        link.patch(0, 1, LinkPatch { loss: Some(0.5), ..LinkPatch::default() });
        link.patch(0, 2, LinkPatch { loss: Some(0.9), duplicate: Some(0.1), ..LinkPatch::default() });
        assert_eq!((link.effective.loss, link.effective.duplicate), (0.9, 0.1));
        link.unpatch(0, 1);
        assert_eq!((link.effective.loss, link.effective.duplicate), (0.9, 0.1));
        link.unpatch(0, 2);
        assert_eq!(link.effective, LinkConfig::default());
    }
}
