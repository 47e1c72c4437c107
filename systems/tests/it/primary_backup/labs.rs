//! The behaviours of the classic primary/backup lab, by their names there, each with the known bugs that it notices.
//!
//! The programs here act from outside: they add servers and clients one by one, crash and cut where they please, and
//! judge by nothing but what clients were answered. An experiment returns `None` where a step did not come to its end.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use sim::fault::{Fault, InFlight};
use sim::models::{KvOp, KvRet};
use sim::net::LinkConfig;
use sim::{Job, NodeId, Sim, Simulated, node, rand, rpc, simulate, time};
use systems::kit::session::{RequestId, Session};
use systems::primary_backup::client::Clerk;
use systems::primary_backup::server::{self, Answer, Call};
use systems::primary_backup::store::Request;
use systems::primary_backup::view::{FAILURE_TIMEOUT, PING};
use systems::primary_backup::view_service::{self, Reply, ViewService};

/// How long a client tries before it gives up: longer than any single fault here takes to be repaired.
const PATIENCE: Duration = Duration::from_secs(8);
/// How many seeds each behaviour is shown with.
const SEEDS: std::ops::Range<u64> = 0..8;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A network that loses and duplicates.
fn unreliable() -> LinkConfig {
    LinkConfig { loss: 0.1, duplicate: 0.1, reorder: 0.1, ..LinkConfig::default() }
}

/// A view service and servers.
struct Lab<'a> {
    sim: &'a Sim,
    view: NodeId,
    servers: Vec<NodeId>,
    clients: Cell<u32>,
}

impl<'a> Lab<'a> {
    fn new(sim: &'a Sim, servers: usize) -> Lab<'a> {
        let view = sim.node("view-0", || view_service::boot(Rc::default()));
        let mut lab = Lab { sim, view, servers: Vec::new(), clients: Cell::new(0) };
        (0..servers).for_each(|_| {
            lab.add_server();
        });
        lab
    }

    fn add_server(&mut self) -> NodeId {
        let name = format!("server-{}", self.servers.len());
        self.servers.push(self.sim.node(&name, || server::boot(Rc::default())));
        *self.servers.last().expect("one was added")
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(self.sim.now_ns())
    }

    /// Starts a client on a node of its own.
    fn client<T: 'static>(&self, script: impl AsyncFnOnce(&mut Clerk) -> T + 'static) -> Job<T> {
        let number = self.clients.replace(self.clients.get() + 1);
        self.sim.client(&format!("client-{number}"), async move { script(&mut Clerk::default()).await })
    }

    /// The value of a client's script. `None` if it takes too long or the run has failed.
    fn wait<T>(&self, job: Job<T>, most: Duration) -> Option<T> {
        self.sim.until(most, || job.is_done()).ok()?;
        self.sim.wait(job, Duration::ZERO).ok()
    }

    fn get(&self, key: &str) -> Option<String> {
        let key = key.to_owned();
        self.wait(self.client(async move |clerk| get(clerk, &key).await), PATIENCE)?
    }

    fn put(&self, key: &str, value: &str) -> Option<()> {
        let (key, value) = (key.to_owned(), value.to_owned());
        self.wait(self.client(async move |clerk| put(clerk, &key, &value).await), PATIENCE)?
    }

    /// Waits until the view is as wanted.
    fn until(&self, wanted: impl Fn(&Reply) -> bool + 'static) -> Option<Reply> {
        let service = self.view.port(view_service::PORT);
        let script = async move |_: &mut Clerk| loop {
            match rpc::call::<ViewService>(service, &view_service::Request::Get, ms(20)).await {
                Ok(reply) if wanted(&reply) => return reply,
                _ => time::sleep(ms(2)).await,
            }
        };
        self.wait(self.client(script), PATIENCE)
    }

    /// Waits until there is a backup that could take over. Primary and backup.
    fn settle(&self) -> Option<(NodeId, NodeId)> {
        let view = self.until(|reply| reply.ready)?.view;
        Some((view.primary?.node, view.backup?.node))
    }
}

async fn get(clerk: &mut Clerk, key: &str) -> Option<String> {
    match clerk.execute(KvOp::Get { key: key.to_owned() }, PATIENCE).await {
        Ok(KvRet::Value(value)) => Some(value),
        _ => None,
    }
}

