//! Snapshots of large states: they are made and sent in pieces, survive crashes and damage, and cost little memory and disk.
//! A program of its own, because its allocator counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::fault::Fault;
use sim::{NodeId, Sim, group, simulate, time};
use systems::raft::membership::Membership;
use systems::raft::{Config, Id, driver};
use systems::rsm::{At, Client, Limits, Options, Patience, Reads, Replica, StateMachine, service};
use systems::storage::StorageError;
use systems::storage::snapshot::{Snapshot, Snapshots, Writer};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const PAGE: usize = 64 * KIB;
/// Within this any step is done.
const LONG: Duration = Duration::from_secs(120);

// ---- memory ----------------------------------------------------------------------------------------------------------

/// Counts the bytes that each thread has. A world runs on a thread of its own.
struct Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    /// The bytes of pages that were written into snapshots.
    static SAVED: Cell<usize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // A thread that ends has no counters any more.
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + bytes);
        PEAK.try_with(|peak| peak.set(peak.get().max(live.get())))
    });
}

#[allow(unsafe_code, reason = "an allocator that counts, for this test alone")]
// SAFETY: the system's allocator does the work, with the arguments that it is given.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The bytes that this thread has, from where its peak is measured.
fn live_from_here() -> isize {
    let live = LIVE.get();
    PEAK.set(live);
    live
}

// ---- the state machine -----------------------------------------------------------------------------------------------

/// Pages of bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Pages {
    pages: Vec<Vec<u8>>,
    /// Makes a copy before it writes itself, as it must not.
    copies: bool,
}

/// Fills a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Fill {
    page: usize,
    len: usize,
    with: u8,
    /// What the command has in the log besides.
    padding: String,
}

impl StateMachine for Pages {
    type Command = Fill;
    type Reply = ();
    type Query = ();
    type Answer = usize;

    fn apply(&mut self, _: &At, Fill { page, len, with, .. }: Fill) {
        while self.pages.len() <= page {
            self.pages.push(vec![0; len]);
        }
        self.pages[page].fill(with);
    }

    fn query(&self, (): &()) -> usize {
        self.pages.iter().map(Vec::len).sum()
    }

    async fn save(&self, to: &mut Writer) -> Result<(), StorageError> {
        let copy = self.copies.then(|| self.clone());
        to.put(&self.pages.len()).await?;
        for page in &copy.as_ref().unwrap_or(self).pages {
            to.put(&page.len()).await?;
            to.write(page).await?;
            SAVED.set(SAVED.get() + page.len());
        }
        Ok(())
    }

    async fn load(from: &mut Snapshot) -> Result<Pages, StorageError> {
        let mut pages = Vec::new();
        for _ in 0..from.get::<usize>().await? {
            let len = from.get().await?;
            pages.push(from.read_exact(len).await?);
        }
        Ok(Pages { pages, copies: false })
    }
}

// ---- the cluster -----------------------------------------------------------------------------------------------------

type Replicas = Rc<RefCell<Vec<Option<Replica<Pages>>>>>;

struct Lab<'a> {
    sim: &'a Sim,
    servers: Vec<NodeId>,
    replicas: Replicas,
    /// How often each server has started.
    starts: Rc<RefCell<Vec<u32>>>,
    clients: Cell<u32>,
}

