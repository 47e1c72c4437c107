//! What replicated state machines promise, from outside: a counter on three servers that crash, are cut off, and start anew.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use crate::counter::Counter;
use sim::net::LinkConfig;
use sim::{Job, NodeId, OpError, Sim, Simulated, group, simulate, time};
use systems::raft::membership::Membership;
use systems::raft::{Config, Id, driver};
use systems::rsm::{Client, Limits, Options, Patience, Reads, Replica, Request, SubmitError, service};

/// How many seeds each behaviour is shown with.
const SEEDS: std::ops::Range<u64> = 0..6;
const SERVERS: u64 = 3;
/// How long a client tries.
const PATIENCE: Duration = Duration::from_secs(8);
/// Above this many bytes of log a snapshot is made.
const SNAPSHOT_BYTES: usize = 1_000;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

type Replicas = Rc<RefCell<Vec<Option<Replica<Counter>>>>>;

struct Lab<'a> {
    sim: &'a Sim,
    servers: Vec<NodeId>,
    /// The replicas as of their last start.
    replicas: Replicas,
    clients: Cell<u32>,
}

impl<'a> Lab<'a> {
    fn new(sim: &'a Sim, reads: Reads) -> Lab<'a> {
        let replicas: Replicas = Rc::new(RefCell::new(vec![None; SERVERS as usize]));
        let servers = (0..SERVERS).map(|id| {
            let replicas = replicas.clone();
            sim.node_in_role("server", &format!("server-{id}"), move || {
                let replicas = replicas.clone();
                async move {
                    let publish = |replica: &Replica<Counter>| {
                        replicas.borrow_mut()[id as usize] = Some(replica.clone());
                    };
                    service::run(options(id, reads), Counter::default(), 2, publish).await;
                }
            })
        });
        let servers = servers.collect();
        Lab { sim, servers, replicas, clients: Cell::new(0) }
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(self.sim.now_ns())
    }

    /// Starts a client on a node of its own.
    fn client<T: 'static>(&self, script: impl AsyncFnOnce(&mut Client<Counter>) -> T + 'static) -> Job<T> {
        let number = self.clients.replace(self.clients.get() + 1);
        let servers: Vec<_> = self.servers.iter().map(|server| server.port(2)).collect();
        self.sim.client(&format!("client-{number}"), async move {
            let group = group::lookup("server").expect("the lab has servers");
            script(&mut Client::new(group, servers, Patience::default())).await
        })
    }

    /// The value of a client's script. `None` if it takes too long or the run has failed.
    fn wait<T>(&self, job: Job<T>, most: Duration) -> Option<T> {
        self.sim.wait(job, most).ok()
    }

    fn add(&self, times: u64) -> Option<u64> {
        self.wait(self.client(async move |client| add(client, times).await), PATIENCE)?
    }

    /// Waits until a server leads.
    fn leader(&self) -> Option<usize> {
        self.sim.until(PATIENCE, || self.latest_leader().is_some()).ok()?;
        self.latest_leader()
    }

    /// The leader; of several, the one of the latest term.
    fn latest_leader(&self) -> Option<usize> {
        let replicas = self.replicas.borrow();
        let leads = |at: &usize| replicas[*at].as_ref().is_some_and(|replica| replica.raft().status().1);
        let term = |at: &usize| replicas[*at].as_ref().map(|replica| replica.raft().status().0);
        let up = (0..replicas.len()).filter(|at| self.sim.is_up(self.servers[*at]));
        up.filter(leads).max_by_key(term)
    }

    /// Waits until all servers that are up have the same state, and returns it.
    fn agree(&self) -> Option<Counter> {
        // Servers that restarted execute the log again, up to where they know that it is committed.
        self.sim.run_for(Duration::from_secs(1));
        self.sim.until(PATIENCE, || self.common_state().is_some()).ok()?;
        self.common_state()
    }

    /// The state that all servers have that are up.
    fn common_state(&self) -> Option<Counter> {
        let replicas = self.replicas.borrow();
        let up = (0..replicas.len()).filter(|at| self.sim.is_up(self.servers[*at]));
        let state_of = |at: usize| {
            let replica = replicas[at].as_ref()?;
            Some((replica.applied(), replica.peek(|sessions| sessions.state().clone())))
        };
        let mut states = up.map(state_of);
        let first = states.next()??;
        states.all(|other| other.as_ref() == Some(&first)).then_some(first.1)
    }

    fn crash_all(&self) {
        self.servers.iter().for_each(|server| self.sim.crash(*server));
        self.replicas.borrow_mut().fill(None);
    }

    fn boot_all(&self) {
        self.servers.iter().for_each(|server| self.sim.boot(*server));
    }

