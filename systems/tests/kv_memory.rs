//! What many clients cost a server in memory. Alone in its process, whose memory is measured.

use std::cell::RefCell;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::Duration;

use sim::{simulate, task, time};
use systems::kv::store::{Command, Query, Store};
use systems::kv::{Params, server};
use systems::raft::Config;
use systems::rsm::{Outcome, Reads, Replica, Request};

const CLIENTS: u64 = 100_000;
const SESSIONS: usize = 10_000;
/// How many of them ask at the same time.
const AT_ONCE: u64 = 250;

/// The kernel's count of this process's pages. Opened before a run begins, which opens no file of the machine's.
#[allow(clippy::disallowed_methods, reason = "no node opens it")]
static PAGES: LazyLock<File> =
    LazyLock::new(|| File::open("/proc/self/statm").expect("Linux says how much memory a process has"));

fn resident() -> usize {
    let mut text = [0; 200];
    let length = PAGES.read_at(&mut text, 0).expect("it is readable");
    let pages = std::str::from_utf8(&text[..length]).expect("it is text");
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("the second number") * 4096
}

async fn leads(replica: &Replica<Store>) {
    while !replica.raft().status().1 {
        time::sleep(Duration::from_millis(10)).await;
    }
}

/// Has so many clients do the same, some of them at the same time.
async fn all(replica: &Replica<Store>, clients: u64, does: impl AsyncFn(&Replica<Store>) + Copy + 'static) {
    let some = (0..AT_ONCE).map(|_| {
        let replica = replica.clone();
        task::spawn(async move {
            for _ in 0..clients / AT_ONCE {
                does(&replica).await;
            }
        })
    });
    for task in some.collect::<Vec<_>>() {
        task.await.expect("clients do not panic");
    }
}

async fn puts(replica: &Replica<Store>) {
    let opened = replica.submit(Request::Open).await;
    let Ok(Outcome::Opened(session)) = opened else { panic!("{opened:?}") };
    let command = Command::Put("k".to_owned(), "v".to_owned());
    let done = replica.submit(Request::Execute { session, number: 1, command }).await;
    assert!(matches!(done, Ok(Outcome::Executed(_))), "{done:?}");
}

async fn gets(replica: &Replica<Store>) {
    let answer = replica.query(Query::Get("k".to_owned())).await;
    assert!(answer.is_ok(), "{answer:?}");
    // Time passes, so that what waits for it does not pile up.
    time::sleep(Duration::from_millis(10)).await;
}

/// What a client of a single server's comes to.
fn with_server<R: Send + 'static>(
    reads: Reads,
    script: impl AsyncFn(Replica<Store>) -> R + Copy + Send + 'static,
) -> R {
    let params = Params {
        servers: 1,
        reads,
        max_sessions: SESSIONS,
        snapshot_bytes: 64 << 10,
        raft: Config { segment: 64 << 10, ..Config::default() },
        ..Params::default()
    };
    let run = simulate(1, move |sim| {
        let result = Rc::new(RefCell::new(None));
        let (out, params) = (result.clone(), Rc::new(params));
        sim.node_in_role("server", "server-0", move || {
            let (out, params) = (out.clone(), params.clone());
            server::serve(params, move |replica| {
                let (out, replica) = (out.clone(), replica.clone());
                task::spawn(async move {
                    leads(&replica).await;
                    *out.borrow_mut() = Some(script(replica).await);
                });
            })
        });
        while result.borrow().is_none() && sim.now_ns() < 600_000_000_000 {
            sim.run_for(Duration::from_millis(100));
        }
        result.take()
    });
    let run = run.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(run.failures, []);
    run.value.expect("it ends")
}

/// One after the other: the memory of a process is that of all its tests.
#[test]
fn many_clients_cost_little_memory() {
    LazyLock::force(&PAGES);
    let (sessions, bytes, in_snapshot) = with_server(Reads::Index, async |replica| {
        all(&replica, CLIENTS, puts).await;
        let before = resident();
        // Many copies, beside which what was free before is little.
        let copies: Vec<_> = (0..20).map(|_| replica.peek(Clone::clone)).collect();
        let bytes = (resident() - before) / copies.len() / SESSIONS;
        let in_snapshot = replica.raft().size().1 / SESSIONS;
        (replica.peek(|sessions| sessions.len()), bytes, in_snapshot)
    });
    println!("{sessions} sessions of {bytes} bytes each in memory, {in_snapshot} in a snapshot");
    assert_eq!(sessions, SESSIONS);
    // The newer lab's limit is 200 bytes for a client that has written.
    assert!((40..=200).contains(&bytes), "{bytes} bytes for a session in memory");
    assert!(in_snapshot <= 32, "{in_snapshot} bytes for a session in a snapshot");

    for reads in [Reads::Log, Reads::Index, Reads::Lease] {
        let (sessions, grown) = with_server(reads, async |replica| {
            all(&replica, CLIENTS / 4, gets).await;
            let before = resident();
            all(&replica, CLIENTS, gets).await;
            (replica.peek(|sessions| sessions.len()), resident().saturating_sub(before))
        });
        println!("{reads:?}: {grown} bytes more after {CLIENTS} gets");
        assert_eq!(sessions, 0);
        // The newer lab's limit is 10 bytes for a client that has only read.
        assert!(grown <= 10 * CLIENTS as usize, "{reads:?}: {grown} bytes more");
    }
}
