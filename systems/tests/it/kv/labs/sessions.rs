//! Sessions end by the time of the log, and what comes too late does nothing.

use std::cell::Cell;

use sim::models::{StoreOp, StoreRet};
use sim::{Addr, OpError, rpc, time};
use systems::kv::server::PORT;
use systems::kv::store::{self, Answer, Command, Query, Store};
use systems::rsm::service::{self, Reply, Service};
use systems::rsm::{Outcome, Request, StateMachine};

use super::generic::agree;
use super::handle::ClientHandle;
use super::lab::{Lab, LabConfig, Result, assert_detects, assert_holds, ensure, ms, servers};

/// What a server answers whom no library helps.
async fn ask(server: Addr, request: Request<Store>) -> Result<Outcome<Store>> {
    let request = service::Request::Client(request);
    match rpc::call::<Service<Store>>(server, &request, ms(1_000)).await {
        Ok(Reply::Done(outcome)) => Ok(outcome),
        other => Err(format!("{request:?} is answered {other:?}")),
    }
}

fn append(session: u64, number: u64, value: &str) -> Request<Store> {
    Request::Execute { session, number, command: Command::Append("k".to_owned(), value.to_owned()) }
}

/// The value of the key that all servers have.
fn value(lab: &Lab) -> Result<Option<String>> {
    agree(lab)?;
    let answer = lab.replica(0)?.peek(|sessions| sessions.state().query(&Query::Get("k".to_owned())));
    match answer {
        Answer::Value(value) => Ok(value),
        other => Err(format!("a get is answered {other:?}")),
    }
}

fn idle(idle_ms: u64) -> LabConfig {
    let mut config = servers(3);
    config.params.session_idle_ms = idle_ms;
    config
}

/// What is sent again is answered as the first time, while the session lasts; later it does nothing, and neither does what
/// was never executed, and no new session takes its number.
fn a_late_duplicate(lab: &Lab) -> Result {
    let leader = lab.servers[lab.leader()?].port(PORT);
    let seen = lab.run(async move |_| {
        let Outcome::Opened(first) = ask(leader, Request::Open).await? else { return Err("no session".to_owned()) };
        let mut seen = vec![ask(leader, append(first, 1, "a")).await?, ask(leader, append(first, 1, "a")).await?];
        seen.push(ask(leader, append(first, 2, "b")).await?);
        // Late, and another command came between.
        seen.push(ask(leader, append(first, 1, "a")).await?);
        time::sleep(ms(1_000)).await;
        let Outcome::Opened(second) = ask(leader, Request::Open).await? else { return Err("no session".to_owned()) };
        for (session, number, value) in [(first, 2, "b"), (first, 3, "c"), (second, 1, "d"), (first, 1, "a")] {
            seen.push(ask(leader, append(session, number, value)).await?);
        }
        Ok(seen)
    })?;
    let done = || Outcome::Executed(store::Reply::Done);
    let expected =
        [done(), done(), done(), Outcome::Superseded, Outcome::Expired, Outcome::Expired, done(), Outcome::Expired];
    ensure(seen == expected, || format!("{seen:?}"))?;
    // The judge wants to see something.
    lab.run(async |handle| handle.put("other", "").await)?;
    let value = value(lab)?;
    ensure(value.as_deref() == Some("abd"), || format!("the value is {value:?}"))
}

#[test]
fn a_duplicate_that_comes_too_late_does_nothing() {
    assert_holds(&idle(500), a_late_duplicate);
    let bugs =
        ["rsm.ended-session-comes-back", "rsm.session-ids-reused", "rsm.executes-again", "rsm.late-command-executed"];
    for bug in bugs {
        assert_detects(bug, &idle(500), a_late_duplicate);
    }
}

/// How a client's append ends. It is given up after a while.
async fn try_append(handle: &mut ClientHandle, value: &str) -> Result<StoreRet, OpError> {
    handle.attempt(StoreOp::Append { key: "k".to_owned(), value: value.to_owned() }, ms(10_000)).await
}