impl<'a> Lab<'a> {
    fn new(sim: &'a Sim, servers: u64, snapshot_bytes: usize, initial: &Pages) -> Lab<'a> {
        let replicas: Replicas = Rc::new(RefCell::new(vec![None; servers as usize]));
        let starts = Rc::new(RefCell::new(vec![0; servers as usize]));
        let nodes = (0..servers).map(|id| {
            let (replicas, starts, initial) = (replicas.clone(), starts.clone(), initial.clone());
            sim.node_in_role("server", &format!("server-{id}"), move || {
                let (replicas, starts, initial) = (replicas.clone(), starts.clone(), initial.clone());
                async move {
                    let publish = |replica: &Replica<Pages>| {
                        starts.borrow_mut()[id as usize] += 1;
                        replicas.borrow_mut()[id as usize] = Some(replica.clone());
                    };
                    service::run(options(id, servers, snapshot_bytes), initial, 2, publish).await;
                }
            })
        });
        let nodes = nodes.collect();
        Lab { sim, servers: nodes, replicas, starts, clients: Cell::new(0) }
    }

    /// A client fills pages until `is_enough`, asked after each, and says how many. The commands go around `pages` pages.
    fn fill(&self, pages: usize, fill: &Fill, is_enough: impl Fn(usize) -> bool + 'static) -> usize {
        let number = self.clients.replace(self.clients.get() + 1);
        let servers: Vec<_> = self.servers.iter().map(|server| server.port(2)).collect();
        let fill = fill.clone();
        let job = self.sim.client(&format!("client-{number}"), async move {
            let mut client =
                Client::<Pages>::new(group::lookup("server").expect("it has servers"), servers, Patience::default());
            let mut count = 0;
            while !is_enough(count) {
                let command = Fill { page: count % pages, with: (count % 251) as u8 + 1, ..fill.clone() };
                client.execute(command, time::now() + LONG).await.expect("it is executed");
                count += 1;
            }
            count
        });
        self.sim.wait(job, LONG).expect("the client comes to its end")
    }

    fn replica(&self, server: usize) -> Replica<Pages> {
        self.replicas.borrow()[server].clone().expect("the server has started")
    }

    fn bytes(&self, server: usize) -> usize {
        self.replica(server).peek(|sessions| sessions.state().query(&()))
    }

    /// Waits until a server that is up has the same state as another.
    fn same(&self, server: usize, other: usize) {
        let pages = |server: usize| {
            let replicas = self.replicas.borrow();
            replicas[server].as_ref().map(|replica| (replica.applied(), replica.peek(|of| of.state().pages.clone())))
        };
        let applied = |server: usize| self.replicas.borrow()[server].as_ref().map(Replica::applied);
        self.sim.until(LONG, || applied(server) == applied(other)).expect("it catches up");
        assert!(pages(server) == pages(other), "the states differ");
    }
}

fn options(id: u64, servers: u64, snapshot_bytes: usize) -> Options {
    let raft = driver::Options {
        id: Id(id),
        config: Config { segment: 64 << 10, ..Config::default() },
        dir: "raft".to_owned(),
        port: 1,
        empty_disk: driver::EmptyDisk::New,
        members: Membership::of((0..servers).map(Id)),
        group: group::home(),
    };
    Options { raft, reads: Reads::Index, snapshot_bytes, expansion_percent: 100, limits: Limits::default() }
}

fn run<R: Send + 'static>(seed: u64, experiment: impl FnOnce(&Sim) -> R + Send) -> R {
    let run = simulate(seed, experiment).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(run.failures, [], "seed {seed}");
    run.value
}

/// A small command that fills a large page.
fn large_page() -> Fill {
    Fill { page: 0, len: PAGE, with: 0, padding: String::new() }
}

// ---- memory ----------------------------------------------------------------------------------------------------------

/// What a virtual disk alone takes while such a snapshot is written, and when it is there.
fn disk_alone(pages: usize) -> (isize, isize) {
    run(1, |sim| {
        let job = sim.client("disk", async move {
            let snapshots = Snapshots::open("snapshots").await.unwrap();
            let before = live_from_here();
            let mut writer = snapshots.create(1).await.unwrap();
            let page = vec![7; PAGE];
            for _ in 0..pages {
                writer.write(&page).await.unwrap();
            }
            writer.commit().await.unwrap();
            (PEAK.get() - before, LIVE.get() - before)
        });
        sim.wait(job, LONG).expect("it is written")
    })
}

/// The least log for which a snapshot of at least 32 MiB is made, of small commands.
const LOG: usize = 50_000;

/// The bytes of the state, and what the process took at most while a server made a snapshot of it.
fn making(copies: bool) -> (usize, isize) {
    run(1, move |sim| {
        let lab = Lab::new(sim, 1, LOG, &Pages { copies, ..Pages::default() });
        sim.until(LONG, || lab.replicas.borrow()[0].is_some()).unwrap();
        let replica = lab.replica(0);
        lab.fill(usize::MAX, &large_page(), move |_| replica.raft().size().0 > LOG - 200);
        assert_eq!(lab.replica(0).raft().snapshot_index(), 0);
        let before = live_from_here();
        let replica = lab.replica(0);
        lab.fill(1, &large_page(), move |_| replica.raft().snapshot_index() > 0);
        (lab.bytes(0), PEAK.get() - before)
    })
}

#[test]
fn making_a_snapshot_of_32_mib_takes_less_than_4_mib_of_memory() {
    let (bytes, peak) = making(false);
    assert!(bytes >= 32 * MIB, "{bytes} bytes");
    let (disk, _) = disk_alone(bytes / PAGE);
    println!("{bytes} bytes of state; at most {peak} bytes more, of which the disk alone takes {disk}");
    assert!(peak - disk < 4 * MIB as isize, "{} bytes", peak - disk);
    // And the measure would show a copy.
    let (bytes, peak) = making(true);
    assert!(peak - disk > bytes as isize / 2, "{} bytes with a copy of {bytes}", peak - disk);
}

