//! What a watch on leadership promises: no loss is missed, terms are told apart, and a leader that was paused acts no more.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sim::fault::Fault;
use sim::{NodeId, Sim, group, rpc, simulate, task, time};
use systems::raft::membership::Membership;
use systems::raft::{Config, Id, Term, driver};
use systems::rsm::{Limits, Options, Reads, Replica, Stopped, service};

use crate::counter::Counter;

const SERVERS: u64 = 3;
const LONG: Duration = Duration::from_secs(20);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Something that a coordinator did or saw: server, term, what.
type Log = Rc<RefCell<Vec<(u64, Term, &'static str)>>>;
type Replicas = Rc<RefCell<Vec<Option<Replica<Counter>>>>>;

fn options(id: u64) -> Options {
    let raft = driver::Options {
        id: Id(id),
        config: Config { segment: 64 << 10, ..Config::default() },
        dir: "raft".to_owned(),
        port: 1,
        empty_disk: driver::EmptyDisk::New,
        members: Membership::of((0..SERVERS).map(Id)),
        group: group::home(),
    };
    Options { raft, reads: Reads::Index, snapshot_bytes: 1_000, expansion_percent: 100, limits: Limits::default() }
}

struct Lab<'a> {
    sim: &'a Sim,
    servers: Vec<NodeId>,
    replicas: Replicas,
    log: Log,
}

impl<'a> Lab<'a> {
    /// Servers, each of which runs `coordinator` beside each of its replicas.
    fn new(sim: &'a Sim, coordinator: impl AsyncFn(u64, Replica<Counter>, Log) + Copy + 'static) -> Lab<'a> {
        let replicas: Replicas = Rc::new(RefCell::new(vec![None; SERVERS as usize]));
        let log = Log::default();
        let servers = (0..SERVERS).map(|id| {
            let (replicas, log) = (replicas.clone(), log.clone());
            sim.node_in_role("server", &format!("server-{id}"), move || {
                let (replicas, log) = (replicas.clone(), log.clone());
                async move {
                    let started = |replica: &Replica<Counter>| {
                        replicas.borrow_mut()[id as usize] = Some(replica.clone());
                        let (replica, log) = (replica.clone(), log.clone());
                        task::spawn(async move { coordinator(id, replica, log).await });
                    };
                    service::run(options(id), Counter::default(), 2, started).await;
                }
            })
        });
        let servers = servers.collect();
        Lab { sim, servers, replicas, log }
    }

    /// Waits until a server leads with a term above `term`.
    fn leader(&self, above: Term) -> (usize, Term) {
        let status = |at: usize| self.replicas.borrow()[at].as_ref().map(|replica| replica.raft().status());
        let find =
            || (0..SERVERS as usize).find_map(|at| status(at).filter(|of| of.1 && of.0 > above).map(|of| (at, of.0)));
        self.sim.until(LONG, || find().is_some()).expect("a leader is elected");
        find().expect("there is one")
    }
}

/// Acts every few milliseconds as long as the replica leads.
async fn acts(id: u64, replica: Replica<Counter>, log: Log) {
    let mut leadership = replica.leadership();
    while let Ok(term) = leadership.gained().await {
        log.borrow_mut().push((id, term, "gained"));
        let act = async {
            loop {
                log.borrow_mut().push((id, term, "acts"));
                time::sleep(ms(5)).await;
            }
        };
        let held: Option<()> = leadership.hold(term, act).await;
        assert_eq!(held, None);
        log.borrow_mut().push((id, term, "lost"));
    }
}

fn run<R: Send>(seed: u64, experiment: impl FnOnce(&Sim) -> R + Send) -> R {
    let run = simulate(seed, experiment).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(run.failures, [], "seed {seed}");
    run.value
}