async fn put(clerk: &mut Clerk, key: &str, value: &str) -> Option<()> {
    let op = KvOp::Put { key: key.to_owned(), value: value.to_owned() };
    clerk.execute(op, PATIENCE).await.ok().map(drop)
}

async fn append(clerk: &mut Clerk, key: &str, value: &str) -> Option<()> {
    let op = KvOp::Append { key: key.to_owned(), value: value.to_owned() };
    clerk.execute(op, PATIENCE).await.ok().map(drop)
}

/// Runs an experiment, with a known bug or without.
fn run<R: Send>(
    seed: u64,
    bug: Option<&str>,
    network: LinkConfig,
    servers: usize,
    experiment: impl FnOnce(&mut Lab) -> R + Send,
) -> Simulated<R> {
    simulate(seed, |sim| {
        sim.plant(&bug.map(str::to_owned).into_iter().collect::<Vec<_>>());
        sim.network(network);
        experiment(&mut Lab::new(sim, servers))
    })
    .unwrap_or_else(|error| panic!("{error}"))
}

/// Asserts that an experiment ends as it should, with every seed.
fn assert_holds<R: Send + PartialEq + std::fmt::Debug>(
    network: LinkConfig,
    servers: usize,
    expected: &R,
    experiment: impl Fn(&mut Lab) -> R + Sync,
) {
    for seed in SEEDS {
        let run = run(seed, None, network, servers, &experiment);
        assert_eq!(run.failures, [], "seed {seed}");
        assert_eq!(run.value, *expected, "seed {seed}");
    }
}

