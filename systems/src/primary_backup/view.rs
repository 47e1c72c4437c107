//! Views, and the view service's decisions: a pure state machine without clock, disk or network.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::NodeId;
use sim::planted;

/// Pings are this far apart.
pub const PING: Duration = Duration::from_millis(100);
/// A server that gave no sign of life for this long is dead: five pings, as in the labs.
pub const DEAD: Duration = Duration::from_millis(500);
/// A server is known to be alive if it was within this time. A role is only given to such a server, and only on the word
/// of such a primary is a backup dismissed. So a round trip to the view service must take less than `FRESH - PING`.
pub const FRESH: Duration = Duration::from_millis(250);

/// A server in one of its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Server {
    /// The machine.
    pub node: NodeId,
    /// Which incarnation of it: memory does not outlive one.
    pub life: u32,
}

impl Server {
    /// Whether two names mean the same server.
    pub fn is(self, other: Server) -> bool {
        self.node == other.node && (self.life == other.life || planted!("pb.empty-keeps-role"))
    }
}

/// Who has which role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct View {
    /// 0 before the first server was heard of.
    pub number: u64,
    /// Answers clients.
    pub primary: Option<Server>,
    /// Has a copy of everything.
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

/// What the view service remembers of a server.
#[derive(Clone, Copy, Debug)]
struct Sign {
    life: u32,
    /// The latest time at which it is known to have been alive, if any is.
    alive: Option<Duration>,
}

/// The view service's mind. Times are of its own monotonic clock.
#[derive(Clone, Debug)]
pub struct Core {
    view: View,
    /// Whether the primary has acknowledged the view.
    acked: bool,
    /// Whether the backup has the primary's whole state: only then may it take over.
    ready: bool,
    signs: BTreeMap<NodeId, Sign>,
    /// When this mind was made up: servers not heard of since may still be alive.
    since: Duration,
}

impl Core {
    /// A mind that remembers only what was durable.
    pub fn new(view: View, acked: bool, ready: bool, now: Duration) -> Core {
        Core { view, acked, ready, signs: BTreeMap::new(), since: now }
    }

    /// The present view.
    pub fn view(&self) -> View {
        self.view
    }

    /// Whether its primary has acknowledged it.
    pub fn acked(&self) -> bool {
        self.acked
    }

    /// Whether its backup has the whole state.
    pub fn ready(&self) -> bool {
        self.ready
    }

    /// A ping: `server` is in view `number`, was alive at `alive`, and as primary has brought its backup up to date if
    /// `ready`. True if it acknowledged the view, which may be followed by the next at once.
    pub fn ping(&mut self, server: Server, number: u64, ready: bool, alive: Option<Duration>, now: Duration) -> bool {
        let sign = self.signs.entry(server.node).or_insert(Sign { life: server.life, alive: None });
        if server.life < sign.life {
            return false;
        }
        if server.life > sign.life {
            let alive = sign.alive.filter(|_| planted!("pb.empty-keeps-role"));
            *sign = Sign { life: server.life, alive };
        }
        sign.alive = sign.alive.max(alive);
        let speaks = self.view.number > 0 && self.view.is_primary(server) && number == self.view.number;
        let acknowledges = speaks && !self.acked;
        self.acked |= acknowledges;
        // A delayed word of the primary's comes too late: the backup may have died since, and the primary seem dead.
        self.ready |= speaks && ready && self.is_fresh(server, now);
        self.decide(now);
        acknowledges
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Duration) {
        self.decide(now);
    }

    /// A server is dead if it was silent for too long or has begun another life.
    fn is_dead(&self, server: Server, now: Duration) -> bool {
        match self.signs.get(&server.node) {
            Some(sign) if !server.is(Server { node: server.node, life: sign.life }) => true,
            sign => {
                let alive = sign.and_then(|sign| sign.alive).unwrap_or_default().max(self.since);
                now.saturating_sub(alive) > DEAD
            }
        }
    }

    fn is_fresh(&self, server: Server, now: Duration) -> bool {
        self.signs.get(&server.node).is_some_and(|sign| {
            server.is(Server { node: server.node, life: sign.life })
                && sign.alive.is_some_and(|alive| now.saturating_sub(alive) <= FRESH)
        })
    }

    /// A live server without a role: the one with the lowest name.
    fn idle(&self, now: Duration) -> Option<Server> {
        let servers = self.signs.iter().map(|(&node, sign)| Server { node, life: sign.life });
        let has_role = |server: Server| {
            let same = |role: Option<Server>| role.is_some_and(|role| role.is(server));
            same(self.view.primary) || same(self.view.backup)
        };
        servers.filter(|&server| self.is_fresh(server, now) && !has_role(server)).min()
    }

    /// The next view, if it is time for one.
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
        let backup_is_dead = backup.is_some_and(|backup| self.is_dead(backup, now));
        if self.is_dead(current, now) {
            if self.ready && backup.is_some_and(|backup| self.is_fresh(backup, now)) {
                let next = self.idle(now);
                self.enter(backup, next);
            }
            return;
        }
        if (backup.is_none() || backup_is_dead) && self.is_fresh(current, now) {
            let next = self.idle(now);
            if next.is_some() || backup_is_dead {
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
    //! The behaviours of the view service lab, by their names there.

    use super::*;

    /// A view service with its pingers. Time passes in steps of one ping interval.
    struct Lab {
        core: Core,
        now: Duration,
    }

    const A: Server = Server { node: NodeId::new(1), life: 1 };
    const B: Server = Server { node: NodeId::new(2), life: 1 };
    const C: Server = Server { node: NodeId::new(3), life: 1 };

    impl Lab {
        fn new() -> Lab {
            Lab { core: Core::new(View::default(), false, false, Duration::ZERO), now: Duration::ZERO }
        }

        /// One interval in which these servers ping with the number of the view that they know.
        fn step(&mut self, pings: &[(Server, u64, bool)]) -> View {
            self.now += PING;
            for &(server, number, ready) in pings {
                self.core.ping(server, number, ready, Some(self.now), self.now);
            }
            self.core.tick(self.now);
            self.core.view()
        }

        /// Steps in which live servers do what they must, until nothing changes any more.
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
        let again = Server { life: 2, ..A };
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
        let again = Server { life: 2, ..A };
        // At once, not after five pings: it has lost its memory.
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
        // B is there, but A says no word of view 1: no backup is added, and A's death changes nothing.
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
        // Both die; C has never held any data.
        let view = lab.settle(&[C]);
        assert_eq!(roles(view), (Some(A), Some(B)));
        // Nor does a backup that was never declared ready.
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
        // A's old pings arrive in a burst: they do not make it alive, so B, silent too, is not dismissed on its word.
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
        // Nobody is dead because a new view service has not heard of anybody yet.
        assert_eq!(lab.step(&[]), view);
        assert_eq!(roles(lab.settle(&[B])), (Some(B), None));
    }
}
