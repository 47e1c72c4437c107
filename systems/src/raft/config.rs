//! The configuration of a server: `[system.raft]` in the scenarios of every system on Raft.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::planted;

/// The configuration of a server. Times are in ticks. Every extension of the paper's basic algorithm can be switched off.
///
/// A system on Raft has it among its own parameters, as `raft`, so that its scenarios can set it:
///
/// ```
/// let text = "[system]\nname = \"raft\"\nservers = 5\n\n[system.raft]\nelection_ticks = 25\npre_vote = false\n";
/// let scenario = sim::Scenario::parse("example.toml", text).unwrap();
/// sim::validate(&systems::raft::RaftLog, &scenario).unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The length of a tick in milliseconds of the server's monotonic clock, at least 1. Only the driver uses it.
    pub tick_ms: u64,
    /// The bytes after which a segment of the log on disk is closed and the next one begins. Only the driver uses it.
    pub segment: u64,
    /// The minimum election timeout, in ticks, at least 1. A follower that hears from no leader starts an election after a
    /// random time between `election_ticks` and twice that.
    pub election_ticks: u64,
    /// The interval between a leader's heartbeats, in ticks; below `election_ticks`.
    pub heartbeat_ticks: u64,
    /// Pre-vote: ask for votes without raising the term before starting an election (thesis, section 9.6).
    pub pre_vote: bool,
    /// Check-quorum: a leader that has not heard from a quorum for `election_ticks` steps down (thesis, section 6.2).
    pub check_quorum: bool,
    /// Leader stickiness: a server that has heard from a leader within `election_ticks` refuses to vote (thesis, section
    /// 4.2.3). Leader leases need it.
    pub stickiness: bool,
    /// A new leader appends an empty entry at once, which commits the entries of earlier terms (thesis, section 6.4). Without
    /// it, reads and membership changes wait for the first proposal of the term.
    pub noop: bool,
    /// Followers forward proposals to the leader. Otherwise they reject them and name the leader.
    pub forward: bool,
    /// The leader answers reads without a heartbeat round while its lease is valid (thesis, section 6.4.1).
    pub lease_reads: bool,
    /// The largest rate error of a clock, fast or slow, as a fraction from 0 to 1. It shortens the lease. If a clock drifts
    /// more, lease reads may be stale.
    pub clock_drift: f64,
    /// The limit on the bytes of entries in one `AppendEntries`. A larger single entry is sent alone.
    pub max_append_bytes: usize,
    /// The limit on the number of appends in flight to one server.
    pub max_inflight: usize,
    /// The limit on the total bytes of the appends in flight to one server.
    pub max_inflight_bytes: usize,
    /// The leader rejects proposals while this many bytes of commands are uncommitted.
    pub max_uncommitted_bytes: usize,
    /// A server may become a voter once it is at most this many entries behind the leader.
    pub catch_up: u64,
    /// The bytes of a snapshot in one `InstallSnapshot`.
    pub snapshot_chunk: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            tick_ms: 20,
            segment: 8 << 10,
            election_ticks: 10,
            heartbeat_ticks: 2,
            pre_vote: true,
            check_quorum: true,
            stickiness: true,
            noop: true,
            forward: false,
            lease_reads: false,
            clock_drift: 0.05,
            max_append_bytes: 64 << 10,
            max_inflight: 64,
            max_inflight_bytes: 1 << 20,
            max_uncommitted_bytes: 8 << 20,
            catch_up: 64,
            snapshot_chunk: 32 << 10,
        }
    }
}

impl Config {
    /// The length of a tick.
    pub fn tick(&self) -> Duration {
        Duration::from_millis(self.tick_ms)
    }

    /// The length of a leader lease in ticks of the leader's clock, from the send tick of the round that a quorum
    /// acknowledged.
    ///
    /// A follower that acknowledged the round refuses other votes for `election_ticks` of its own clock. That clock may run
    /// fast by `clock_drift` while the leader's clock runs slow by it. One tick is subtracted because the follower's next tick
    /// may come immediately.
    pub fn lease_ticks(&self) -> u64 {
        let drift = if planted!("raft.lease-ignores-drift") { 0.0 } else { self.clock_drift };
        let slowest = (1.0 - drift) / (1.0 + drift);
        (((self.election_ticks.saturating_sub(1)) as f64) * slowest).max(0.0) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_over_before_any_follower_may_vote() {
        for election_ticks in [3, 10, 50] {
            for clock_drift in [0.0, 0.01, 0.2, 0.9] {
                let config = Config { election_ticks, clock_drift, ..Config::default() };
                let longest = config.lease_ticks() as f64 / (1.0 - clock_drift);
                let shortest = (election_ticks - 1) as f64 / (1.0 + clock_drift);
                assert!(longest <= shortest + 1e-9, "{election_ticks} ticks, drift {clock_drift}");
            }
        }
    }
}
