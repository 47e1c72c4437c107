//! How often which value came: percentiles within one percent, in little memory, and two are added up exactly.
//!
//! Values below 128 have a bucket each; above, each power of two is parted into 64 buckets of the same width. A percentile is
//! given as the middle of its bucket, so it is off by 1/128 at most. This is the layout of HdrHistogram, but only buckets
//! that are not empty are kept: each run has several histograms of few values, and all of them go from process to process
//! and into files. (The crate `hdrhistogram` has dense arrays and a format of its own, `sketches-ddsketch` counts in floats.)

use serde::{Deserialize, Serialize};

/// Buckets of a power of two, as a power of two.
const BITS: u32 = 6;

/// How often which value came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    /// The least and the greatest value, exactly.
    bounds: Option<(u64, u64)>,
    /// Bucket and count, ascending, none of them empty.
    buckets: Vec<(u16, u64)>,
}

impl Histogram {
    /// Adds a value.
    pub fn record(&mut self, value: u64) {
        self.widen((value, value));
        self.put(bucket_of(value), 1);
    }

    /// Adds all values of another one.
    pub fn add(&mut self, other: &Histogram) {
        if let Some(bounds) = other.bounds {
            self.widen(bounds);
        }
        other.buckets.iter().for_each(|&(bucket, count)| self.put(bucket, count));
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }

    /// The greatest value, exactly.
    pub fn max(&self) -> Option<u64> {
        self.bounds.map(|(_, max)| max)
    }

    /// The least value that is not exceeded by `percent` of a hundred, within one percent of itself. `None` if there are no
    /// values.
    pub fn percentile(&self, percent: u32) -> Option<u64> {
        let (min, max) = self.bounds?;
        let rank = (u128::from(self.count()) * u128::from(percent)).div_ceil(100).max(1);
        let mut seen = 0;
        let bucket = self.buckets.iter().find(|(_, count)| {
            seen += u128::from(*count);
            seen >= rank
        });
        bucket.map(|(bucket, _)| middle_of(*bucket).min(max).max(min))
    }

    fn widen(&mut self, (low, high): (u64, u64)) {
        let (min, max) = self.bounds.unwrap_or((low, high));
        self.bounds = Some((min.min(low), max.max(high)));
    }

    fn put(&mut self, bucket: u16, count: u64) {
        match self.buckets.binary_search_by_key(&bucket, |(known, _)| *known) {
            Ok(at) => self.buckets[at].1 += count,
            Err(at) => self.buckets.insert(at, (bucket, count)),
        }
    }
}

fn bucket_of(value: u64) -> u16 {
    let shift = value.checked_ilog2().unwrap_or(0).saturating_sub(BITS);
    ((u64::from(shift) << BITS) + (value >> shift)) as u16
}

/// The value in the middle of a bucket.
fn middle_of(bucket: u16) -> u64 {
    let shift = u32::from(bucket >> BITS).saturating_sub(1).min(u64::BITS - BITS - 1);
    let least = (u64::from(bucket) - (u64::from(shift) << BITS)) << shift;
    least + (1u64 << shift) / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        values.iter().for_each(|value| histogram.record(*value));
        histogram
    }

    #[test]
    fn small_values_and_the_ends_are_exact() {
        let histogram = of(&(1..=100).collect::<Vec<_>>());
        let percentiles = [1, 50, 90, 99, 100].map(|percent| histogram.percentile(percent));
        assert_eq!(percentiles, [1, 50, 90, 99, 100].map(Some));
        assert_eq!((histogram.count(), histogram.max()), (100, Some(100)));
        let one = of(&[1_234_567_890]);
        assert_eq!(one.percentile(50), Some(1_234_567_890));
        assert_eq!((of(&[]).percentile(50), of(&[]).max(), of(&[]).count()), (None, None, 0));
    }

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        let edges: Vec<u64> = (0..64).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit]).chain([u64::MAX]).collect();
        assert!(edges.windows(2).all(|pair| bucket_of(pair[1]) - bucket_of(pair[0]) <= 64), "{edges:?}");
        assert!(
            edges
                .windows(2)
                .filter(|pair| pair[1] == pair[0] + 1)
                .all(|pair| { (0..=1).contains(&(bucket_of(pair[1]) - bucket_of(pair[0]))) })
        );
        assert_eq!(bucket_of(u64::MAX), 58 * 64 - 1 + 64);
    }

    #[test]
    fn a_bucket_that_cannot_be_is_no_panic() {
        let histogram = Histogram { bounds: Some((9, 3)), buckets: vec![(u16::MAX, 1)] };
        assert!(histogram.percentile(50).is_some());
    }

    proptest! {
        #[test]
        fn percentiles_are_within_one_percent(mut values in prop::collection::vec(any::<u64>().prop_map(|v| v >> (v % 64)), 1..200)) {
            let histogram = of(&values);
            values.sort_unstable();
            for percent in [1u32, 50, 90, 99, 100] {
                let exact = values[(values.len() * percent as usize).div_ceil(100).max(1) - 1];
                let found = histogram.percentile(percent).unwrap();
                prop_assert!(found.abs_diff(exact) <= exact / 128, "{found} for {exact}");
            }
        }

        #[test]
        fn the_sum_of_parts_is_the_whole(values in prop::collection::vec(any::<u64>(), 0..100), at in 0usize..100) {
            let (one, two) = values.split_at(at.min(values.len()));
            let (mut sum, mut other_way) = (of(one), of(two));
            sum.add(&of(two));
            other_way.add(&of(one));
            prop_assert_eq!(&sum, &of(&values));
            prop_assert_eq!(&other_way, &sum);
        }
    }
}
