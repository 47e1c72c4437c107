//! A controller and groups, started one by one, for experiments from outside.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::rc::Rc;
use std::time::Duration;

use sim::models::{StoreOp, StoreRet};
use sim::net::LinkConfig;
use sim::{Job, NodeId, Sim, Simulated, simulate, time};
use systems::rsm::Replica;
use systems::shardkv::client::Clerk;
use systems::shardkv::config::Config;
use systems::shardkv::controller::{Answer, Change, Command, Query, Reply};
use systems::shardkv::group::Group;
use systems::shardkv::{Gid, Params, server, shard_of, workload};

/// How long a client tries before it gives up: longer than any single fault here takes to be repaired.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// How many seeds each behaviour is shown with.
pub const SEEDS: std::ops::Range<u64> = 0..4;

pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A network that loses, duplicates and reorders.
pub fn unreliable() -> LinkConfig {
    LinkConfig { loss: 0.1, duplicate: 0.1, reorder: 0.1, ..LinkConfig::default() }
}

/// Ten shards, as in the lab; the first group owns them all.
pub fn params(groups: Gid) -> Params {
    Params { groups, joined: 1, shards: 10, snapshot_bytes: 0, poll_ms: 20, attempt_ms: 200, ..Params::default() }
}

/// A controller and groups.
pub struct Lab<'a> {
    pub sim: &'a Sim,
    pub params: Params,
    pub controller: Vec<NodeId>,
    groups: BTreeMap<Gid, Vec<NodeId>>,
    /// The replica that each server of a group started last.
    pub replicas: Rc<RefCell<BTreeMap<NodeId, Replica<Group>>>>,
    clients: Cell<u32>,
}

impl<'a> Lab<'a> {
    fn new(sim: &'a Sim, params: Params) -> Lab<'a> {
        let replicas: Rc<RefCell<BTreeMap<NodeId, Replica<Group>>>> = Rc::default();
        let shared = Rc::new(params.clone());
        let controller = (0..params.servers).map(|i| {
            let params = shared.clone();
            let boot = move || server::boot_controller(params.clone());
            sim.node_in_group(server::CONTROLLER, server::CONTROLLER, &format!("controller-{i}"), boot)
        });
        let controller = controller.collect();
        let groups = (1..=params.groups).map(|gid| {
            let nodes = (0..params.servers).map(|i| {
                let (params, replicas) = (shared.clone(), replicas.clone());
                let boot = move || {
                    let replicas = replicas.clone();
                    let started = move |replica: &Replica<Group>| {
                        replicas.borrow_mut().insert(sim::node::this(), replica.clone());
                    };
                    server::serve_shards(params.clone(), started)
                };
                sim.node_in_group(&format!("shard-{gid}"), server::SHARD, &format!("shard-{gid}-{i}"), boot)
            });
            (gid, nodes.collect())
        });
        let groups = groups.collect();
        Lab { sim, params, controller, groups, replicas, clients: Cell::new(0) }
    }

    /// The servers of the controller but one.
    pub fn controller_but(&self, at: usize) -> Vec<NodeId> {
        self.controller.iter().copied().filter(|node| *node != self.controller[at]).collect()
    }

    /// The servers of a group.
    pub fn group(&self, gid: Gid) -> &[NodeId] {
        &self.groups[&gid]
    }

    pub fn crash_group(&self, gid: Gid) {
        self.group(gid).iter().for_each(|node| self.sim.crash(*node));
    }

    pub fn boot_group(&self, gid: Gid) {
        self.group(gid).iter().for_each(|node| self.sim.boot(*node));
    }

    /// Starts a script on a node of its own.
    pub fn start<T: 'static>(&self, script: impl AsyncFnOnce(Rc<Params>) -> T + 'static) -> Job<T> {
        let number = self.clients.replace(self.clients.get() + 1);
        let params = self.params.clone();
        self.sim.client(&format!("client-{number}"), async move { script(Rc::new(params)).await })
    }

