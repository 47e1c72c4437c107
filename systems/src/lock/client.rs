//! A client: acquires a lock, and knows how long it may count on it.

use std::time::Duration;

use sim::time::Instant;
use sim::{OpError, observe, planted, time};

use super::checks::{Acquired, Released};
use super::table::{CLOCK_DRIFT, Command, Reply, Table, Token};
use crate::rsm;

/// A grant that the client counts on.
#[derive(Clone, Debug)]
pub struct Held {
    /// The name of the lock.
    pub name: String,
    /// The fencing token, for what the lock protects.
    pub token: Token,
    /// The client's own time at which it stops counting on the lock.
    pub until: Instant,
}

/// Acquires the lock of that name for `lease`; `None` if it is held. The lease counts from before the request leaves.
///
/// # Errors
///
/// As [`rsm::Client::execute`].
pub async fn acquire(
    client: &mut rsm::Client<Table>,
    name: &str,
    lease: Duration,
    deadline: Instant,
) -> Result<Option<Held>, OpError> {
    let asked = time::now();
    let reply = client.execute(Command::Acquire(name.to_owned(), lease), deadline).await?;
    let Reply::Granted(token) = reply else { return Ok(None) };
    let from = if planted!("lock.lease-from-reply") { time::now() } else { asked };
    let until = from + lease.mul_f64((1.0 - CLOCK_DRIFT) / (1.0 + CLOCK_DRIFT));
    let left = until.duration_since(time::now());
    if left.is_zero() {
        return Ok(None);
    }
    observe!(Acquired { name: name.to_owned(), token, left_ns: left.as_nanos() as u64 });
    Ok(Some(Held { name: name.to_owned(), token, until }))
}

/// Gives the lock back: the client does not count on it any more, whatever comes of the request.
///
/// # Errors
///
/// As [`rsm::Client::execute`].
pub async fn release(client: &mut rsm::Client<Table>, held: Held, deadline: Instant) -> Result<(), OpError> {
    let Held { name, token, .. } = held;
    observe!(Released { name: name.clone(), token });
    client.execute(Command::Release(name, token), deadline).await.map(drop)
}
