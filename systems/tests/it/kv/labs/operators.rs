//! What operators do while clients go on: nothing is lost, and nobody waits long.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use sim::check::linearizable::Outcome;
use systems::kv::server::{GROUP, PORT};
use systems::kv::store::Store;
use systems::raft::Id;
use systems::raft::membership::Membership;
use systems::raft::operator::{MembersAre, TransferTo};
use systems::rsm::operator;

use super::generic::{Generic, agree, client};
use sim::Job;

use super::lab::{Lab, Result, assert_holds, ensure, ms, servers};

/// Clients that go on until they are told to stop.
struct Load {
    clients: Vec<Job<Result<u64>>>,
    done: Rc<Cell<bool>>,
}

impl Load {
    fn begin(lab: &Lab) -> Load {
        let done = Rc::new(Cell::new(false));
        let what = Generic { clients: 5, ..Generic::default() };
        let begin = |me| {
            let done = done.clone();
            lab.client(async move |handle| client(handle, me, what, done).await)
        };
        Load { clients: (0..5).map(begin).collect(), done }
    }

    /// Each client has read what it wrote. How often they wrote.
    fn end(self, lab: &Lab) -> Result<u64> {
        self.done.set(true);
        self.clients.into_iter().map(|client| lab.wait(client)?).sum()
    }
}

/// The longest that a completed operation took.
fn longest(lab: &Lab) -> Duration {
    let took = |outcome: &Outcome<_>, invoked: u64| match outcome {
        Outcome::Ok { at, .. } => at - invoked,
        _ => 0,
    };
    Duration::from_nanos(lab.history.borrow().iter().map(|op| took(&op.outcome, op.invoked)).max().unwrap_or(0))
}

/// Leadership goes round. How often clients wrote, and the longest that one of their operations took.
fn transfers(lab: &Lab) -> Result<(u64, Duration)> {
    lab.leader()?;
    let load = Load::begin(lab);
    for to in [1, 2, 0, 1, 2, 0] {
        lab.sleep(ms(200))?;
        if lab.leader()? == to {
            continue;
        }
        let term = lab.term();
        let args = TransferTo { to: Some(to as u64), group: None };
        lab.wait(lab.client(async move |_| operator::transfer::<Store>(GROUP, PORT, args).await))?;
        lab.until(ms(200), || lab.latest_leader() == Some(to))
            .map_err(|error| format!("server {to} leads: {error}"))?;
        ensure(lab.term() == term + 1, || format!("term {} follows term {term}", lab.term()))?;
    }
    lab.sleep(ms(200))?;
    let writes = load.end(lab)?;
    agree(lab)?;
    Ok((writes, longest(lab)))
}

#[test]
fn leadership_is_handed_over_under_load() {
    for (writes, longest) in assert_holds(&servers(3), transfers) {
        println!("{writes} writes; the longest operation took {longest:?}");
        assert!(writes > 50, "{writes} writes");
        // Election timeouts are 300 ms and more: nobody waited for one.
        assert!(longest < ms(300), "an operation took {longest:?}");
    }
}

/// Waits until the leader says that the members are these, asking for it as often as that takes.
fn change(lab: &Lab, voters: &[u64], learners: &[u64]) -> Result {
    let mut wanted = Membership::of(voters.iter().copied().map(Id));
    wanted.learners = learners.iter().copied().map(Id).collect();
    for _ in 0..10 {
        let args = MembersAre { voters: Some(voters.to_vec()), learners: Some(learners.to_vec()), group: None };
        lab.wait(lab.client(async move |_| operator::members::<Store>(GROUP, PORT, args).await))?;
        let is_wanted = || {
            let leader = lab.latest_leader().and_then(|leader| lab.replica(leader).ok());
            leader.is_some_and(|leader| leader.raft().membership() == wanted)
        };
        if lab.until(ms(500), is_wanted).is_ok() {
            return Ok(());
        }
    }
    Err(format!("the members are not {voters:?} with {learners:?}"))
}

/// Two new servers take the places of two old ones, which then are no more. How often clients wrote, in all and afterwards.
fn members_change(lab: &Lab) -> Result<(u64, u64)> {
    let leader = lab.leader()?;
    let load = Load::begin(lab);
    lab.sleep(ms(500))?;
    ensure(lab.replica(3)?.applied() == 0, || "a server that is no member has applied something".to_owned())?;
    change(lab, &[0, 1, 2], &[3, 4])?;
    // The old leader is among those who leave.
    let stays = (leader + 1) % 3;
    change(lab, &[stays as u64, 3, 4], &[])?;
    lab.sleep(ms(200))?;
    (0..3).filter(|&server| server != stays).for_each(|server| lab.crash(server));
    let completed = || lab.history.borrow().iter().filter(|op| matches!(op.outcome, Outcome::Ok { .. })).count() as u64;
    let before = completed();
    lab.sleep(ms(1_000))?;
    let after = completed() - before;
    Ok((load.end(lab)?, after))
}

#[test]
fn members_change_under_load() {
    let mut config = servers(3);
    config.params.spares = 2;
    for (writes, after) in assert_holds(&config, members_change) {
        println!("{writes} writes; {after} operations by the new members alone");
        assert!(writes > 50 && after > 50, "{writes} writes, {after} operations by the new members alone");
    }
}