    /// Starts a client's script.
    pub fn client<T: 'static>(&self, script: impl AsyncFnOnce(&mut Clerk) -> T + 'static) -> Job<T> {
        self.start(async move |params| script(&mut Clerk::new(params)).await)
    }

    /// The value of a script. `None` if it takes too long or the run has failed.
    pub fn wait<T>(&self, job: Job<T>, most: Duration) -> Option<T> {
        self.sim.until(most, || job.is_done()).ok()?;
        self.sim.wait(job, Duration::ZERO).ok()
    }

    /// Has a change made by an operator of its own.
    pub fn change(&self, change: Change) -> Option<Reply> {
        self.wait(self.start(async move |params| configure(&params, change).await), PATIENCE)?
    }

    pub fn join(&self, gids: &[Gid]) -> Option<u64> {
        number(self.change(joining(gids))?)
    }

    pub fn leave(&self, gids: &[Gid]) -> Option<u64> {
        number(self.change(leaving(gids))?)
    }

    /// A configuration, as the controller answers.
    pub fn config(&self, query: Query) -> Option<Config> {
        self.wait(self.start(async move |params| ask(&params, query).await), PATIENCE)?
    }

    pub fn latest(&self) -> Option<Config> {
        self.config(Query::Latest)
    }

    /// Waits until all groups have adopted the latest configuration, with all shards where they belong.
    pub fn settle(&self) -> Option<()> {
        let job = self.start(async |params| workload::settled(&params).await);
        self.wait(job, PATIENCE)
    }

    /// Gives each of so many keys its number as its value.
    pub fn put_all(&self, keys: usize) -> Option<()> {
        let script = async move |clerk: &mut Clerk| {
            for i in 0..keys {
                put(clerk, &key(i), &i.to_string()).await?;
            }
            Some(())
        };
        self.wait(self.client(script), PATIENCE)?
    }

    /// The keys that do not have their number as their value.
    pub fn wrong(&self, keys: usize) -> Option<Vec<usize>> {
        let script = async move |clerk: &mut Clerk| {
            let mut wrong = Vec::new();
            for i in 0..keys {
                if get(clerk, &key(i)).await? != i.to_string() {
                    wrong.push(i);
                }
            }
            Some(wrong)
        };
        self.wait(self.client(script), PATIENCE)?
    }

    /// The owner of a key by the latest configuration.
    pub fn owner(&self, key: &str) -> Option<Gid> {
        self.latest()?.owner(shard_of(key, self.params.shards))
    }
}

pub fn key(i: usize) -> String {
    format!("key{i}")
}

pub fn joining(gids: &[Gid]) -> Change {
    Change::Join(gids.iter().map(|gid| (*gid, 1)).collect())
}

pub fn leaving(gids: &[Gid]) -> Change {
    Change::Leave(gids.iter().copied().collect())
}

/// The number of the configuration that was made.
pub fn number(reply: Reply) -> Option<u64> {
    match reply {
        Reply::Configured(number) => Some(number),
        _ => None,
    }
}

pub async fn configure(params: &Params, change: Change) -> Option<Reply> {
    let command = Command::Change { change, after: None };
    server::controller_client(params).execute(command, time::now() + PATIENCE).await.ok()
}

pub async fn ask(params: &Params, query: Query) -> Option<Config> {
    match server::controller_client(params).query(query, time::now() + PATIENCE).await {
        Ok(Answer::Config(config)) => config,
        _ => None,
    }
}

/// The value of a key; the empty one if the key is not there.
pub async fn get(clerk: &mut Clerk, key: &str) -> Option<String> {
    match clerk.perform(StoreOp::Get { key: key.to_owned() }, false, PATIENCE).await {
        Ok(StoreRet::Value(value)) => Some(value.unwrap_or_default()),
        _ => None,
    }
}

pub async fn put(clerk: &mut Clerk, key: &str, value: &str) -> Option<()> {
    let op = StoreOp::Put { key: key.to_owned(), value: value.to_owned() };
    clerk.perform(op, false, PATIENCE).await.ok().map(drop)
}

pub async fn append(clerk: &mut Clerk, key: &str, value: &str) -> Option<()> {
    let op = StoreOp::Append { key: key.to_owned(), value: value.to_owned() };
    clerk.perform(op, false, PATIENCE).await.ok().map(drop)
}

/// Runs an experiment, with a known bug or without.
pub fn run<R: Send>(
    seed: u64,
    bug: Option<&str>,
    network: LinkConfig,
    params: &Params,
    experiment: impl FnOnce(&mut Lab) -> R + Send,
) -> Simulated<R> {
    simulate(seed, |sim| {
        sim.plant(&bug.map(str::to_owned).into_iter().collect::<Vec<_>>());
        sim.network(network);
        experiment(&mut Lab::new(sim, params.clone()))
    })
    .unwrap_or_else(|error| panic!("{error}"))
}

/// Asserts that an experiment ends as it should, with every seed.
pub fn assert_holds<R: Send + PartialEq + Debug>(
    network: LinkConfig,
    params: &Params,
    expected: &R,
    experiment: impl Fn(&mut Lab) -> R + Sync,
) {
    for seed in SEEDS {
        let run = run(seed, None, network, params, &experiment);
        assert_eq!(run.failures, [], "seed {seed}");
        assert_eq!(run.value, *expected, "seed {seed}");
    }
}

/// Asserts that an experiment detects a planted bug: with some seed it does not end as it should.
pub fn assert_detects<R: Send + PartialEq + Debug>(
    bug: &str,
    network: LinkConfig,
    params: &Params,
    expected: &R,
    experiment: impl Fn(&mut Lab) -> R + Sync,
) {
    let noticed = SEEDS.filter(|&seed| {
        let run = run(seed, Some(bug), network, params, &experiment);
        run.value != *expected || !run.failures.is_empty()
    });
    assert!(noticed.count() > 0, "{bug} went unnoticed");
}