#[test]
fn a_fresh_follower_gets_32_mib_with_less_than_4_mib_of_memory() {
    let (bytes, peak) = run(1, |sim| {
        let lab = Lab::new(sim, 3, LOG, &Pages::default());
        sim.crash(lab.servers[2]);
        sim.until(LONG, || lab.replicas.borrow()[1].is_some()).unwrap();
        let replicas = lab.replicas.clone();
        let has_snapshot = move |_| {
            let of = |at: usize| replicas.borrow()[at].as_ref().is_some_and(|of| of.raft().snapshot_index() > 0);
            of(0) && of(1)
        };
        lab.fill(usize::MAX, &large_page(), has_snapshot);
        sim.run_for(Duration::from_secs(1));
        let before = live_from_here();
        sim.boot(lab.servers[2]);
        sim.until(LONG, || lab.replicas.borrow()[2].as_ref().is_some_and(|of| of.raft().snapshot_index() > 0)).unwrap();
        let applied = || lab.replicas.borrow().iter().map(|of| of.as_ref().map(Replica::applied)).collect::<Vec<_>>();
        sim.until(LONG, || applied().iter().all(|of| *of == applied()[0])).unwrap();
        let peak = PEAK.get() - before;
        lab.same(2, 0);
        (lab.bytes(2), peak)
    });
    assert!(bytes >= 32 * MIB, "{bytes} bytes");
    let (while_written, written) = disk_alone(bytes / PAGE);
    let needed = while_written.max(written + bytes as isize);
    println!("{bytes} bytes of state; at most {peak} bytes more, where disk and state take {needed}");
    // Leader and follower together.
    assert!(peak - needed < 4 * MIB as isize, "{} bytes", peak - needed);
    assert!(peak > needed / 2, "the state was not transferred: {peak} bytes");
}

// ---- crashes and damage ----------------------------------------------------------------------------------------------

/// Two servers with a snapshot of 2 MiB, and one that has nothing and starts now.
fn with_a_fresh_follower(seed: u64, experiment: impl FnOnce(&Lab) + Send) {
    run(seed, |sim| {
        let lab = Lab::new(sim, 3, 2_000, &Pages::default());
        sim.crash(lab.servers[2]);
        sim.until(LONG, || lab.replicas.borrow()[1].is_some()).unwrap();
        lab.fill(32, &large_page(), |count| count == 100);
        sim.run_for(Duration::from_secs(1));
        assert!((0..2).all(|at| lab.replica(at).raft().snapshot_index() > 20));
        sim.boot(lab.servers[2]);
        experiment(&lab);
        lab.fill(32, &large_page(), |count| count == 5);
        lab.same(2, 0);
        assert_eq!(lab.bytes(2), 32 * PAGE);
    });
}

#[test]
fn a_crash_of_either_side_while_a_snapshot_is_sent_is_survived() {
    for seed in 0..12 {
        with_a_fresh_follower(seed, |lab| {
            for round in 0..4 {
                lab.sim.run_for(Duration::from_millis(7 * (seed + 1) + 40 * round));
                let crashed = match seed % 2 {
                    0 => lab.servers[2],
                    // The leader, or the one that is to be.
                    _ => lab.servers[round as usize % 2],
                };
                lab.sim.crash(crashed);
                lab.sim.run_for(Duration::from_millis(100));
                lab.sim.boot(crashed);
            }
            lab.sim.until(LONG, || lab.replicas.borrow().iter().all(Option::is_some)).unwrap();
        });
    }
}

/// The leader finds the damage when it reads the piece that is to be sent, starts anew, and does without that snapshot.
#[test]
fn a_damaged_piece_is_found_and_not_sent() {
    for seed in 0..4 {
        with_a_fresh_follower(seed, |lab| {
            let leads = |at: &usize| lab.replica(*at).raft().status().1;
            let leader = (0..2).find(leads).expect("one of the two leads");
            let newest = lab.replica(leader).raft().snapshot_index();
            let starts = lab.starts.borrow()[leader];
            drop(lab.sim.inject(Fault::BitRot {
                nodes: vec![lab.servers[leader]],
                sectors: 32,
                files: format!("raft/snapshots/snapshot-{newest:016x}"),
            }));
            lab.sim.until(LONG, || lab.starts.borrow()[leader] > starts).expect("it starts anew");
            assert!(lab.replica(leader).raft().snapshot_index() < newest);
        });
    }
}

// ---- when ------------------------------------------------------------------------------------------------------------

/// The bytes of snapshots that are written for each byte of the log, when a state of so many pages of so many bytes is written
/// over and over, by commands of the pages' size.
fn written_per_byte_applied(pages: usize, len: usize, rounds: usize) -> f64 {
    run(1, move |sim| {
        let lab = Lab::new(sim, 1, 4_000, &Pages::default());
        sim.until(LONG, || lab.replicas.borrow()[0].is_some()).unwrap();
        let fill = Fill { page: 0, len, with: 0, padding: "p".repeat(len) };
        lab.fill(pages, &fill, move |count| count == pages);
        SAVED.set(0);
        lab.fill(pages, &fill, move |count| count == pages * rounds);
        // Entry, time, kind, session and number are in the log with each command.
        let entry = 24 + sim::codec::encode(&(0u64, 0u32, 0u64, 0u64, &fill)).expect("it is small").len();
        SAVED.get() as f64 / (pages * rounds * entry) as f64
    })
}

#[test]
fn snapshots_at_most_double_what_is_written() {
    let small = written_per_byte_applied(16, 256, 50);
    let large = written_per_byte_applied(128, 64 * KIB, 4);
    println!("{small:.3} bytes of snapshots for each byte of the log with a state of 4 KiB, {large:.3} with 8 MiB");
    assert!((0.5..=1.0).contains(&small), "{small}");
    assert!((0.5..=1.0).contains(&large), "{large}");
}