    /// Cuts a server off from the others, and not from clients.
    fn cut(&self, server: usize) -> sim::Injected {
        let (alone, rest) = self.servers.iter().partition::<Vec<NodeId>, _>(|node| **node == self.servers[server]);
        self.sim.partition([alone, rest])
    }
}

fn options(id: u64, reads: Reads) -> Options {
    let raft = driver::Options {
        id: Id(id),
        config: Config { segment: 64 << 10, ..Config::default() },
        dir: "raft".to_owned(),
        port: 1,
        empty_disk: driver::EmptyDisk::New,
        members: Membership::of((0..SERVERS).map(Id)),
        group: group::home(),
    };
    Options { raft, reads, snapshot_bytes: SNAPSHOT_BYTES, expansion_percent: 100, limits: Limits::default() }
}

async fn add(client: &mut Client<Counter>, times: u64) -> Option<u64> {
    let mut sum = 0;
    for _ in 0..times {
        sum = client.execute(1, time::now() + PATIENCE).await.ok()?;
    }
    Some(sum)
}

fn run<R: Send>(
    seed: u64,
    network: LinkConfig,
    reads: Reads,
    experiment: impl FnOnce(&Lab) -> R + Send,
) -> Simulated<R> {
    simulate(seed, |sim| {
        sim.network(network);
        experiment(&Lab::new(sim, reads))
    })
    .unwrap_or_else(|error| panic!("{error}"))
}

/// Asserts that an experiment ends as it should, with every seed and every way to read.
fn assert_holds<R: Send + PartialEq + std::fmt::Debug>(
    network: LinkConfig,
    expected: &R,
    experiment: impl Fn(&Lab) -> R + Sync,
) {
    for seed in SEEDS {
        let reads = [Reads::Log, Reads::Index, Reads::Lease][seed as usize % 3];
        let run = run(seed, network, reads, &experiment);
        assert_eq!(run.failures, [], "seed {seed}");
        assert_eq!(run.value, *expected, "seed {seed}");
    }
}

#[test]
fn commands_are_executed_one_after_another() {
    assert_holds(LinkConfig::default(), &Some((10, Counter { sum: 10, commands: 10 })), |lab| {
        Some((lab.add(10)?, lab.agree()?))
    });
}

#[test]
fn clients_side_by_side_get_different_replies() {
    assert_holds(LinkConfig::default(), &Some((1..=50).collect::<Vec<u64>>()), |lab| {
        let jobs: Vec<_> = (0..50).map(|_| lab.client(async |client| add(client, 1).await)).collect();
        let mut replies = jobs.into_iter().map(|job| lab.wait(job, PATIENCE)?).collect::<Option<Vec<_>>>()?;
        replies.sort_unstable();
        Some(replies)
    });
}

#[test]
fn another_leader_goes_on_when_the_leader_crashes() {
    assert_holds(LinkConfig::default(), &Some((11, 12)), |lab| {
        lab.add(10)?;
        lab.sim.crash(lab.servers[lab.leader()?]);
        let after = lab.add(1)?;
        lab.boot_all();
        Some((after, lab.add(1)?))
    });
}

/// Clients of a leader that is cut off get no replies from it, and hear that soon after it is back.
#[test]
fn a_leader_that_is_cut_off_executes_nothing() {
    for seed in SEEDS {
        let run = run(seed, LinkConfig::default(), Reads::Index, |lab| {
            lab.add(1)?;
            let deposed = lab.leader()?;
            let cut = lab.cut(deposed);
            // Straight to the replica: no client library that would go elsewhere.
            let server = lab.servers[deposed].port(2);
            let stuck: Vec<_> = (0..100)
                .map(|_| {
                    lab.client(async move |_| {
                        let request = Request::<Counter>::Execute { session: 1, number: 1, command: 1 };
                        let request = service::Request::Client(request);
                        sim::rpc::call::<service::Service<Counter>>(server, &request, Duration::from_secs(60)).await
                    })
                })
                .collect();
            lab.sim.run_for(ms(50));
            let elsewhere = lab.client(async |client| add(client, 10).await);
            let sum = lab.wait(elsewhere, PATIENCE)??;
            // Those that came after it had stepped down were sent elsewhere.
            let answered = |reply: &Result<service::Reply<Counter>, _>| matches!(reply, Ok(service::Reply::Done(_)));
            assert!(!stuck.iter().any(|job| job.peek(answered) == Some(true)));
            drop(cut);
            let healed = lab.now();
            for job in stuck {
                lab.wait(job, Duration::from_secs(1))?.ok()?;
            }
            Some((sum, lab.now() - healed < Duration::from_secs(1), lab.agree()?.sum))
        });
        assert_eq!(run.failures, [], "seed {seed}");
        assert_eq!(run.value, Some((11, true, 11)), "seed {seed}");
    }
}

