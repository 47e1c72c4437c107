//! A node's two clocks, and how wrong they are.
//!
//! The monotonic clock counts nanoseconds since the run began, at a rate that may be off: it never goes back, and keeps
//! what it has gained or lost. The wall clock is as fast, may be stepped, and shows the time again once nothing is wrong
//! with its rate any more, as if it were set by a time server.

/// A deadline as far away as this, 146 years, never comes.
pub const NEVER: u64 = u64::MAX / 4;

/// A clock runs at least at a tenth of its rate, whatever adds up.
const LEAST_PPM: i64 = -900_000;

const MILLION: i128 = 1_000_000;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Clock {
    /// By how much it runs fast, in millionths.
    drift_ppm: i64,
    /// True time when that was last changed, and what the monotonic clock showed then.
    since: u64,
    shown: u64,
    /// What steps have added to the wall clock.
    stepped: i64,
    /// What the wall clock was last corrected by, so that it showed the time.
    corrected: i64,
}

impl Clock {
    /// What the monotonic clock shows at a true time.
    #[inline]
    pub fn monotonic(&self, now: u64) -> u64 {
        if self.drift_ppm == 0 && self.since == self.shown { now } else { self.drifted(now) }
    }

    fn drifted(&self, now: u64) -> u64 {
        let passed = i128::from(now.saturating_sub(self.since));
        let passed = passed * (MILLION + i128::from(self.rate())) / MILLION;
        self.shown.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    /// The first true time at which the monotonic clock will show `deadline`, if nothing changes; the end of time if it is
    /// too far away to come.
    #[inline]
    pub fn true_time_of(&self, deadline: u64) -> u64 {
        if deadline >= NEVER {
            return u64::MAX;
        }
        if self.drift_ppm == 0 && self.since == self.shown {
            return deadline;
        }
        let left = i128::from(deadline.saturating_sub(self.shown));
        let rate = MILLION + i128::from(self.rate());
        let true_left = (left * MILLION + rate - 1) / rate;
        self.since.saturating_add(u64::try_from(true_left).unwrap_or(u64::MAX))
    }

    /// Wall clock minus true time.
    pub fn wall_error(&self, now: u64) -> i64 {
        let gained = self.monotonic(now) as i64 - now as i64;
        gained.saturating_sub(self.corrected).saturating_add(self.stepped)
    }

    /// Skews the clock from `now` on: steps the wall clock and adds to the drift.
    pub fn skew(&mut self, now: u64, step: i64, drift_ppm: i64) {
        self.stepped = self.stepped.saturating_add(step);
        if drift_ppm != 0 {
            let shown = self.monotonic(now);
            (self.since, self.shown) = (now, shown);
            self.drift_ppm = self.drift_ppm.saturating_add(drift_ppm);
            if self.drift_ppm == 0 {
                self.corrected = shown as i64 - now as i64;
            }
        }
    }

    fn rate(&self) -> i64 {
        self.drift_ppm.max(LEAST_PPM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_right_clock_shows_true_time() {
        let clock = Clock::default();
        assert_eq!((clock.monotonic(5), clock.true_time_of(5), clock.wall_error(5)), (5, 5, 0));
        assert_eq!(clock.true_time_of(u64::MAX), u64::MAX);
    }

    #[test]
    fn a_fast_clock_gains_and_keeps_what_it_gained_but_the_wall_clock_is_set_right() {
        let mut clock = Clock::default();
        clock.skew(1_000, 7, 100_000);
        assert_eq!((clock.monotonic(2_000), clock.wall_error(2_000)), (2_100, 107));
        assert_eq!(clock.true_time_of(2_100), 2_000);
        clock.skew(2_000, -7, -100_000);
        assert_eq!((clock.monotonic(3_000), clock.wall_error(3_000)), (3_100, 0));
        clock.skew(3_000, 0, -500_000);
        assert_eq!((clock.monotonic(4_000), clock.wall_error(4_000)), (3_600, -500));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_never_goes_back_and_wakes_nobody_early(
            changes in prop::collection::vec((0u64..1_000_000, -400_000i64..900_000), 0..6),
            wait in 0u64..10_000_000,
        ) {
            let (mut clock, mut now, mut shown) = (Clock::default(), 0, 0);
            for (later, drift) in changes {
                now += later;
                prop_assert!(clock.monotonic(now) >= shown);
                shown = clock.monotonic(now);
                clock.skew(now, 0, drift);
                prop_assert_eq!(clock.monotonic(now), shown);
            }
            let deadline = shown + wait;
            let at = clock.true_time_of(deadline);
            prop_assert!(at >= now && clock.monotonic(at) >= deadline);
            prop_assert!(at == now || clock.monotonic(at - 1) < deadline);
        }
    }
}
