//! The leader on the side of the few: nothing is completed there, and who waits for it hears of its end.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use sim::{NodeId, rpc, time};
use systems::kv::Params;
use systems::kv::server::PORT;
use systems::kv::store::{Command, Store};
use systems::rsm::Request;
use systems::rsm::service::{self, Reply, Service};

use super::handle::ClientHandle;
use super::lab::{ELECTION, Lab, Result, assert_detects, assert_holds, ensure, ms, servers};

async fn wait_for(handle: &mut ClientHandle, begin: &Cell<bool>) -> Result {
    handle.expect("1", "13").await?;
    while !begin.get() {
        time::sleep(ms(1)).await;
    }
    Ok(())
}

/// The lab's OnePartition. How long the two of the minority took after the heal, in milliseconds. Who puts waits for
/// an answer so long before asking another server.
fn one_partition(lab: &Lab, attempt_ms: u64) -> Result<[u128; 2]> {
    lab.run(async |handle| handle.put("1", "13").await)?;
    // Clients who know who leads, and wait. Two of them put: the new leader's first entry comes to the place of the first one's,
    // and another client's command to that of the second one's.
    let begin = Rc::new(Cell::new(false));
    let puts = |key: &'static str, value: &'static str, later: Duration| {
        let (begin, with) = (begin.clone(), Params { attempt_ms, ..Params::clone(&lab.params) });
        lab.client_with(with, async move |handle| {
            handle.put("other", "").await?;
            wait_for(handle, &begin).await?;
            time::sleep(later).await;
            handle.put(key, value).await
        })
    };
    let (first, put) = (puts("other", "1", ms(0)), puts("1", "15", ms(20)));
    let may = begin.clone();
    let get = lab.client(async move |handle| {
        wait_for(handle, &may).await?;
        handle.get("1").await
    });
    lab.sleep(ELECTION)?;
    let leader = lab.leader()?;
    let few = [leader, (leader + 1) % 5];
    // Clients reach only the servers of their side.
    let cut = |of_few: &[NodeId], of_many: &[NodeId]| {
        let side = |is_few: bool| (0..5).filter(move |at| few.contains(at) == is_few).map(|at| lab.servers[at]);
        lab.partition(vec![
            side(true).chain(of_few.iter().copied()).collect(),
            side(false).chain(of_many.iter().copied()).collect(),
        ]);
    };

    let job = lab.client(async |handle| {
        handle.put("1", "14").await?;
        handle.expect("1", "14").await
    });
    cut(&[first.node(), put.node(), get.node()], &[job.node()]);
    begin.set(true);
    lab.wait(job)??;
    lab.sleep(ms(1_000))?;
    ensure(!put.is_done(), || "a put is completed by two servers of five".to_owned())?;
    ensure(!get.is_done(), || "a get is completed by two servers of five".to_owned())?;

    let job = lab.client(async |handle| {
        handle.expect("1", "14").await?;
        handle.put("1", "16").await?;
        handle.expect("1", "16").await
    });
    cut(&[first.node(), put.node(), get.node()], &[job.node()]);
    lab.wait(job)??;
    ensure(!put.is_done() && !get.is_done(), || "two servers of five have completed an operation".to_owned())?;

    lab.heal();
    let healed = lab.now();
    lab.until(3 * ELECTION, || put.is_done()).map_err(|error| format!("the put: {error}"))?;
    let put_took = (lab.now() - healed).as_millis();
    lab.until(3 * ELECTION, || get.is_done()).map_err(|error| format!("the get: {error}"))?;
    let get_took = (lab.now() - healed).as_millis();
    lab.wait(put)??;
    lab.wait(first)??;
    // Which of the two came first is not known.
    let seen = lab.wait(get)??;
    ensure(seen == "15" || seen == "16", || format!("the get has returned {seen:?}"))?;
    lab.run(async |handle| handle.expect("1", "15").await)?;
    Ok([put_took, get_took])
}

#[test]
fn a_minority_completes_nothing_until_the_heal() {
    let took = assert_holds(&servers(5), |lab| one_partition(lab, 500));
    println!("{took:?} ms after the heal");
    assert!(took.iter().flatten().all(|&took| took <= 3_000), "{took:?} ms after the heal");
    for bug in ["rsm.reply-before-commit", "rsm.any-replica-answers", "rsm.leader-answers-unasked"] {
        assert_detects(bug, &servers(5), |lab| one_partition(lab, 500));
    }
}

/// A client that does not go elsewhere hears from the deposed leader when another's entry has come to the place of its own.
#[test]
fn nor_for_a_client_that_waits_where_it_is() {
    let took = assert_holds(&servers(5), |lab| one_partition(lab, 60_000));
    println!("{took:?} ms after the heal");
    assert!(took.iter().flatten().all(|&took| took <= 3_000), "{took:?} ms after the heal");
}

/// The newer lab's Shutdown. How long those took who waited for a leader that is alone, when that is shut down.
fn shutdown(lab: &Lab) -> Result<Vec<u128>> {
    const MANY: u64 = 100;
    lab.run(async |handle| handle.put("k", "1").await)?;
    let leader = lab.leader()?;
    let address = lab.servers[leader].port(PORT);
    let (alone, others) = lab.servers.iter().partition::<Vec<_>, _>(|&&node| node == lab.servers[leader]);
    lab.partition(vec![alone, others]);
    let waits = |session| {
        let command = Command::Put("k".to_owned(), "2".to_owned());
        let request = service::Request::<Store>::Client(Request::Execute { session, number: 1, command });
        lab.client(async move |_| rpc::call::<Service<Store>>(address, &request, 20 * ELECTION).await)
    };
    let jobs: Vec<_> = (0..MANY).map(waits).collect();
    lab.sleep(ms(50))?;
    ensure(jobs.iter().all(|job| !job.is_done()), || "a leader that is alone has answered".to_owned())?;
    let replica = lab.replica(leader)?;
    lab.wait(lab.client(async move |_| replica.close()))?;
    let closed = lab.now();
    let mut took = Vec::new();
    for job in jobs {
        match lab.wait(job)? {
            Ok(Reply::Unknown) => took.push((lab.now() - closed).as_millis()),
            other => return Err(format!("one who waited was answered {other:?}")),
        }
    }
    lab.heal();
    lab.run(async |handle| handle.expect("k", "1").await)?;
    Ok(took)
}

#[test]
fn who_waits_for_a_server_that_shuts_down_hears_of_it() {
    let took: Vec<_> = assert_holds(&servers(3), shutdown).into_iter().flatten().collect();
    println!("the last of {} who waited did so for {:?} ms", took.len(), took.iter().max());
    assert!(took.len() == 300 && took.iter().all(|&took| took <= 3_000), "{took:?} ms");
}
