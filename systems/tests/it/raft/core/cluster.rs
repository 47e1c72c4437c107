//! A cluster of cores with disks and a network of plain data: what the core does without any simulator, step by step.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use sim::seed::{Seed, Sequence};
use systems::raft::core::{Core, Output, Persist, Restored};
use systems::raft::membership::Membership;
use systems::raft::message::{Entry, HardState, Message, Payload, Position, SnapshotMeta};
use systems::raft::{Config, Id, Index, Term};

/// The random choices of one run, from its seed alone.
pub struct Rng(Sequence);

impl Rng {
    pub fn new(seed: u64) -> Rng {
        Rng(Sequence::of(Seed(seed)))
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.0.draw().below(n)
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What survives a crash.
#[derive(Clone, Default)]
pub struct Disk {
    pub hard_state: HardState,
    pub snapshot: SnapshotMeta,
    pub state: Vec<u8>,
    pub entries: Vec<Entry>,
}

impl Disk {
    fn write(&mut self, persist: Persist) {
        if let Some(hard_state) = persist.hard_state {
            self.hard_state = hard_state;
        }
        if let Some(first) = persist.entries.first() {
            self.entries.retain(|entry| entry.index < first.index);
        }
        self.entries.extend(persist.entries);
    }
}

pub struct Server {
    pub core: Option<Core>,
    pub disk: Disk,
    writing: VecDeque<Persist>,
    /// All that was applied: what a snapshot would hold.
    pub applied: Vec<(Index, Bytes)>,
    incoming: Vec<u8>,
    pub reads: BTreeMap<u64, Option<Index>>,
}

pub struct Cluster {
    pub config: Config,
    pub servers: BTreeMap<Id, Server>,
    pub network: Vec<Message>,
    pub rng: Rng,
    pub cut: BTreeSet<(Id, Id)>,
    /// Percent of messages.
    pub lost: u64,
    pub duplicated: u64,
    /// Percent of the messages that are delivered in one step; the rest waits and is overtaken.
    pub delivered: u64,
    /// Percent of writes that are finished in a step.
    pub written: u64,
    pub compact_every: u64,
    pub leaders: BTreeMap<Term, Id>,
    pub committed: BTreeMap<Index, (Term, Payload)>,
    pub sent: u64,
}

impl Cluster {
    pub fn new(n: u64, config: Config, seed: u64) -> Cluster {
        let ids: Vec<Id> = (1..=n).map(Id).collect();
        let snapshot = SnapshotMeta { last: Position::default(), membership: Membership::of(ids.iter().copied()) };
        let mut cluster = Cluster {
            config,
            servers: BTreeMap::new(),
            network: Vec::new(),
            rng: Rng::new(seed),
            cut: BTreeSet::new(),
            lost: 0,
            duplicated: 0,
            delivered: 100,
            written: 100,
            compact_every: u64::MAX,
            leaders: BTreeMap::new(),
            committed: BTreeMap::new(),
            sent: 0,
        };
        for id in ids {
            cluster.add(id, snapshot.clone());
        }
        cluster
    }

    pub fn add(&mut self, id: Id, snapshot: SnapshotMeta) {
        let disk = Disk { snapshot, ..Disk::default() };
        let server = Server {
            core: None,
            disk,
            writing: VecDeque::new(),
            applied: Vec::new(),
            incoming: Vec::new(),
            reads: BTreeMap::new(),
        };
        self.servers.insert(id, server);
        self.boot(id);
    }

    pub fn boot(&mut self, id: Id) {
        let config = self.config.clone();
        let mut rng = Rng::new(self.rng.below(u64::MAX));
        let server = self.servers.get_mut(&id).unwrap();
        assert!(server.core.is_none());
        let Disk { hard_state, snapshot, entries, state } = server.disk.clone();
        server.applied = decode(&state);
        server.incoming.clear();
        let restored = Restored { hard_state, snapshot, entries };
        server.core = Some(Core::new(id, config, restored, Box::new(move |n| rng.below(n))));
    }

    pub fn crash(&mut self, id: Id) {
        let server = self.servers.get_mut(&id).unwrap();
        server.core = None;
        server.writing.clear();
    }

    pub fn core(&mut self, id: Id) -> &mut Core {
        self.servers.get_mut(&id).unwrap().core.as_mut().expect("it is up")
    }

    pub fn leader(&self) -> Option<Id> {
        let leads =
            |server: &Server| server.core.as_ref().filter(|core| core.is_leader()).map(|core| (core.term(), core.id()));
        self.servers.values().filter_map(leads).max().map(|(_, id)| id)
    }

    pub fn partition(&mut self, side: &[Id]) {
        let all: Vec<Id> = self.servers.keys().copied().collect();
        for &a in &all {
            for &b in &all {
                if side.contains(&a) != side.contains(&b) {
                    self.cut.insert((a, b));
                }
            }
        }
    }

    /// A tick on every server, and some of what is under way.
    pub fn step(&mut self) {
        let ids: Vec<Id> = self.servers.keys().copied().collect();
        for &id in &ids {
            if let Some(core) = &mut self.servers.get_mut(&id).unwrap().core {
                core.tick();
            }
            self.take(id);
        }
        for &id in &ids {
            while !self.servers[&id].writing.is_empty() && self.rng.chance(self.written) {
                self.finish_write(id);
            }
        }
        self.deliver();
    }

    pub fn finish_write(&mut self, id: Id) {
        let server = self.servers.get_mut(&id).unwrap();
        let Some(persist) = server.writing.pop_front() else { return };
        let number = persist.number;
        server.disk.write(persist);
        if let Some(core) = &mut server.core {
            core.wrote(number);
        }
        self.take(id);
    }

    pub fn deliver(&mut self) {
        let mut queue = std::mem::take(&mut self.network);
        // A few rounds within one step, so that a tick is longer than a round trip.
        for _ in 0..4 {
            for i in (1..queue.len()).rev() {
                if self.delivered < 100 {
                    queue.swap(i, self.rng.below(i as u64 + 1) as usize);
                }
            }
            for message in std::mem::take(&mut queue) {
                if !self.rng.chance(self.delivered) {
                    self.network.push(message);
                } else {
                    self.receive(message);
                }
            }
            for id in self.servers.keys().copied().collect::<Vec<_>>() {
                while self.written == 100 && !self.servers[&id].writing.is_empty() {
                    self.finish_write(id);
                }
            }
            if self.delivered == 100 {
                queue = std::mem::take(&mut self.network);
            }
        }
        self.network.extend(queue);
    }

    fn receive(&mut self, message: Message) {
        let copies = 1 + u64::from(self.rng.chance(self.duplicated));
        if self.cut.contains(&(message.from, message.to)) || self.rng.chance(self.lost) {
            return;
        }
        let to = message.to;
        for _ in 0..copies {
            let Some(core) = self.servers.get_mut(&to).and_then(|server| server.core.as_mut()) else { return };
            core.step(message.clone());
            self.take(to);
        }
    }

    /// Does what a core wants done.
    pub fn take(&mut self, id: Id) {
        loop {
            let server = self.servers.get_mut(&id).unwrap();
            let Some(core) = &mut server.core else { return };
            let output = core.output();
            if core.is_leader() {
                let (term, first) = (core.term(), *self.leaders.entry(core.term()).or_insert(id));
                assert_eq!(first, id, "two leaders in term {term}");
            }
            if output.is_empty() {
                return;
            }
            let Output { persist, messages, committed, reads, wanted, store } = output;
            server.writing.extend(persist);
            self.sent += messages.len() as u64;
            self.network.extend(messages);
            server.reads.extend(reads.into_iter().map(|read| (read.request, read.index)));
            for entry in committed {
                let what = (entry.term, entry.payload.clone());
                let first = self.committed.entry(entry.index).or_insert_with(|| what.clone());
                assert_eq!(*first, what, "{id:?} applies another entry {}", entry.index);
                if let Payload::Command(bytes) = entry.payload {
                    assert!(server.applied.last().is_none_or(|(index, _)| *index < entry.index), "applied twice");
                    server.applied.push((entry.index, bytes));
                }
            }
            let applied = core.log().last_applied();
            if applied >= core.log().snapshot().last.index.saturating_add(self.compact_every) {
                let meta = core.log().snapshot_at(applied);
                server.disk.snapshot = meta;
                server.disk.state = encode(&server.applied);
                server.disk.entries.retain(|entry| entry.index > applied);
                core.compact(applied);
            }
            for want in wanted {
                let (meta, state) = (server.disk.snapshot.clone(), &server.disk.state);
                let offset = if meta.last == want.last { want.offset as usize } else { 0 };
                let end = (offset + self.config.snapshot_chunk).min(state.len());
                let data = Bytes::copy_from_slice(&state[offset.min(end)..end]);
                core.send_chunk(want.to, meta, offset as u64, data, end == state.len());
            }
            for chunk in store {
                if chunk.offset == 0 {
                    server.incoming.clear();
                }
                assert_eq!(server.incoming.len() as u64, chunk.offset);
                server.incoming.extend(&chunk.data);
                if chunk.done {
                    server.disk.state = std::mem::take(&mut server.incoming);
                    server.applied = decode(&server.disk.state);
                    server.disk.snapshot = chunk.meta.clone();
                    let last = chunk.meta.last;
                    let agrees =
                        server.disk.entries.iter().any(|entry| entry.index == last.index && entry.term == last.term);
                    server.disk.entries.retain(|entry| agrees && entry.index > last.index);
                    core.installed(chunk.meta);
                } else {
                    core.stored_chunk(chunk.meta.last, server.incoming.len() as u64);
                }
            }
        }
    }

    pub fn heal(&mut self) {
        self.cut.clear();
        (self.lost, self.duplicated, self.delivered, self.written) = (0, 0, 100, 100);
        for id in self.servers.keys().copied().collect::<Vec<_>>() {
            if self.servers[&id].core.is_none() {
                self.boot(id);
            }
        }
    }

    /// Steps until `done`, at most so many times.
    pub fn until(&mut self, steps: usize, mut done: impl FnMut(&mut Cluster) -> bool) -> bool {
        for _ in 0..steps {
            if done(self) {
                return true;
            }
            self.step();
        }
        done(self)
    }

    /// Proposes until it is committed everywhere.
    pub fn agree(&mut self, command: &'static [u8], steps: usize) -> bool {
        let mut at = None;
        self.until(steps, |cluster| {
            let lost = at.is_none_or(|(index, term)| {
                cluster.committed.get(&index).is_some_and(|(of, _)| *of != term)
                    || cluster.leader().is_some_and(|leader| cluster.core(leader).term() > term)
            });
            if lost && let Some(leader) = cluster.leader() {
                at = cluster.core(leader).propose(Bytes::from_static(command)).ok().or(at);
                cluster.take(leader);
            }
            let has = |server: &Server| server.applied.iter().any(|(_, bytes)| bytes == command);
            cluster.servers.values().filter(|server| server.core.is_some()).all(has)
        })
    }
}

fn encode(applied: &[(Index, Bytes)]) -> Vec<u8> {
    sim::codec::encode(&applied.iter().map(|(index, bytes)| (*index, bytes.to_vec())).collect::<Vec<_>>()).unwrap()
}

fn decode(state: &[u8]) -> Vec<(Index, Bytes)> {
    if state.is_empty() {
        return Vec::new();
    }
    let applied: Vec<(Index, Vec<u8>)> = sim::codec::decode(state).unwrap();
    applied.into_iter().map(|(index, bytes)| (index, Bytes::from(bytes))).collect()
}
