//! How long a device takes: a link for a datagram, a disk for an operation.

use serde::{Deserialize, Serialize};

use super::Time;
use super::seed::{Draw, Probability};

/// How long something takes: a datagram on a link, an operation on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Latency {
    /// Always the same: datagrams keep their order.
    Constant(Time),
    /// Uniform between two bounds.
    Uniform(Time, Time),
    /// `min` plus an exponential of the given mean.
    Exponential {
        /// The least.
        min: Time,
        /// The mean of what comes on top.
        mean: Time,
    },
    /// Log-normal: the shape of a real network's latency, with a long tail.
    LogNormal {
        /// Half of all draws are below.
        median: Time,
        /// One draw in a hundred is above.
        p99: Time,
    },
    /// Mostly fast, sometimes slow.
    Bimodal {
        /// The usual latency.
        fast: Time,
        /// The unusual one.
        slow: Time,
        /// How often it is the unusual one, 0 to 1.
        slow_chance: f64,
    },
}

impl Latency {
    /// The latency that `draw` stands for, in nanoseconds.
    #[inline]
    pub(crate) fn sample(&self, draw: Draw) -> u64 {
        match *self {
            Latency::Constant(time) => time.nanos(),
            Latency::Uniform(low, high) => draw.between(low.nanos(), high.nanos()),
            Latency::Exponential { min, mean } => {
                // 1 - unit() is in (0, 1]: the logarithm is finite.
                let extra = -libm::log(1.0 - draw.unit()) * mean.nanos() as f64;
                min.nanos().saturating_add(extra as u64)
            }
            Latency::LogNormal { median, p99 } => {
                // 2.326 is the 99th percentile of the standard normal.
                let sigma = libm::log((p99.nanos().max(1) as f64) / (median.nanos().max(1) as f64)) / 2.326;
                (median.nanos() as f64 * libm::exp(sigma * normal(draw))) as u64
            }
            Latency::Bimodal { fast, slow, slow_chance } => {
                if draw.chance(Probability::new(slow_chance)) {
                    slow.nanos()
                } else {
                    fast.nanos()
                }
            }
        }
    }

    /// What is wrong with the numbers, if something is.
    pub(crate) fn problem(&self) -> Option<String> {
        match *self {
            Latency::Uniform(low, high) if low > high => Some(format!("uniform: {low} is above {high}")),
            Latency::LogNormal { median, p99 } if median > p99 => {
                Some(format!("log_normal: the median {median} is above the p99 {p99}"))
            }
            Latency::Bimodal { slow_chance, .. } if !(0.0..=1.0).contains(&slow_chance) => {
                Some(format!("bimodal: slow_chance is {slow_chance}, expected 0 to 1"))
            }
            _ => None,
        }
    }
}

/// A standard normal from one draw (Box–Muller).
fn normal(draw: Draw) -> f64 {
    let radius = libm::sqrt(-2.0 * libm::log(1.0 - draw.unit()));
    radius * libm::cos(std::f64::consts::TAU * draw.again().unit())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::seed::{Purpose, Seed};
    use super::*;

    fn ms(n: u64) -> Time {
        Time::new(Duration::from_millis(n))
    }

    fn samples(latency: Latency) -> Vec<u64> {
        let key = Seed(1).key(Purpose::Link, "a->b");
        let mut samples: Vec<u64> = (0..10_000).map(|i| latency.sample(key.draw(i, 0))).collect();
        samples.sort_unstable();
        samples
    }

    #[test]
    fn each_distribution_has_the_shape_it_is_named_for() {
        assert!(samples(Latency::Constant(ms(3))).iter().all(|&ns| ns == 3_000_000));

        let uniform = samples(Latency::Uniform(ms(1), ms(3)));
        assert!(uniform[0] >= 1_000_000 && uniform[9_999] <= 3_000_000);
        assert!((1_950_000..2_050_000).contains(&uniform[5_000]));

        let exponential = samples(Latency::Exponential { min: ms(1), mean: ms(2) });
        let mean = exponential.iter().sum::<u64>() / 10_000;
        assert!(exponential[0] >= 1_000_000 && (2_900_000..3_100_000).contains(&mean), "{mean}");

        let log_normal = samples(Latency::LogNormal { median: ms(1), p99: ms(10) });
        assert!((950_000..1_050_000).contains(&log_normal[5_000]), "{}", log_normal[5_000]);
        assert!((8_500_000..11_500_000).contains(&log_normal[9_900]), "{}", log_normal[9_900]);

        let bimodal = samples(Latency::Bimodal { fast: ms(1), slow: ms(50), slow_chance: 0.1 });
        let slow = bimodal.iter().filter(|&&ns| ns == 50_000_000).count();
        assert!((900..1_100).contains(&slow), "{slow}");
    }
}
