//! Views, and the view service's decisions as a pure state machine without clock, disk or network.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::NodeId;
use sim::planted;

/// The interval between a server's pings.
pub const PING: Duration = Duration::from_millis(100);
/// The view service considers a server failed after this time without a sign of life: five pings, as in the labs.
pub const FAILURE_TIMEOUT: Duration = Duration::from_millis(500);
/// The view service considers a server alive for this time after its last sign of life. Only a server known to be alive gets
/// a role, and a backup is replaced only while the primary is known to be alive. A round trip to the view service must
/// therefore take less than `ALIVE_WINDOW - PING`.
pub const ALIVE_WINDOW: Duration = Duration::from_millis(250);

/// One incarnation of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Server {
    /// The server's node.
    pub node: NodeId,
    /// The incarnation of the node, from 1. Memory does not survive the end of an incarnation.
    pub incarnation: u32,
}

impl Server {
    /// Whether both are the same incarnation of the same server.
    pub fn is(self, other: Server) -> bool {
        self.node == other.node && (self.incarnation == other.incarnation || planted!("pb.empty-keeps-role"))
    }
}

/// A view: an assignment of the two roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct View {
    /// The number, from 1; 0 before the first view.
    pub number: u64,
    /// The server that answers clients.
    pub primary: Option<Server>,
    /// The server that has a copy of the primary's state.
    pub backup: Option<Server>,
}

impl View {
    /// Whether `server` is the primary.
    pub fn is_primary(&self, server: Server) -> bool {
        self.primary.is_some_and(|primary| primary.is(server))
    }

    /// Whether `server` is the backup.
    pub fn is_backup(&self, server: Server) -> bool {
        self.backup.is_some_and(|backup| backup.is(server))
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |server: Option<Server>| server.map_or("none".to_owned(), |server| server.node.name());
        write!(f, "view {}: primary {}, backup {}", self.number, name(self.primary), name(self.backup))
    }
}

/// The view service's knowledge about the liveness of a node.
#[derive(Clone, Copy, Debug)]
struct Liveness {
    incarnation: u32,
    /// The latest time at which this incarnation is known to have been alive.
    last_seen: Option<Duration>,
}

/// The view service's state machine. Times are on the view service's monotonic clock.
#[derive(Clone, Debug)]
pub struct Core {
    view: View,
    /// Whether the primary has acknowledged the view.
    acked: bool,
    /// Whether the backup has the primary's whole state. Only a ready backup may take over.
    ready: bool,
    liveness: BTreeMap<NodeId, Liveness>,
    /// The start of this incarnation of the view service. Silence before this time does not count as failure.
    started_at: Duration,
}

impl Core {
    /// Starts from the durable state.
    pub fn new(view: View, acked: bool, ready: bool, now: Duration) -> Core {
        Core { view, acked, ready, liveness: BTreeMap::new(), started_at: now }
    }

    /// The present view.
    pub fn view(&self) -> View {
        self.view
    }

    /// Whether the primary has acknowledged the present view.
    pub fn acked(&self) -> bool {
        self.acked
    }

    /// Whether the backup of the present view has the whole state.
    pub fn ready(&self) -> bool {
        self.ready
    }

    /// Handles a ping. The server is in view `number` and was alive at `alive`. `ready` is the primary's declaration that its
    /// backup has the whole state. Returns whether the ping acknowledged the present view; the next view may have followed at
    /// once.
    pub fn ping(&mut self, server: Server, number: u64, ready: bool, alive: Option<Duration>, now: Duration) -> bool {
        let liveness =
            self.liveness.entry(server.node).or_insert(Liveness { incarnation: server.incarnation, last_seen: None });
        if server.incarnation < liveness.incarnation {
            return false;
        }
        if server.incarnation > liveness.incarnation {
            let last_seen = liveness.last_seen.filter(|_| planted!("pb.empty-keeps-role"));
            *liveness = Liveness { incarnation: server.incarnation, last_seen };
        }
        liveness.last_seen = liveness.last_seen.max(alive);
        let is_current_primary = self.view.number > 0 && self.view.is_primary(server) && number == self.view.number;
        let acknowledges = is_current_primary && !self.acked;
        self.acked |= acknowledges;
        // A delayed declaration does not count: the backup may have crashed since.
        self.ready |= is_current_primary && ready && self.is_alive(server, now);
        self.decide(now);
        acknowledges
    }