/// A client that goes on uses one session for longer than sessions may idle, whoever leads; when it then does nothing while
/// others go on, the session ends, whoever leads. Whoever starts anew agrees about that.
fn leaders_come_and_go(lab: &Lab, idle: u64) -> Result<u64> {
    let busy = lab.client(async move |handle| {
        let until = time::now() + ms(3 * idle);
        while time::now() < until {
            handle.append("k", "a").await?;
            time::sleep(ms(idle / 4)).await;
        }
        time::sleep(ms(2 * idle)).await;
        Ok::<_, String>(try_append(handle, "b").await)
    });
    let others = lab.client(async move |handle| {
        let until = time::now() + ms(5 * idle);
        while time::now() < until {
            handle.put("other", "").await?;
            time::sleep(ms(100)).await;
        }
        Ok::<_, String>(())
    });
    let mut terms = 0;
    while !busy.is_done() {
        lab.sleep(ms(idle / 2))?;
        let leader = lab.leader()?;
        lab.crash(leader);
        lab.sleep(ms(100))?;
        lab.boot(leader);
        terms += 1;
    }
    let ended = lab.wait(busy)??;
    ensure(ended == Err(OpError::Unknown), || {
        format!("an append of a session that was idle for too long ended {ended:?}")
    })?;
    lab.wait(others)??;
    lab.crash_all();
    lab.boot_all();
    lab.run(async |handle| {
        let value = handle.get("k").await?;
        ensure(!value.contains('b'), || "a session that was idle for too long has not ended".to_owned())
    })?;
    agree(lab)?;
    Ok(terms)
}

#[test]
fn sessions_end_by_the_time_of_the_log_whoever_leads() {
    let crashed = assert_holds(&idle(2_000), |lab| leaders_come_and_go(lab, 2_000));
    println!("{crashed:?} leaders crashed");
    assert!(crashed.iter().all(|&crashed| crashed >= 5), "{crashed:?} leaders crashed");
    assert_detects("rsm.sessions-end-by-local-clock", &idle(2_000), |lab| leaders_come_and_go(lab, 2_000));
}

/// More clients than there may be sessions. How many appends succeeded, and how many ended unknown.
fn too_many_clients(lab: &Lab) -> Result<(u64, u64)> {
    let most = lab.params.max_sessions;
    let begin = |me: u64| {
        lab.client(async move |handle| {
            let (mut done, mut unknown) = (Vec::new(), 0);
            for nth in 0..10 {
                let value = format!("x {me} {nth} y");
                match try_append(handle, &value).await {
                    Ok(_) => done.push(value),
                    Err(OpError::Unknown) => unknown += 1,
                    Err(OpError::Failed) => return Err(format!("{value:?} was refused")),
                }
            }
            Ok((done, unknown))
        })
    };
    let clients: Vec<_> = (0..10).map(begin).collect();
    let too_many = Cell::new(0);
    lab.until(ms(60_000), || {
        let largest = lab.up().iter().map(|(_, replica)| replica.peek(|sessions| sessions.len())).max();
        too_many.set(too_many.get().max(largest.unwrap_or(0)));
        clients.iter().all(|client| client.is_done())
    })?;
    ensure(too_many.get() == most, || format!("there were {} sessions, and {most} may be", too_many.get()))?;
    let value = lab.run(async |handle| handle.get("k").await)?;
    let (mut succeeded, mut unknown) = (0, 0);
    for client in clients {
        let (done, of_unknown) = lab.wait(client)??;
        for done in &done {
            let times = value.matches(done.as_str()).count();
            ensure(times == 1, || format!("{done:?} is there {times} times"))?;
        }
        (succeeded, unknown) = (succeeded + done.len() as u64, unknown + of_unknown);
    }
    let there = value.matches('y').count() as u64;
    ensure((succeeded..=succeeded + unknown).contains(&there), || format!("{there} of {succeeded} and {unknown}"))?;
    Ok((succeeded, unknown))
}

#[test]
fn of_too_many_sessions_some_end_and_nothing_is_executed_twice() {
    let mut config = servers(3).unreliable();
    config.params.max_sessions = 4;
    for (succeeded, unknown) in assert_holds(&config, too_many_clients) {
        println!("{succeeded} appends succeeded, {unknown} ended unknown");
        assert!(succeeded >= 10 && unknown >= 10, "{succeeded} succeeded, {unknown} ended unknown");
    }
    assert_detects("kv.unknown-reported-as-failed", &config, too_many_clients);
}