#[test]
fn everything_is_there_after_a_restart_of_all() {
    assert_holds(LinkConfig::default(), &Some((100, 101, Counter { sum: 101, commands: 101 })), |lab| {
        let before = lab.add(100)?;
        lab.crash_all();
        lab.sim.run_for(ms(100));
        lab.boot_all();
        Some((before, lab.add(1)?, lab.agree()?))
    });
}

/// A client whose command was under way gets its reply from those who restarted, and it was executed once.
#[test]
fn what_was_under_way_when_all_crashed_is_executed_once() {
    assert_holds(LinkConfig::default(), &Some(Counter { sum: 200, commands: 200 }), |lab| {
        let jobs: Vec<_> = (0..20).map(|_| lab.client(async |client| add(client, 10).await)).collect();
        lab.sim.run_for(ms(320));
        lab.crash_all();
        lab.sim.run_for(ms(500));
        lab.boot_all();
        for job in jobs {
            lab.wait(job, Duration::from_secs(20))??;
        }
        lab.agree()
    });
}

/// Whoever asks a replica that has stopped hears so, and does not wait for what will never come.
#[test]
fn a_replica_that_is_closed_sends_everybody_elsewhere() {
    assert_holds(LinkConfig::default(), &Some((true, true)), |lab| {
        lab.add(1)?;
        let replicas = lab.replicas.clone();
        let asked = lab.client(async move |_| {
            let replica = replicas.borrow()[0].clone()?;
            replica.close();
            let submitted = replica.submit(Request::Open).await;
            let queried = replica.query(()).await;
            let elsewhere = Err(SubmitError::NotLeader { leader: None });
            Some((submitted == elsewhere, matches!(queried, Err(SubmitError::NotLeader { .. }))))
        });
        lab.wait(asked, PATIENCE)?
    });
}

#[test]
fn the_log_stays_short() {
    assert_holds(LinkConfig::default(), &Some(true), |lab| {
        lab.add(200)?;
        lab.agree()?;
        lab.sim.run_for(ms(500));
        let replicas = lab.replicas.borrow();
        let small = replicas.iter().flatten().all(|replica| {
            let (log, snapshot) = replica.raft().size();
            log <= 2 * SNAPSHOT_BYTES && snapshot > 0
        });
        Some(small)
    });
}

/// Loss and duplicates on the way, and leaders that come and go.
#[test]
fn a_command_that_is_sent_many_times_is_executed_once() {
    let network = LinkConfig { loss: 0.1, duplicate: 0.2, reorder: 0.2, ..LinkConfig::default() };
    assert_holds(network, &Some(true), |lab| {
        let jobs: Vec<_> = (0..5).map(|_| lab.client(async |client| add(client, 20).await)).collect();
        for server in 0..3 {
            lab.sim.run_for(ms(700));
            lab.sim.crash(lab.servers[server]);
            lab.sim.run_for(ms(300));
            lab.sim.boot(lab.servers[server]);
        }
        for job in jobs {
            lab.wait(job, Duration::from_secs(30))??;
        }
        Some(lab.agree()? == Counter { sum: 100, commands: 100 })
    });
}

/// A query after a command sees it, whoever answers.
#[test]
fn queries_are_not_stale() {
    assert_holds(LinkConfig { loss: 0.02, ..LinkConfig::default() }, &Some(Ok(true)), |lab| {
        let job = lab.client(async |client| {
            for _ in 0..50 {
                let sum = client.execute(1, time::now() + PATIENCE).await?;
                let by_leader = client.query((), time::now() + PATIENCE).await?;
                let by_any = client.query_anywhere((), time::now() + PATIENCE).await?;
                if by_leader < sum || by_any < by_leader {
                    return Ok(false);
                }
            }
            Ok::<_, OpError>(true)
        });
        lab.wait(job, Duration::from_secs(60))
    });
}

/// The log's time goes on with entries: by what has passed since the last one, if the same leader took both, and not at all from
/// one leader to the next.
#[test]
fn the_logs_time_never_goes_faster_than_clocks() {
    const PAUSE: Duration = Duration::from_secs(5);
    assert_holds(LinkConfig::default(), &Some((true, true, true)), |lab| {
        let time = || lab.replicas.borrow().iter().flatten().map(|replica| replica.peek(|state| state.now())).max();
        lab.add(1)?;
        let start = time()?;
        lab.sim.run_for(PAUSE);
        let stood_still = time()? == start;
        lab.add(1)?;
        let caught_up = (PAUSE..PAUSE + ms(100)).contains(&(time()? - start));
        let before = time()?;
        lab.sim.crash(lab.servers[lab.leader()?]);
        lab.sim.run_for(PAUSE);
        lab.add(1)?;
        let left_out = (before..before + ms(500)).contains(&time()?);
        lab.boot_all();
        Some((stood_still, caught_up, left_out))
    });
}