/// While a leader is paused the others elect another. When the pause is over, the first thing that it does is to look at its clock.
#[test]
fn a_paused_leader_learns_of_the_loss_before_it_acts() {
    for seed in 0..20 {
        let log = run(seed, |sim| {
            let lab = Lab::new(sim, acts);
            let mut term = 0;
            for round in 0..4 {
                let (leader, of) = lab.leader(term);
                term = of;
                sim.run_for(ms(200 + 3 * seed));
                let paused = sim.inject(Fault::Pause(vec![lab.servers[leader]]));
                sim.run_for(ms(1_000 + 100 * round));
                drop(paused);
                sim.run_for(ms(500));
            }
            lab.log.take()
        });
        let acts: Vec<_> = log.iter().filter(|of| of.2 == "acts").map(|of| of.1).collect();
        assert!(acts.is_sorted(), "seed {seed}: a leader acted after the next one: {acts:?}");
        assert!(acts.first() < acts.last(), "seed {seed}: there was one leader only");
        for server in 0..SERVERS {
            let of = log.iter().filter(|of| of.0 == server && of.2 != "acts").collect::<Vec<_>>();
            // Each gain is followed by the loss of the same term, and terms ascend.
            for pair in of.chunks(2) {
                assert_eq!(pair[0].2, "gained", "seed {seed}");
                assert!(pair.len() == 1 || (pair[0].1, "lost") == (pair[1].1, pair[1].2), "seed {seed}: {of:?}");
            }
            assert!(of.windows(2).all(|pair| pair[0].1 <= pair[1].1), "seed {seed}: {of:?}");
        }
    }
}

/// A watcher that does not look while leadership goes away and comes back finds both.
#[test]
fn two_leaderships_in_a_row_are_told_apart() {
    /// Looks every few seconds only.
    async fn looks_late(id: u64, replica: Replica<Counter>, log: Log) {
        let mut leadership = replica.leadership();
        while let Ok(term) = leadership.gained().await {
            log.borrow_mut().push((id, term, "gained"));
            time::sleep(Duration::from_secs(5)).await;
            let leads = replica.raft().leads();
            if time::timeout(ms(1), leadership.lost(term)).await.is_ok() {
                log.borrow_mut().push((id, term, if leads.is_some() { "lost, and leads again" } else { "lost" }));
            } else {
                leadership.lost(term).await;
            }
        }
    }

    for seed in 0..6 {
        let (server, first, log) = run(seed, |sim| {
            let lab = Lab::new(sim, looks_late);
            let (server, first) = lab.leader(0);
            sim.run_for(ms(500));
            let transfer = |from: usize, to: usize| {
                let (at, request) = (lab.servers[from].port(2), service::Admin::Transfer(to as u64));
                let job = sim.client(&format!("operator-{from}"), async move {
                    rpc::call::<service::Service<Counter>>(at, &service::Request::Admin(request), LONG).await
                });
                let reply = sim.wait(job, LONG).expect("the operator comes to its end");
                assert!(matches!(reply, Ok(service::Reply::Begun)), "{reply:?}");
            };
            let other = (server + 1) % SERVERS as usize;
            transfer(server, other);
            let (at, second) = lab.leader(first);
            assert_eq!(at, other);
            sim.run_for(ms(500));
            transfer(other, server);
            lab.leader(second);
            sim.run_for(Duration::from_secs(10));
            (server as u64, first, lab.log.take())
        });
        let of: Vec<_> = log.iter().filter(|of| of.0 == server).map(|of| (of.1, of.2)).collect();
        assert_eq!(of[0], (first, "gained"), "seed {seed}");
        assert_eq!(of[1], (first, "lost, and leads again"), "seed {seed}");
        assert!(of[2].0 > first && of[2].1 == "gained", "seed {seed}: {of:?}");
    }
}

#[test]
fn a_watch_ends_with_its_replica() {
    async fn closes(_: u64, replica: Replica<Counter>, log: Log) {
        let mut leadership = replica.leadership();
        let Ok(term) = leadership.gained().await else { return };
        let closer = replica.clone();
        task::spawn(async move {
            time::sleep(ms(50)).await;
            closer.close();
        });
        leadership.lost(term).await;
        let none_any_more = leadership.gained().await == Err(Stopped);
        let nor_a_new_one = replica.leadership().gained().await == Err(Stopped);
        log.borrow_mut().push((0, term, if none_any_more && nor_a_new_one { "ended" } else { "goes on" }));
    }

    let log = run(1, |sim| {
        let lab = Lab::new(sim, closes);
        sim.until(LONG, || !lab.log.borrow().is_empty()).expect("the watch ends");
        lab.log.take()
    });
    assert_eq!(log[0].2, "ended");
}