    /// Reacts to the passage of time.
    pub fn tick(&mut self, now: Duration) {
        self.decide(now);
    }

    /// Whether the server is considered failed: it was silent for too long, or a later incarnation has started.
    fn has_failed(&self, server: Server, now: Duration) -> bool {
        match self.liveness.get(&server.node) {
            Some(liveness) if !server.is(Server { node: server.node, incarnation: liveness.incarnation }) => true,
            liveness => {
                let alive = liveness.and_then(|liveness| liveness.last_seen).unwrap_or_default().max(self.started_at);
                now.saturating_sub(alive) > FAILURE_TIMEOUT
            }
        }
    }

    /// Whether the server is known to be alive.
    fn is_alive(&self, server: Server, now: Duration) -> bool {
        self.liveness.get(&server.node).is_some_and(|liveness| {
            server.is(Server { node: server.node, incarnation: liveness.incarnation })
                && liveness.last_seen.is_some_and(|alive| now.saturating_sub(alive) <= ALIVE_WINDOW)
        })
    }

    /// The first server, in the order of nodes, that is alive and has no role.
    fn idle(&self, now: Duration) -> Option<Server> {
        let servers = self.liveness.iter().map(|(&node, liveness)| Server { node, incarnation: liveness.incarnation });
        let has_role = |server: Server| {
            let same = |role: Option<Server>| role.is_some_and(|role| role.is(server));
            same(self.view.primary) || same(self.view.backup)
        };
        servers.filter(|&server| self.is_alive(server, now) && !has_role(server)).min()
    }

    /// Enters the next view if the rules call for one.
    fn decide(&mut self, now: Duration) {
        let View { number, primary, backup } = self.view;
        let Some(current) = primary else {
            if let Some(first) = self.idle(now) {
                self.enter(Some(first), None);
            }
            return;
        };
        if number > 0 && !self.acked && !planted!("pb.view-before-ack") {
            return;
        }
        let backup_has_failed = backup.is_some_and(|backup| self.has_failed(backup, now));
        if self.has_failed(current, now) {
            if self.ready && backup.is_some_and(|backup| self.is_alive(backup, now)) {
                let next = self.idle(now);
                self.enter(backup, next);
            }
            return;
        }
        if (backup.is_none() || backup_has_failed) && self.is_alive(current, now) {
            let next = self.idle(now);
            if next.is_some() || backup_has_failed {
                self.enter(primary, next);
            }
        }
    }

    fn enter(&mut self, primary: Option<Server>, backup: Option<Server>) {
        self.view = View { number: self.view.number + 1, primary, backup };
        self.acked = false;
        self.ready = false;
    }
}

#[cfg(test)]
mod tests {
    //! The behaviours of the view service lab, under the lab's names.

    use super::*;

    /// A view service and the servers that ping it. Time advances in steps of one ping interval.
    struct Lab {
        core: Core,
        now: Duration,
    }

    const A: Server = Server { node: NodeId::new(1), incarnation: 1 };
    const B: Server = Server { node: NodeId::new(2), incarnation: 1 };
    const C: Server = Server { node: NodeId::new(3), incarnation: 1 };

    impl Lab {
        fn new() -> Lab {
            Lab { core: Core::new(View::default(), false, false, Duration::ZERO), now: Duration::ZERO }
        }

        /// Advances time by one interval, in which these servers ping with the view numbers that they know.
        fn step(&mut self, pings: &[(Server, u64, bool)]) -> View {
            self.now += PING;
            for &(server, number, ready) in pings {
                self.core.ping(server, number, ready, Some(self.now), self.now);
            }
            self.core.tick(self.now);
            self.core.view()
        }

        /// Advances time by twelve intervals, in which the live servers ping with the present view.
        fn settle(&mut self, alive: &[Server]) -> View {
            for _ in 0..12 {
                let number = self.core.view().number;
                let pings: Vec<_> = alive.iter().map(|&server| (server, number, true)).collect();
                self.step(&pings);
            }
            self.core.view()
        }
    }

    fn roles(view: View) -> (Option<Server>, Option<Server>) {
        (view.primary, view.backup)
    }

