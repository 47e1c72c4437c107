//! One seed, many independent streams of randomness.
//!
//! Draws are *keyed*, not sequential. ChaCha8 derives one [`Key`] per (seed, purpose, stable name): the scheduler, each
//! directed link, each disk, each nemesis, each scenario parameter. The i-th draw about an entity (a message, a wake, a
//! sector) is a cheap mix of (key, entity, i). So a draw never depends on how many draws were made before it elsewhere:
//! removing one fault, or adding one message on one link, leaves every other latency and decision as it was. That is
//! what lets a failing run be shrunk, and one kind of randomness be varied alone.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use xxhash_rust::xxh3::xxh3_128;

/// What a stream of draws is for. The name becomes part of the key, so renaming a purpose changes every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Order and jitter of task wakes.
    Schedule,
    /// Latency, loss and duplication on one directed link, named `from->to`.
    Link,
    /// Crash outcomes and damage of one node's disk.
    Disk,
    /// Latency and errors of the device under it.
    Device,
    /// `sim::rand` as seen by the code on one node.
    Node,
    /// When a fault rule fires and whom it hits.
    Nemesis,
    /// A drawn value in a scenario file, named by its key path.
    Scenario,
    /// Which buggify points are enabled, and when they fire.
    Buggify,
    /// What a program outside of the world chooses.
    Host,
}

impl Purpose {
    fn tag(self) -> &'static str {
        match self {
            Purpose::Schedule => "schedule",
            Purpose::Link => "link",
            Purpose::Disk => "disk",
            Purpose::Device => "device",
            Purpose::Node => "node",
            Purpose::Nemesis => "nemesis",
            Purpose::Scenario => "scenario",
            Purpose::Buggify => "buggify",
            Purpose::Host => "host",
        }
    }
}

/// The root of one run's randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// The key of the stream for `purpose` and `name`. Equal arguments give equal keys; any difference gives an
    /// independent one.
    pub fn key(self, purpose: Purpose, name: &str) -> Key {
        let label = xxh3_128(format!("{}\0{name}", purpose.tag()).as_bytes());
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.0.to_le_bytes());
        bytes[8..24].copy_from_slice(&label.to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(bytes);
        Key(rng.next_u64(), rng.next_u64())
    }
}

/// The golden ratio in 64 bits: odd, so that multiplying by it is a permutation, and with no pattern of its own. It keeps small
/// inputs of [`fold`] far apart.
pub(crate) const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// The key of one stream of draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(u64, u64);

/// Both halves of a 64×64→128-bit product, folded: every input bit reaches every output bit.
#[inline]
pub(crate) fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

impl Key {
    /// The `i`-th draw about `entity`: 64 uniform bits.
    #[inline]
    pub fn draw(self, entity: u64, i: u64) -> Draw {
        // Another odd constant of the same use, so that (entity, i) and (i, entity) differ.
        let x = fold(self.0 ^ entity.wrapping_mul(SPREAD), self.1 ^ i.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        Draw(fold(x ^ self.1, self.0 ^ 0xA076_1D64_78BD_642F))
    }
}

/// Draws one after another, for a program outside of the world: what an experiment does at random. Code on a node has
/// [`sim::rand`](crate::rand).
///
/// ```
/// use sim::seed::{Seed, Sequence};
///
/// let (mut one, mut other) = (Sequence::of(Seed(7)), Sequence::of(Seed(7)));
/// assert_eq!(one.draw(), other.draw());
/// assert!(one.draw().below(6) < 6);
/// ```
#[derive(Clone, Debug)]
pub struct Sequence {
    key: Key,
    drawn: u64,
}

impl Sequence {
    /// The sequence of a seed.
    pub fn of(seed: Seed) -> Sequence {
        Sequence { key: seed.key(Purpose::Host, ""), drawn: 0 }
    }