/// Asserts that an experiment detects a planted bug: with some seed it does not end as it should.
fn assert_detects<R: Send + PartialEq + std::fmt::Debug>(
    bug: &str,
    network: LinkConfig,
    servers: usize,
    expected: &R,
    experiment: impl Fn(&mut Lab) -> R + Sync,
) {
    let noticed = SEEDS.filter(|&seed| {
        let run = run(seed, Some(bug), network, servers, &experiment);
        let wrong = run.value != *expected || !run.failures.is_empty();
        if wrong {
            println!("{bug}, seed {seed}: {:?} {:?}", run.value, run.failures);
        }
        wrong
    });
    assert!(noticed.count() > 0, "{bug} went unnoticed");
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

mod basic_fail {
    use super::*;

    #[test]
    fn a_single_primary_serves() {
        assert_holds(LinkConfig::default(), 1, &Some(("1".to_owned(), String::new())), |lab| {
            lab.put("a", "1")?;
            Some((lab.get("a")?, lab.get("nothing")?))
        });
    }

    /// What was written before there was a backup is there after the takeover.
    fn add_a_backup(lab: &mut Lab) -> Option<String> {
        lab.put("a", "1")?;
        let added = lab.add_server();
        let (primary, backup) = lab.settle()?;
        assert_eq!(backup, added);
        lab.sim.crash(primary);
        lab.get("a")
    }

    #[test]
    fn an_added_backup_gets_everything() {
        assert_holds(LinkConfig::default(), 1, &some("1"), add_a_backup);
    }

    #[test]
    fn the_view_service_is_not_asked_for_every_operation() {
        const PUTS: u64 = 100;
        for seed in SEEDS {
            let run = run(seed, None, LinkConfig::default(), 2, |lab| {
                lab.settle()?;
                let (before, began) = (lab.sim.received(lab.view), lab.now());
                let job = lab.client(async |clerk| {
                    for i in 0..PUTS {
                        put(clerk, "a", &i.to_string()).await?;
                        time::sleep(ms(20)).await;
                    }
                    Some(())
                });
                let client = job.node();
                lab.wait(job, PATIENCE)??;
                // Nothing is lost, so each request has one answer: the client's are those of the puts, or of the view
                // service; and what is not a client's request to the view service is a ping.
                let asked = lab.sim.received(client) - PUTS;
                let pings = lab.sim.received(lab.view) - before - asked;
                Some((asked, pings, lab.now() - began))
            });
            assert_eq!(run.failures, []);
            let (asked, pings, took) = run.value.expect("all puts are answered");
            assert!((1..=20).contains(&asked), "asked for the view {asked} times");
            let due = 2 * took.as_millis() as u64 / PING.as_millis() as u64;
            assert!(pings.abs_diff(due) <= 4, "{pings} pings of two servers in {took:?}");
        }
    }

    #[test]
    fn the_backup_takes_over_within_ten_pings() {
        for seed in SEEDS {
            let run = run(seed, None, LinkConfig::default(), 2, |lab| {
                lab.put("a", "1")?;
                let (primary, backup) = lab.settle()?;
                let crashed = lab.now();
                lab.sim.crash(primary);
                let reader = lab.client(async |clerk| get(clerk, "a").await);
                lab.until(move |reply| reply.view.primary.is_some_and(|primary| primary.node == backup))?;
                let decided = lab.now() - crashed;
                let value = lab.wait(reader, PATIENCE)??;
                Some((decided, lab.now() - crashed, value))
            });
            assert_eq!(run.failures, []);
            let (decided, served, value) = run.value.expect("the backup takes over");
            assert_eq!(value, "1");
            // A sign of life is as old as the answer that the last ping echoed: up to a ping before the crash, or two.
            assert!(decided >= FAILURE_TIMEOUT - 2 * PING, "a view after {decided:?}: nobody was silent for so long");
            assert!(decided <= 10 * PING, "a view after {decided:?}");
            // For a client that asks the dead one until then, one more attempt (200 ms) and its rest (30 ms) are added.
            assert!(served <= 10 * PING + ms(230), "an answer after {served:?}");
            println!("a view after {decided:?}, an answer after {served:?}");
        }
    }

    /// When both have died, neither the one that starts again nor a new server has the data. What does a client get?
    fn last_server_dead(lab: &mut Lab) -> Option<Vec<Option<String>>> {
        lab.put("a", "1")?;
        let (primary, backup) = lab.settle()?;
        lab.sim.crash(primary);
        lab.until(move |reply| reply.view.primary.is_some_and(|primary| primary.node == backup))?;
        let before = lab.get("a");
        lab.sim.crash(backup);
        lab.sim.boot(backup);
        let of_the_restarted = lab.get("a");
        lab.sim.boot(primary);
        lab.add_server();
        Some(vec![before, of_the_restarted, lab.get("a")])
    }

    #[test]
    fn nobody_serves_when_the_last_server_has_died() {
        let expected = Some(vec![some("1"), None, None]);
        assert_holds(LinkConfig::default(), 2, &expected, last_server_dead);
    }

    /// The only server dies and starts again at once. What does it say of what was written?
    fn only_server_restarts(lab: &mut Lab) -> Option<Option<String>> {
        lab.put("a", "1")?;
        lab.sim.crash(lab.servers[0]);
        lab.sim.boot(lab.servers[0]);
        Some(lab.get("a"))
    }

    #[test]
    fn an_only_server_that_restarted_does_not_serve() {
        assert_holds(LinkConfig::default(), 1, &Some(None), only_server_restarts);
        assert_detects("pb.empty-keeps-role", LinkConfig::default(), 1, &Some(None), only_server_restarts);
    }
}

mod at_most_once {
    use super::*;

    /// What a hundred appends add up to.
    fn hundred_appends(lab: &mut Lab) -> Option<String> {
        lab.settle()?;
        let job = lab.client(async |clerk| {
            for i in 0..100 {
                append(clerk, "a", &format!("{i};")).await?;
            }
            get(clerk, "a").await
        });
        lab.wait(job, Duration::from_secs(120))?
    }

    fn all() -> Option<String> {
        Some((0..100).map(|i| format!("{i};")).collect())
    }

    #[test]
    fn each_append_takes_effect_once_and_in_order() {
        assert_holds(unreliable(), 2, &all(), hundred_appends);
        assert_detects("pb.operations-side-by-side", unreliable(), 2, &all(), hundred_appends);
    }

    /// The backup has an append, and the client no answer; the primary dies. Is the retry answered from the table?
    fn retry_at_the_new_primary(lab: &mut Lab) -> Option<String> {
        let (primary, _) = lab.settle()?;
        let job = lab.client(async |clerk| {
            append(clerk, "a", "x").await?;
            time::sleep(ms(100)).await;
            append(clerk, "a", "y").await?;
            get(clerk, "a").await
        });
        lab.sim.run_for(ms(50));
        let mute = Fault::OneWay { from: vec![primary], to: vec![job.node()], in_flight: InFlight::Drop };
        let mute = lab.sim.inject(mute);
        lab.sim.run_for(ms(100));
        lab.sim.crash(primary);
        let value = lab.wait(job, PATIENCE)?;
        assert!(lab.sim.effect("net.partitioned") > 0, "an answer was stopped");
        drop(mute);
        value
    }

    /// As above, but the append came before the backup did: what tells a retry from a request is in the transfer only.
    fn retry_at_a_later_backup(lab: &mut Lab) -> Option<String> {
        lab.put("b", "1")?;
        let job = lab.client(async |clerk| {
            get(clerk, "b").await?;
            time::sleep(ms(100)).await;
            append(clerk, "a", "x").await?;
            get(clerk, "a").await
        });
        lab.sim.run_for(ms(50));
        let primary = lab.servers[0];
        let mute = Fault::OneWay { from: vec![primary], to: vec![job.node()], in_flight: InFlight::Drop };
        let mute = lab.sim.inject(mute);
        lab.sim.run_for(ms(100));
        lab.add_server();
        lab.settle()?;
        lab.sim.crash(primary);
        let value = lab.wait(job, PATIENCE)?;
        assert!(lab.sim.effect("net.partitioned") > 0, "an answer was stopped");
        drop(mute);
        value
    }

    #[test]
    fn a_retry_at_the_next_primary_is_answered_from_the_table() {
        assert_holds(LinkConfig::default(), 2, &some("xy"), retry_at_the_new_primary);
        assert_holds(LinkConfig::default(), 1, &some("x"), retry_at_a_later_backup);
        assert_detects("pb.transfer-without-sessions", LinkConfig::default(), 1, &some("x"), retry_at_a_later_backup);
    }
}

mod fail_put {
    use super::*;

    #[test]
    fn a_put_right_after_the_backup_died_is_kept() {
        assert_holds(LinkConfig::default(), 3, &some("2"), |lab| {
            lab.put("a", "1")?;
            let (primary, backup) = lab.settle()?;
            lab.sim.crash(backup);
            lab.put("a", "2")?;
            let (still, third) = lab.settle()?;
            assert!(still == primary && third != backup);
            // The one that was idle has the put, too.
            lab.sim.crash(primary);
            lab.get("a")
        });
    }

    #[test]
    fn a_put_right_after_the_primary_died_is_kept() {
        assert_holds(LinkConfig::default(), 3, &some("2"), |lab| {
            lab.put("a", "1")?;
            let (primary, backup) = lab.settle()?;
            lab.sim.crash(primary);
            lab.put("a", "2")?;
            let (next, _) = lab.settle()?;
            assert_eq!(next, backup);
            lab.sim.crash(next);
            lab.get("a")
        });
    }

    /// The put does not reach the backup, and then the primary dies. Was it answered, and is it there?
    fn put_that_only_the_primary_gets(lab: &mut Lab) -> Option<String> {
        lab.put("a", "1")?;
        let (primary, backup) = lab.settle()?;
        let cut = Fault::OneWay { from: vec![primary], to: vec![backup], in_flight: InFlight::Drop };
        let cut = lab.sim.inject(cut);
        let job = lab.client(async |clerk| {
            put(clerk, "a", "2").await?;
            get(clerk, "a").await
        });
        lab.sim.run_for(ms(20));
        lab.sim.crash(primary);
        drop(cut);
        lab.wait(job, PATIENCE)?;
        lab.get("a")
    }

    #[test]
    fn a_put_that_only_the_primary_got_is_not_answered() {
        assert_holds(LinkConfig::default(), 2, &some("2"), put_that_only_the_primary_gets);
        assert_detects("pb.no-backup-ack", LinkConfig::default(), 2, &some("2"), put_that_only_the_primary_gets);
    }
}

mod concurrent_same {
    use super::*;

    const KEYS: u64 = 10;

    fn read_all(lab: &Lab) -> Option<Vec<String>> {
        let job = lab.client(async |clerk| {
            let mut values = Vec::new();
            for key in 0..KEYS {
                values.push(get(clerk, &key.to_string()).await?);
            }
            Some(values)
        });
        lab.wait(job, Duration::from_secs(20))?
    }

    /// Clients write at the same time: does the backup, once it is primary, answer what the primary answered?
    fn same(lab: &mut Lab, appends: bool) -> Option<bool> {
        let (primary, backup) = lab.settle()?;
        let writer = async move |clerk: &mut Clerk| {
            for i in 0..40 {
                let (key, value) = (rand::below(KEYS).to_string(), format!("{}.{i};", node::this().name()));
                match appends {
                    true => append(clerk, &key, &value).await?,
                    false => put(clerk, &key, &value).await?,
                }
            }
            Some(())
        };
        let writers: Vec<_> = (0..3).map(|_| lab.client(writer)).collect();
        for job in writers {
            lab.wait(job, Duration::from_secs(60))??;
        }
        let of_the_primary = read_all(lab)?;
        assert!(of_the_primary.iter().all(|value| !value.is_empty()), "120 writes on ten keys leave none out");
        assert_eq!(lab.settle()?, (primary, backup), "nobody was taken for dead");
        lab.sim.crash(primary);
        Some(read_all(lab)? == of_the_primary)
    }

    #[test]
    fn after_concurrent_puts() {
        assert_holds(LinkConfig::default(), 2, &Some(true), |lab| same(lab, false));
        assert_detects("pb.operations-side-by-side", LinkConfig::default(), 2, &Some(true), |lab| same(lab, false));
    }

    #[test]
    fn after_concurrent_appends() {
        assert_holds(LinkConfig::default(), 2, &Some(true), |lab| same(lab, true));
        assert_detects("pb.operations-side-by-side", LinkConfig::default(), 2, &Some(true), |lab| same(lab, true));
    }

    #[test]
    fn after_concurrent_puts_over_an_unreliable_network() {
        assert_holds(unreliable(), 2, &Some(true), |lab| same(lab, false));
        assert_detects("pb.no-backup-ack", unreliable(), 2, &Some(true), |lab| same(lab, false));
    }

    #[test]
    fn after_concurrent_appends_over_an_unreliable_network() {
        assert_holds(unreliable(), 2, &Some(true), |lab| same(lab, true));
        assert_detects("pb.no-backup-ack", unreliable(), 2, &Some(true), |lab| same(lab, true));
    }
}

mod repeated_crash {
    use super::*;

    const KILLS: u64 = 10;

    /// For 20 seconds a server is killed every two, and starts again a second later. Each client writes a key of its
    /// own and reads it back. How often did it read something else, and did all of them get on?
    fn crashes(lab: &mut Lab) -> Option<(u64, bool)> {
        lab.settle()?;
        let wrong = Rc::new(Cell::new(0));
        let done: Vec<Rc<Cell<u64>>> = (0..3).map(|_| Rc::default()).collect();
        for done in &done {
            let (wrong, done) = (wrong.clone(), done.clone());
            let _endless: Job<()> = lab.client(async move |clerk| {
                let mine = node::this().name();
                let mut written = String::new();
                loop {
                    let more = format!("{};", done.get());
                    match rand::chance(0.5) {
                        true => {
                            written.clone_from(&more);
                            put(clerk, &mine, &more).await
                        }
                        false => {
                            written += &more;
                            append(clerk, &mine, &more).await
                        }
                    }
                    .expect("no crash takes eight seconds to recover from");
                    if get(clerk, &mine).await.as_ref() != Some(&written) {
                        wrong.set(wrong.get() + 1);
                    }
                    done.set(done.get() + 1);
                    time::sleep(ms(10)).await;
                }
            });
        }
        let began = lab.now();
        for kill in 0..KILLS {
            let next = began + ms(2_000) * kill as u32;
            lab.sim.run_for(next.saturating_sub(lab.now()));
            // Two crashes in a row must not take both copies: that would be a genuine loss.
            let (primary, backup) = lab.settle()?;
            let idle = *lab.servers.iter().find(|server| ![primary, backup].contains(server))?;
            let victim = [primary, backup, primary, idle][kill as usize % 4];
            let before: Vec<u64> = done.iter().map(|done| done.get()).collect();
            lab.sim.crash(victim);
            lab.sim.run_for(ms(1_000));
            lab.sim.boot(victim);
            lab.sim.run_for(ms(900));
            let all_got_on = before.iter().zip(&done).all(|(before, now)| now.get() > *before);
            if !all_got_on {
                return Some((wrong.get(), false));
            }
        }
        assert!(lab.now() - began <= Duration::from_secs(21), "took {:?}", lab.now() - began);
        Some((wrong.get(), true))
    }

    #[test]
    fn what_was_written_is_read_back() {
        assert_holds(LinkConfig::default(), 3, &Some((0, true)), crashes);
        for bug in ["pb.no-backup-ack", "pb.operations-side-by-side"] {
            assert_detects(bug, LinkConfig::default(), 3, &Some((0, true)), crashes);
        }
    }

    #[test]
    fn what_was_written_is_read_back_over_an_unreliable_network() {
        assert_holds(unreliable(), 3, &Some((0, true)), crashes);
        for bug in ["pb.no-backup-ack", "pb.view-before-ack", "pb.transfer-beside-operations"] {
            assert_detects(bug, unreliable(), 3, &Some((0, true)), crashes);
        }
    }
}

mod partition {
    use super::*;

    fn read(key: &str) -> Call {
        let id = RequestId { session: Session::begin(), number: 1 };
        Call::Execute(Request { id, op: KvOp::Get { key: key.to_owned() } })
    }

    /// The primary hears no more of the view service and is deposed. A read that was sent to it before arrives only
    /// now, after another client wrote at the new primary. What is the reader told, and what do readers find elsewhere?
    fn delayed_read(lab: &mut Lab) -> Option<(Option<Answer>, String)> {
        lab.put("a", "old")?;
        let (old, backup) = lab.settle()?;
        let reader = lab.client(async move |_| {
            time::sleep(ms(10)).await;
            // Not by a clerk: it would give up and ask elsewhere.
            rpc::call::<server::Service>(old.port(server::PORT), &read("a"), ms(3_000)).await.ok()
        });
        let delayed = lab.sim.inject(Fault::Clog { from: vec![reader.node()], to: vec![old] });
        let cut = lab.sim.partition([[old], [lab.view]]);
        lab.until(move |reply| reply.view.primary.is_some_and(|primary| primary.node == backup))?;
        lab.put("a", "new")?;
        drop(delayed);
        let answer = lab.wait(reader, PATIENCE)?;
        drop(cut);
        Some((answer, lab.get("a")?))
    }

    #[test]
    fn partition_1_a_deposed_primary_does_not_serve_a_delayed_read() {
        // It cannot tell that it was deposed, but it must ask its backup, which refuses: there is no answer.
        let expected = Some((None, "new".to_owned()));
        assert_holds(LinkConfig::default(), 2, &expected, delayed_read);
        assert_detects("pb.stale-read", LinkConfig::default(), 2, &expected, delayed_read);
        let stale = run(0, Some("pb.stale-read"), LinkConfig::default(), 2, delayed_read).value;
        assert_eq!(stale, Some((Some(Answer::Done(KvRet::Value("old".into()))), "new".into())));
    }

    /// Primary and a client that knows it on one side, everybody else on the other. What does the client read during
    /// the partition, and what after it?
    fn read_on_the_wrong_side(lab: &mut Lab) -> Option<(Option<String>, Option<String>)> {
        lab.put("a", "old")?;
        let (old, backup) = lab.settle()?;
        let reader = lab.client(async |clerk| {
            get(clerk, "a").await?;
            time::sleep(ms(2_000)).await;
            let during = clerk.execute(KvOp::Get { key: "a".into() }, ms(1_000)).await;
            let during = during.ok().map(|answer| match answer {
                KvRet::Value(value) => value,
                KvRet::Done => "no value".to_owned(),
            });
            time::sleep(ms(4_000)).await;
            Some((during, get(clerk, "a").await))
        });
        lab.sim.run_for(ms(100));
        // A client that is in no group reaches both sides; this one is on the primary's.
        let others = lab.servers.iter().copied().filter(|&server| server != old).chain([lab.view]).collect();
        let cut = lab.sim.partition([vec![old, reader.node()], others]);
        lab.until(move |reply| reply.view.primary.is_some_and(|primary| primary.node == backup))?;
        lab.put("a", "new")?;
        lab.sim.run_for(ms(2_500));
        drop(cut);
        lab.wait(reader, PATIENCE)?
    }

    #[test]
    fn partition_2_a_primary_that_is_cut_off_completes_no_read() {
        let expected = Some((None, some("new")));
        assert_holds(LinkConfig::default(), 2, &expected, read_on_the_wrong_side);
        assert_detects("pb.stale-read", LinkConfig::default(), 2, &expected, read_on_the_wrong_side);
        let stale = run(0, Some("pb.stale-read"), LinkConfig::default(), 2, read_on_the_wrong_side).value;
        assert_eq!(stale, Some((some("old"), some("new"))));
    }
}