    #[test]
    fn first_primary() {
        let mut lab = Lab::new();
        assert_eq!(roles(lab.step(&[(A, 0, false)])), (Some(A), None));
    }

    #[test]
    fn first_backup() {
        let mut lab = Lab::new();
        lab.settle(&[A]);
        assert_eq!(roles(lab.settle(&[A, B])), (Some(A), Some(B)));
    }

    #[test]
    fn backup_takes_over_if_the_primary_fails() {
        let mut lab = Lab::new();
        let before = lab.settle(&[A, B]).number;
        let after = lab.settle(&[B]);
        assert_eq!((roles(after), after.number), ((Some(B), None), before + 1));
    }

    #[test]
    fn restarted_server_becomes_backup() {
        let mut lab = Lab::new();
        lab.settle(&[A, B]);
        lab.settle(&[B]);
        let again = Server { incarnation: 2, ..A };
        assert_eq!(roles(lab.settle(&[B, again])), (Some(B), Some(again)));
    }

    #[test]
    fn idle_third_server_becomes_backup_if_the_primary_fails() {
        let mut lab = Lab::new();
        lab.settle(&[A, B, C]);
        assert_eq!(roles(lab.settle(&[B, C])), (Some(B), Some(C)));
    }

    #[test]
    fn restarted_primary_is_treated_as_dead() {
        let mut lab = Lab::new();
        lab.settle(&[A, B]);
        let again = Server { incarnation: 2, ..A };
        // The view service reacts at once instead of after five missed pings, because A has lost its memory.
        let view = lab.step(&[(again, 0, false), (B, lab.core.view().number, false)]);
        assert_eq!(view.primary, Some(B));
        assert_eq!(roles(lab.settle(&[again, B])), (Some(B), Some(again)));
    }

    #[test]
    fn dead_backup_is_removed_from_the_view() {
        let mut lab = Lab::new();
        lab.settle(&[A, B]);
        assert_eq!(roles(lab.settle(&[A])), (Some(A), None));
    }

    #[test]
    fn view_waits_for_the_primary_to_acknowledge_it() {
        let mut lab = Lab::new();
        lab.step(&[(A, 0, false)]);
        // A never acknowledges view 1: B does not become backup, and A's failure changes nothing.
        for _ in 0..20 {
            assert_eq!(lab.step(&[(A, 0, false), (B, 1, false)]).number, 1);
        }
        for _ in 0..20 {
            assert_eq!(lab.step(&[(B, 1, false)]).number, 1);
        }
    }

    #[test]
    fn uninitialized_server_cannot_become_primary() {
        let mut lab = Lab::new();
        lab.settle(&[A, B]);
        // Both crash; C has never had the state.
        let view = lab.settle(&[C]);
        assert_eq!(roles(view), (Some(A), Some(B)));
        // A backup that was never declared ready does not become primary either.
        let mut lab = Lab::new();
        lab.settle(&[A]);
        for _ in 0..3 {
            let number = lab.core.view().number;
            lab.step(&[(A, number, false), (B, number, false)]);
        }
        assert_eq!(lab.core.view().backup, Some(B));
        for _ in 0..20 {
            let number = lab.core.view().number;
            assert_eq!(lab.step(&[(B, number, false)]).primary, Some(A));
        }
    }

    #[test]
    fn a_delayed_ping_proves_nothing() {
        let mut lab = Lab::new();
        let view = lab.settle(&[A, B]);
        let then = lab.now;
        lab.settle(&[]);
        // Old pings of A arrive in a burst. They do not prove that A is alive, so B, silent too, is not replaced.
        for _ in 0..5 {
            lab.core.ping(A, view.number, true, Some(then), lab.now);
        }
        assert_eq!(lab.core.view(), view);
    }

    #[test]
    fn views_survive_a_restart_of_the_view_service() {
        let mut lab = Lab::new();
        let view = lab.settle(&[A, B]);
        lab.core = Core::new(view, lab.core.acked(), lab.core.ready(), lab.now);
        // A new incarnation of the view service has received no pings yet, and must not consider the servers failed.
        assert_eq!(lab.step(&[]), view);
        assert_eq!(roles(lab.settle(&[B])), (Some(B), None));
    }
}
