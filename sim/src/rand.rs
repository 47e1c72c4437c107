//! Randomness for the code on a node. Each node has a stream of its own, independent of all other nodes.

use rand_chacha::rand_core::{self, RngCore};

use crate::base::seed::Draw;
use crate::kernel;

/// The node's next draw.
pub fn draw() -> Draw {
    kernel::with(|state| {
        let here = state.here();
        let node = state.node(here);
        node.draws += 1;
        node.random.draw(0, node.draws)
    })
}

/// Uniform in `0..n`; 0 when `n` is 0.
pub fn below(n: u64) -> u64 {
    draw().below(n)
}

/// Uniform in `low..=high`.
///
/// # Panics
/// If `low` is above `high`.
pub fn between(low: u64, high: u64) -> u64 {
    assert!(low <= high, "between({low}, {high}): the range is empty");
    draw().between(low, high)
}

/// Uniform between two durations, both included.
///
/// # Panics
/// If `low` is above `high`.
pub fn duration(low: std::time::Duration, high: std::time::Duration) -> std::time::Duration {
    std::time::Duration::from_nanos(between(crate::time::nanos(low), crate::time::nanos(high)))
}

/// True with probability `p`.
pub fn chance(p: f64) -> bool {
    draw().chance(crate::base::seed::Probability::new(p))
}

/// The same stream as an `RngCore`, for crates that ask for one.
#[derive(Clone, Copy, Debug, Default)]
pub struct NodeRng;

impl RngCore for NodeRng {
    fn next_u32(&mut self) -> u32 {
        (draw().0 >> 32) as u32
    }

    fn next_u64(&mut self) -> u64 {
        draw().0
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        rand_core::impls::fill_bytes_via_next(self, bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}
