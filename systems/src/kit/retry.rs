//! Trying again: until when, how soon, and where.
//!
//! A client cannot tell a lost request from a lost reply or a slow server, so it asks again ([`retry`]) and its requests have
//! numbers ([`super::session`]). Where one of several servers leads, it asks the one that it takes for the leader, follows a
//! server that names another, and asks any when the one it asked is silent ([`Route`]).

use std::ops::ControlFlow;
use std::time::Duration;

use sim::time::Instant;
use sim::{Addr, rand, time};

/// How long a client pauses before it tries again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Always that long.
    Fixed(Duration),
    /// Drawn, up to that long: clients that failed together do not come back together.
    UpTo(Duration),
    /// Drawn, between so many whole milliseconds and so many.
    Millis(u64, u64),
}

impl Pause {
    /// The next pause.
    pub fn draw(self) -> Duration {
        match self {
            Pause::Fixed(pause) => pause,
            Pause::UpTo(most) => rand::duration(Duration::ZERO, most),
            Pause::Millis(least, most) => Duration::from_millis(rand::between(least, most)),
        }
    }
}

/// Makes attempts until one breaks with a result, and pauses after each that does not. `None` when the deadline has passed: no
/// attempt begins after it, though the last may end later if it does not look at the deadline itself. Dropped in the middle of
/// an attempt, it leaves what that attempt leaves.
///
/// ```
/// use std::ops::ControlFlow;
/// use std::time::Duration;
/// use systems::kit::retry::{Pause, retry};
///
/// let run = sim::simulate(1, |sim| {
///     let third = sim.client("client", async {
///         let (mut attempts, deadline) = (0, sim::time::now() + Duration::from_secs(1));
///         retry(deadline, Pause::UpTo(Duration::from_millis(20)), async || {
///             attempts += 1;
///             if attempts == 3 { ControlFlow::Break(attempts) } else { ControlFlow::Continue(()) }
///         })
///         .await
///     });
///     sim.wait(third, Duration::from_secs(2))
/// });
/// assert_eq!(run.unwrap().value, Ok(Some(3)));
/// ```
pub async fn retry<T>(deadline: Instant, pause: Pause, mut attempt: impl AsyncFnMut() -> ControlFlow<T>) -> Option<T> {
    while time::now() < deadline {
        if let ControlFlow::Break(result) = attempt().await {
            return Some(result);
        }
        time::sleep(pause.draw()).await;
    }
    None
}

/// Which of the servers of a group to ask next.
#[derive(Clone, Debug)]
pub struct Route {
    servers: Vec<Addr>,
    /// An index into `servers`.
    next: usize,
}

impl Route {
    /// The first of these servers first, of which there is at least one: see [`sim::GroupId::addrs`].
    pub fn new(servers: Vec<Addr>) -> Route {
        assert!(!servers.is_empty(), "a client needs servers");
        Route { servers, next: 0 }
    }

    /// The same, a random server first.
    pub fn from_any(servers: Vec<Addr>) -> Route {
        let mut route = Route::new(servers);
        route.anywhere();
        route
    }

    /// The server to ask: the one that answered last, or was named, or any.
    pub fn next(&self) -> Addr {
        self.servers[self.next]
    }

    /// The id of that server, where a server's id is the number of its node.
    pub fn next_id(&self) -> u64 {
        id_of(self.next())
    }

    /// Any of the servers, for once.
    pub fn any(&self) -> Addr {
        self.servers[self.random()]
    }

    /// The server that was asked names another as the leader, by its id, or names none. A name that is no news counts as none.
    pub fn redirect(&mut self, leader: Option<u64>) {
        let named = self.servers.iter().position(|server| Some(id_of(*server)) == leader);
        self.next = named.filter(|named| *named != self.next).unwrap_or_else(|| self.random());
    }

    /// The server that was asked does not answer: any may know the leader.
    pub fn anywhere(&mut self) {
        self.next = self.random();
    }

    fn random(&self) -> usize {
        rand::below(self.servers.len() as u64) as usize
    }
}

fn id_of(server: Addr) -> u64 {
    server.node.index() as u64
}

#[cfg(test)]
mod tests {
    use sim::NodeId;

    use super::*;

    fn in_world<T, F>(code: impl FnOnce() -> F + Send) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + 'static,
    {
        let run = sim::simulate(1, |sim| sim.wait(sim.client("client", code()), Duration::from_secs(60)));
        run.unwrap().value.unwrap()
    }

    #[test]
    fn no_attempt_begins_after_the_deadline() {
        let attempts = in_world(|| async {
            let mut attempts = 0;
            let deadline = time::now() + Duration::from_millis(100);
            let none = retry(deadline, Pause::Fixed(Duration::from_millis(30)), async || {
                attempts += 1;
                ControlFlow::<()>::Continue(())
            })
            .await;
            assert_eq!(none, None);
            attempts
        });
        assert_eq!(attempts, 4, "at 0, 30, 60 and 90 ms");
    }

    #[test]
    fn pauses_are_within_their_bounds() {
        in_world(|| async {
            let twenty = Duration::from_millis(20);
            for _ in 0..100 {
                assert_eq!(Pause::Fixed(twenty).draw(), twenty);
                assert!(Pause::UpTo(twenty).draw() <= twenty);
                let whole = Pause::Millis(5, 20).draw();
                assert!((5..=20).contains(&whole.as_millis()) && whole.subsec_nanos().is_multiple_of(1_000_000));
            }
        });
    }

    #[test]
    fn a_route_follows_names_that_are_news() {
        in_world(|| async {
            let servers = || (10..13).map(|node| NodeId::new(node).port(1)).collect();
            let mut route = Route::new(servers());
            assert_eq!(route.next_id(), 10);
            route.redirect(Some(12));
            assert_eq!(route.next(), NodeId::new(12).port(1));
            let mut elsewhere = 0;
            for _ in 0..100 {
                // Itself, a server that is not there, nobody: each means any server.
                for named in [Some(10), Some(7), None] {
                    let mut route = Route::new(servers());
                    route.redirect(named);
                    elsewhere += u32::from(route.next_id() != 10);
                }
            }
            assert!((150..250).contains(&elsewhere), "{elsewhere} of 300");
        });
    }
}
