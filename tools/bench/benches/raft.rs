//! The core of Raft against the crate `raft` (tikv/raft-rs), doing the same work in one run: a leader is given commands in
//! batches, messages go through a queue in memory, writes are in memory and done at once, and an iteration ends when every
//! server has applied everything.
//!
//! And the whole of it in the simulator: five servers and 1,000 proposals in a virtual second, with clients, network, disks
//! and every check. There an element is a virtual second.

use std::collections::VecDeque;
use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sim::{Outcome, RunOptions, Scenario, run};
use systems::raft::RaftLog;

const ENTRIES: u64 = 10_000;
const BATCH: u64 = 100;
const COMMAND: [u8; 64] = [7; 64];

/// The core of this crate.
mod ours {
    use super::*;
    use systems::raft::core::{Core, Restored};
    use systems::raft::membership::Membership;
    use systems::raft::message::{Payload, Position, SnapshotMeta};
    use systems::raft::{Config, Id};

    pub struct Cluster {
        servers: Vec<Core>,
        pub applied: Vec<u64>,
    }

    pub fn elected(n: u64) -> Cluster {
        let membership = Membership::of((1..=n).map(Id));
        let servers = (1..=n).map(|id| {
            let snapshot = SnapshotMeta { last: Position::default(), membership: membership.clone() };
            let restored = Restored { snapshot, ..Restored::default() };
            // The first is the least patient.
            Core::new(Id(id), Config::default(), restored, Box::new(move |most| (id - 1).min(most - 1)))
        });
        let mut cluster = Cluster { servers: servers.collect(), applied: vec![0; n as usize] };
        while !cluster.servers[0].is_leader() {
            cluster.servers.iter_mut().for_each(Core::tick);
            cluster.settle();
        }
        cluster
    }

    impl Cluster {
        pub fn propose(&mut self) {
            for _ in 0..BATCH {
                self.servers[0].propose(Bytes::from(COMMAND.to_vec())).expect("it leads");
            }
            self.settle();
        }

        fn settle(&mut self) {
            let mut queue = VecDeque::new();
            loop {
                let mut idle = true;
                for (at, server) in self.servers.iter_mut().enumerate() {
                    let output = server.output();
                    idle &= output.is_empty();
                    if let Some(persist) = output.persist {
                        black_box(&persist.entries);
                        server.wrote(persist.number);
                    }
                    let commands = output.committed.iter().filter(|entry| matches!(entry.payload, Payload::Command(_)));
                    self.applied[at] += commands.count() as u64;
                    queue.extend(output.messages);
                }
                while let Some(message) = queue.pop_front() {
                    let to = message.to.0 as usize - 1;
                    self.servers[to].step(message);
                    idle = false;
                }
                if idle {
                    return;
                }
            }
        }
    }
}

/// The crate `raft`.
mod theirs {
    use super::*;
    use raft::eraftpb::Message;
    use raft::storage::MemStorage;
    use raft::{Config, RawNode, StateRole};

    pub struct Cluster {
        servers: Vec<RawNode<MemStorage>>,
        pub applied: Vec<u64>,
    }

    pub fn elected(n: u64) -> Cluster {
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let servers = (1..=n).map(|id| {
            let config = Config {
                id,
                election_tick: 10,
                heartbeat_tick: 2,
                pre_vote: true,
                check_quorum: true,
                max_size_per_msg: 64 << 10,
                max_inflight_msgs: 64,
                ..Config::default()
            };
            let storage = MemStorage::new_with_conf_state(((1..=n).collect::<Vec<_>>(), vec![]));
            RawNode::new(&config, storage, &logger).expect("a server")
        });
        let mut cluster = Cluster { servers: servers.collect(), applied: vec![0; n as usize] };
        cluster.servers[0].campaign().expect("it stands");
        cluster.settle();
        assert_eq!(cluster.servers[0].raft.state, StateRole::Leader);
        cluster
    }