    /// The next one.
    pub fn draw(&mut self) -> Draw {
        self.drawn += 1;
        self.key.draw(0, self.drawn)
    }
}

/// 64 uniform bits, and the few shapes that the simulator needs them in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw(pub u64);

impl Draw {
    /// Uniform in `[0, 1)`, with 53 bits.
    #[inline]
    pub fn unit(self) -> f64 {
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in `0..n`; 0 when `n` is 0. The bias is below n/2⁶⁴.
    #[inline]
    pub fn below(self, n: u64) -> u64 {
        ((u128::from(self.0) * u128::from(n)) >> 64) as u64
    }

    /// Uniform in `low..=high`.
    #[inline]
    pub fn between(self, low: u64, high: u64) -> u64 {
        debug_assert!(low <= high);
        match (high - low).checked_add(1) {
            Some(span) => low + self.below(span),
            None => self.0,
        }
    }

    /// True with the given probability.
    #[inline]
    pub fn chance(self, p: Probability) -> bool {
        self.0 < p.0 || p.0 == u64::MAX
    }

    /// An independent draw from the same bits, for a second decision about the same thing.
    #[inline]
    pub fn again(self) -> Draw {
        Draw(fold(self.0 ^ 0xE703_7ED1_A0B4_28DB, 0x8EBC_6AF0_9C88_C6E3))
    }
}

/// A probability, held as a 64-bit threshold so that deciding is one integer comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Probability(u64);

impl Probability {
    /// Never.
    pub const ZERO: Probability = Probability(0);

    /// `p` in `[0, 1]`; values outside are clamped (scenario files reject them before they get here).
    pub fn new(p: f64) -> Probability {
        if p >= 1.0 { Probability(u64::MAX) } else { Probability((p.max(0.0) * 2f64.powi(64)) as u64) }
    }

    /// Whether it never happens.
    #[inline]
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_by_seed_purpose_and_name() {
        let base = Seed(1).key(Purpose::Link, "a->b");
        assert_eq!(base, Seed(1).key(Purpose::Link, "a->b"));
        assert_ne!(base, Seed(2).key(Purpose::Link, "a->b"));
        assert_ne!(base, Seed(1).key(Purpose::Disk, "a->b"));
        assert_ne!(base, Seed(1).key(Purpose::Link, "b->a"));
    }

    #[test]
    fn draws_are_pinned() {
        // Every recorded seed depends on these bits: a change here is a change of every run.
        let key = Seed(42).key(Purpose::Link, "server-0->server-1");
        let draws: Vec<String> = (0..3).map(|i| format!("{:016x}", key.draw(7, i).0)).collect();
        insta::assert_snapshot!(draws.join(" "));
    }

    #[test]
    fn draws_are_uniform_over_entities_and_indexes() {
        let key = Seed(3).key(Purpose::Schedule, "");
        for by_entity in [false, true] {
            let mut buckets = [0u32; 16];
            let mut ones = 0u64;
            for n in 0..160_000u64 {
                let draw = if by_entity { key.draw(n, 0) } else { key.draw(0, n) };
                buckets[draw.below(16) as usize] += 1;
                ones += u64::from(draw.0.count_ones());
            }
            for count in buckets {
                assert!((9_500..10_500).contains(&count), "{buckets:?}");
            }
            let mean = ones as f64 / 160_000.0;
            assert!((31.9..32.1).contains(&mean), "{mean} bits set of 64");
        }
    }

    #[test]
    fn probability_is_respected_at_its_ends_and_between() {
        let key = Seed(4).key(Purpose::Schedule, "");
        let hits = |p: f64| (0..10_000).filter(|&i| key.draw(1, i).chance(Probability::new(p))).count();
        assert_eq!(hits(0.0), 0);
        assert_eq!(hits(1.0), 10_000);
        assert!((2_300..2_700).contains(&hits(0.25)));
    }

    #[test]
    fn between_includes_both_ends() {
        let key = Seed(5).key(Purpose::Schedule, "");
        let seen: std::collections::BTreeSet<u64> = (0..200).map(|i| key.draw(0, i).between(3, 6)).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [3, 4, 5, 6]);
    }
}
