//! The lab's generic test: three times five seconds in which clients write and read what they please while servers are cut off
//! from each other, and all of them crash at the end.

use std::cell::Cell;
use std::rc::Rc;

use sim::check::linearizable::Outcome;
use sim::{rand, time};

use super::handle::ClientHandle;
use super::lab::{ELECTION, Lab, Result, ensure, ms};

/// What happens.
#[derive(Clone, Copy, Debug, Default)]
pub struct Generic {
    pub clients: u64,
    /// After the first second servers are divided anew each 1 to 1.2 s.
    pub partitions: bool,
    /// All servers crash, and start again a second later.
    pub restarts: bool,
    /// Each client writes to any key, and not to its own one only.
    pub any_key: bool,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Operations that were completed, and the least of one client's in one round.
    pub ops: usize,
    pub least: u64,
    /// How often servers were divided such that the leader was in a minority.
    pub minorities: u64,
    /// Operations that were under way when all servers crashed.
    pub in_flight: usize,
    /// Servers that had a snapshot when they crashed.
    pub with_snapshot: usize,
    /// The most bytes that a log had at the end of a round, and at any time.
    pub log_at_end: usize,
    pub largest_log: usize,
    pub largest_snapshot: usize,
    /// The last term.
    pub term: u64,
    /// Messages that were lost, and those that a partition kept.
    pub lost: u64,
    pub kept: u64,
}

/// Until it is done, a client appends every other time and reads otherwise, and knows what it will read. With any key it puts
/// now and then; what it reads then, the judge of the whole history knows. How often it wrote.
pub async fn client(handle: &mut ClientHandle, me: u64, generic: Generic, done: Rc<Cell<bool>>) -> Result<u64> {
    let key = |of: u64| format!("{of}");
    let (mut expected, mut writes) = (String::new(), 0);
    if !generic.any_key {
        handle.put(&key(me), "").await?;
    }
    while !done.get() {
        let of = if generic.any_key { rand::below(generic.clients) } else { me };
        let value = format!("x {me} {writes} y");
        match () {
            () if rand::chance(0.5) => {
                handle.append(&key(of), &value).await?;
                expected += &value;
                writes += 1;
            }
            () if generic.any_key && rand::chance(0.1) => {
                handle.put(&key(of), &value).await?;
                writes += 1;
            }
            () if generic.any_key => drop(handle.get(&key(of)).await?),
            () => handle.expect(&key(of), &expected).await?,
        }
        // As many operations with many clients as with few.
        time::sleep(rand::duration(ms(0), ms(8 * generic.clients))).await;
    }
    if !generic.any_key {
        handle.expect(&key(me), &expected).await?;
    }
    Ok(writes)
}

/// The whole of it.
pub fn generic(lab: &Lab, what: Generic) -> Result<Seen> {
    let mut seen = Seen { least: u64::MAX, ..Seen::default() };
    for _ in 0..3 {
        let done = Rc::new(Cell::new(false));
        let begin = |me| {
            let done = done.clone();
            lab.client(async move |handle| client(handle, me, what, done).await)
        };
        let clients: Vec<_> = (0..what.clients).map(begin).collect();
        lab.sleep(ms(1_000))?;
        let until = lab.now() + ms(4_000);
        while what.partitions && lab.now() < until {
            seen.minorities += u64::from(lab.partition_at_random());
            lab.sleep(ms(1_000 + lab.below(200)))?;
        }
        lab.sleep(until.saturating_sub(lab.now()))?;
        if what.partitions {
            lab.heal();
            lab.sleep(ELECTION)?;
        }
        if what.restarts {
            let in_flight = || lab.history.borrow().iter().filter(|op| op.outcome == Outcome::Unknown).count();
            lab.until(ELECTION, || in_flight() > 0)?;
            seen.in_flight += in_flight();
            seen.with_snapshot += lab.up().iter().filter(|(_, replica)| replica.raft().size().1 > 0).count();
            lab.crash_all();
            lab.sleep(ELECTION)?;
            lab.boot_all();
        }
        // Who waits for an answer goes on waiting.
        done.set(true);
        for client in clients {
            seen.least = seen.least.min(lab.wait(client)??);
        }
        // The log of who leads ends with what nobody has been told of yet.
        lab.sleep(ms(200))?;
        let log_at_end = lab.sizes().into_iter().map(|(log, _)| log).max().unwrap_or(0);
        seen.log_at_end = seen.log_at_end.max(log_at_end);
    }
    (seen.largest_log, seen.largest_snapshot) = lab.largest();
    seen.ops = lab.history.borrow().iter().filter(|op| matches!(op.outcome, Outcome::Ok { .. })).count();
    seen.term = lab.term();
    (seen.lost, seen.kept) = (lab.sim.effect("net.lost"), lab.sim.effect("net.partitioned"));
    agree(lab)?;
    Ok(seen)
}

/// All servers come to the same state.
pub fn agree(lab: &Lab) -> Result {
    let same = || {
        let up = lab.up();
        let states: Vec<_> = up.iter().map(|(_, replica)| (replica.applied(), replica.peek(Clone::clone))).collect();
        states.windows(2).all(|two| two[0] == two[1])
    };
    lab.until(5 * ELECTION, same).map_err(|error| format!("servers do not agree: {error}"))?;
    ensure(lab.up().len() == lab.servers.len(), || "not all servers are up".to_owned())
}