    impl Cluster {
        pub fn propose(&mut self) {
            for _ in 0..BATCH {
                self.servers[0].propose(vec![], COMMAND.to_vec()).expect("it leads");
            }
            self.settle();
        }

        fn settle(&mut self) {
            let mut queue: VecDeque<Message> = VecDeque::new();
            loop {
                let mut idle = true;
                for (at, server) in self.servers.iter_mut().enumerate() {
                    if !server.has_ready() {
                        continue;
                    }
                    idle = false;
                    let mut ready = server.ready();
                    queue.extend(ready.take_messages());
                    let applied = |entries: Vec<raft::eraftpb::Entry>| {
                        entries.iter().filter(|entry| !entry.data.is_empty()).count() as u64
                    };
                    self.applied[at] += applied(ready.take_committed_entries());
                    let store = server.raft.raft_log.store.clone();
                    store.wl().append(ready.entries()).expect("in memory");
                    if let Some(hard_state) = ready.hs() {
                        store.wl().set_hardstate(hard_state.clone());
                    }
                    queue.extend(ready.take_persisted_messages());
                    let mut light = server.advance(ready);
                    queue.extend(light.take_messages());
                    self.applied[at] += applied(light.take_committed_entries());
                    server.advance_apply();
                }
                while let Some(message) = queue.pop_front() {
                    let to = message.to as usize - 1;
                    self.servers[to].step(message).expect("a message");
                    idle = false;
                }
                if idle {
                    return;
                }
            }
        }
    }
}

fn commit(c: &mut Criterion) {
    let mut group = c.benchmark_group("entries committed and applied everywhere");
    group.throughput(Throughput::Elements(ENTRIES)).sample_size(20);
    for n in [3, 5] {
        group.bench_function(BenchmarkId::new("this core", n), |b| {
            b.iter_batched_ref(
                || ours::elected(n),
                |cluster| {
                    (0..ENTRIES / BATCH).for_each(|_| cluster.propose());
                    assert!(cluster.applied.iter().all(|&applied| applied == ENTRIES));
                },
                BatchSize::LargeInput,
            );
        });
        group.bench_function(BenchmarkId::new("the crate raft", n), |b| {
            b.iter_batched_ref(
                || theirs::elected(n),
                |cluster| {
                    (0..ENTRIES / BATCH).for_each(|_| cluster.propose());
                    assert!(cluster.applied.iter().all(|&applied| applied == ENTRIES));
                },
                BatchSize::LargeInput,
            );
        });
    }
}

/// Twenty clients, each with some 50 proposals in a second.
const CLUSTER: &str = r#"
[system]
name = "raft"
servers = 5
clients = 20
snapshot_every = 1000

[run]
main = "10s"
quiet = "5s"

[[workload]]
name = "mixed"
args = { reads = 0.0, bytes = [64, 64], think_ms = [12, 20] }

[[workload]]
name = "read-all"
phase = "final"
"#;

fn simulated(c: &mut Criterion) {
    let scenario = Scenario::parse("cluster.toml", CLUSTER).unwrap_or_else(|error| panic!("{error}"));
    let simulate = || run(&RaftLog, &scenario, 1, RunOptions::default()).unwrap_or_else(|error| panic!("{error}"));
    let report = simulate();
    assert_eq!(report.verdict, Outcome::Pass, "{:?}", report.failure);
    let (seconds, proposals) = (report.virtual_ns / 1_000_000_000, report.dose["ops_ok"]);
    println!("{proposals} operations in {:.2} virtual seconds", report.virtual_ns as f64 / 1e9);
    let mut group = c.benchmark_group("a simulated cluster");
    group.throughput(Throughput::Elements(seconds)).sample_size(10);
    group.bench_function("5 servers, 1,000 proposals a second", |b| b.iter(|| black_box(simulate()).events));
}

criterion_group!(benches, commit, simulated);
criterion_main!(benches);
