//! How a server is to behave. Times are in ticks; how long a tick is, is the driver's to say.

use sim::planted;

/// The knobs of the core. Each optional feature can be switched off.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Without a word from a leader for this many ticks, and up to as many again (drawn), a follower stands for election.
    pub election_ticks: u64,
    /// A leader is heard from at least every so many ticks.
    pub heartbeat_ticks: u64,
    /// Ask who would vote for one, before the term is raised (thesis, section 9.6).
    pub pre_vote: bool,
    /// A leader that has not heard from a quorum for `election_ticks` steps down (thesis, section 6.2).
    pub check_quorum: bool,
    /// A server that hears from a leader does not vote for another (thesis, section 4.2.3). Leases need it.
    pub stickiness: bool,
    /// A new leader commits an empty entry at once, which commits what was before it (thesis, section 6.4). Without it there
    /// are no reads, and no membership changes, until something is proposed.
    pub noop: bool,
    /// Followers pass proposals on to the leader; otherwise they name the leader, and that is all.
    pub forward: bool,
    /// Reads are answered without asking a quorum while the leader's lease lasts (thesis, section 6.4.1).
    pub lease_reads: bool,
    /// By how much a clock may run fast or slow, as a fraction: a lease is shorter by so much. Beyond it, lease reads are
    /// stale.
    pub clock_drift: f64,
    /// A message carries at most so many bytes of commands, but for a single one that is larger.
    pub max_append_bytes: usize,
    /// At most so many appends to a server are under way...
    pub max_inflight: usize,
    /// ... with so many bytes of commands together.
    pub max_inflight_bytes: usize,
    /// A leader takes no more proposals when so many bytes are not committed.
    pub max_uncommitted_bytes: usize,
    /// A learner or a new leader must be within so many entries of the leader before it is promoted.
    pub catch_up: u64,
    /// The bytes of a snapshot in one message.
    pub snapshot_chunk: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
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
    /// How many ticks of the leader's clock a lease lasts from the moment at which the round was sent that a quorum answered.
    ///
    /// A follower that answered does not vote for another for `election_ticks` of its own clock. That may run fast by the
    /// drift while the leader's runs slow by it; and a follower's first tick may come at once, so one is taken off.
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
