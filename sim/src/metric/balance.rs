//! Load balance: how the work of one run was parted among the nodes that serve.
//!
//! Work is the datagrams that reached a node, unless the system declares that it is events of some type, each of which weighs
//! the same. Nodes that serve are all but clients and the operator; where work is events, only those whose role has observed
//! any: what never does that work is not out of balance. A run in which there was no work has no balance.

use super::{Balance, Histogram, SCALE};

/// What work is if the system does not say.
pub(super) const MESSAGES: &str = "messages";

/// Of one run. Each node is its role and its work.
pub(super) fn of(work: &str, nodes: &[(&str, u64)], only_roles_that_work: bool) -> Option<Balance> {
    let role_works = |role: &str| nodes.iter().any(|(of, work)| *of == role && *work > 0);
    let loads = nodes.iter().filter(|(role, _)| !only_roles_that_work || role_works(role));
    let loads: Vec<f64> = loads.map(|(_, work)| *work as f64).collect();
    let mean = loads.iter().sum::<f64>() / loads.len() as f64;
    if loads.is_empty() || mean == 0.0 {
        return None;
    }
    let max = loads.iter().copied().fold(0.0, f64::max);
    let variance = loads.iter().map(|load| (load - mean) * (load - mean)).sum::<f64>() / loads.len() as f64;
    let one = |value: f64| {
        let mut histogram = Histogram::default();
        // Division and square root are exact to the last bit on every machine, so this is too.
        histogram.record((value * SCALE).round() as u64);
        histogram
    };
    Some(Balance { work: work.to_owned(), max_over_mean: one(max / mean), variation: one(variance.sqrt() / mean) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Max/mean and variation, in millionths.
    fn ratios(nodes: &[(&str, u64)], only: bool) -> Option<(u64, u64)> {
        of("x", nodes, only).map(|balance| (balance.max_over_mean.max().unwrap(), balance.variation.max().unwrap()))
    }

    #[test]
    fn one_node_that_does_all_is_as_many_times_the_mean_as_there_are_nodes() {
        assert_eq!(ratios(&[("s", 90), ("s", 0), ("s", 0), ("s", 0)], false), Some((4_000_000, 1_732_051)));
        assert_eq!(ratios(&[("s", 7), ("s", 7), ("s", 7)], false), Some((1_000_000, 0)));
        // Mean 20, deviations 10 and -10.
        assert_eq!(ratios(&[("s", 30), ("s", 10)], false), Some((1_500_000, 500_000)));
    }

    #[test]
    fn a_role_that_never_does_the_work_is_not_out_of_balance() {
        let nodes = [("view", 0), ("server", 30), ("server", 10)];
        assert_eq!(ratios(&nodes, true), Some((1_500_000, 500_000)));
        assert_eq!(ratios(&nodes, false).unwrap().0, 2_250_000);
    }

    #[test]
    fn without_work_there_is_no_balance() {
        assert_eq!(ratios(&[("s", 0), ("s", 0)], false), None);
        assert_eq!(ratios(&[("s", 0)], true), None);
        assert_eq!(ratios(&[], false), None);
    }
}
