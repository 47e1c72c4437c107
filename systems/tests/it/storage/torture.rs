//! The write-ahead log against a model, while everything goes wrong: crashes and kills at any moment, operations that fail,
//! reads that lie, disks that are full, sectors that rot.
//!
//! The model knows, for each moment, which logs a recovery may show: all that was acknowledged, and of what was only tried
//! as much as survived. What a recovery has shown is a promise like an acknowledgement, and the model from then on.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;

use sim::fault::Fault;
use sim::fs::{self, CrashImage, DiskConfig, Loss};
use sim::seed::{Draw, Seed, Sequence};
use sim::{Capacity, NodeId, rand, simulate, time};
use systems::storage::StorageError;
use systems::storage::wal::{self, Finding, HEADER, Location, Marking, Options, Read, Recovery, Wal};

/// What a reader sees: a payload, or that it is lost.
type Contents = BTreeMap<u64, Option<Vec<u8>>>;

/// A log that may be there.
#[derive(Clone, Debug)]
struct State {
    /// Its first record is one of these.
    first: (u64, u64),
    entries: Contents,
    /// Up to here it is certain.
    acked: u64,
}

#[derive(Debug)]
struct Model {
    /// More than one while a truncation is under way.
    may_be: Vec<State>,
    /// Acknowledged records may be lost, if the log says so: sectors were damaged.
    damage: bool,
    /// Writes may land elsewhere: what they hit is cured when something else is written there.
    astray: bool,
    /// Both copies of a mark went elsewhere: nothing on the disk tells that it was ever written.
    mark_lost: bool,
    /// Where each acknowledged record is, or was before it was lost.
    places: BTreeMap<u64, Location>,
    /// Those that damage has hit.
    hit: BTreeSet<u64>,
    /// How often there was damage.
    strikes: u64,
    /// It may be unknown whether what is lost was acknowledged.
    ambiguity: bool,
    seen: Seen,
}

/// How often things happened, over all runs.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    opens: u64,
    failed_opens: u64,
    poisoned: u64,
    full: u64,
    torn: u64,
    ambiguous: u64,
    corrupt: u64,
    acked: u64,
    lost: u64,
    truncated: u64,
}

impl Seen {
    fn add(&mut self, other: Seen) {
        self.opens += other.opens;
        self.failed_opens += other.failed_opens;
        self.poisoned += other.poisoned;
        self.full += other.full;
        self.torn += other.torn;
        self.ambiguous += other.ambiguous;
        self.corrupt += other.corrupt;
        self.acked += other.acked;
        self.lost += other.lost;
        self.truncated += other.truncated;
    }
}

impl Model {
    fn now(&mut self) -> &mut State {
        assert_eq!(self.may_be.len(), 1, "a truncation is under way");
        &mut self.may_be[0]
    }

    /// Records that are durable.
    fn durable(&mut self, wal: &Wal, indexes: RangeInclusive<u64>) {
        for (index, place) in indexes.filter_map(|index| Some((index, wal.locate(index)?))) {
            if self.places.get(&index) != Some(&place) {
                self.places.insert(index, place);
                self.hit.remove(&index);
            }
        }
    }

    /// Looks which records are damaged.
    fn look(&mut self, node: NodeId) {
        let damaged = |place: &Location| {
            fs::damaged(node, &place.path, place.offset - HEADER as u64, place.offset + place.len.max(1))
        };
        self.hit.extend(self.places.iter().filter(|(_, place)| damaged(place)).map(|(index, _)| index));
    }

    fn look_at_marks(&mut self) {
        let node = sim::node::this();
        let image = fs::crash_image(node, Loss::Everything);
        let Some((path, _)) = image.files().find(|(path, _)| path.contains("/mark-")) else { return };
        let damaged = |at: u64| fs::damaged(node, path, at, at + 512);
        self.mark_lost = self.astray && (damaged(0) && damaged(8192) || damaged(4096) && damaged(12288));
    }

    /// Whether a record can be read by somebody who knows where it is.
    fn is_sound(&self, index: u64, image: &CrashImage) -> bool {
        let Some(place) = self.places.get(&index) else { return false };
        let start = place.offset - HEADER as u64;
        let bytes = image.read(&place.path).and_then(|bytes| bytes.get(start as usize..));
        bytes.and_then(|bytes| wal::decode(&place.path, start, bytes)).is_some_and(|(number, _)| number == index)
    }

    /// Holds what a recovery shows against what may be there. From now on it is what is there. `quiet`: nothing was damaged
    /// meanwhile.
    fn recovered(&mut self, recovery: &Recovery, contents: Contents, quiet: bool) {
        self.look(sim::node::this());
        let seen = &mut self.seen;
        seen.opens += 1;
        for finding in &recovery.findings {
            match finding {
                Finding::Torn { .. } => seen.torn += 1,
                Finding::Ambiguous { .. } => seen.ambiguous += 1,
                Finding::Corrupt { .. } => seen.corrupt += 1,
            }
        }
        let problems: Vec<_> =
            self.may_be.iter().map(|state| self.problem(state, recovery, &contents, quiet)).collect();
        assert!(
            problems.iter().any(Option::is_none),
            "{problems:?}\nrecovery: {recovery:?}\nlog: {contents:?}\nmodel: {self:#?}"
        );
        let (first, last) = (recovery.first, recovery.last);
        self.seen.lost += contents.values().filter(|payload| payload.is_none()).count() as u64;
        self.may_be = vec![State { first: (first, first), entries: contents, acked: last }];
    }

    fn problem(&self, state: &State, recovery: &Recovery, contents: &Contents, quiet: bool) -> Option<String> {
        let image = fs::crash_image(sim::node::this(), Loss::Everything);
        let (first, last) = (recovery.first, recovery.last);
        if !(state.first.0..=state.first.1).contains(&first) {
            return Some(format!("it begins with {first}"));
        }
        if !contents.keys().copied().eq(first..=last) {
            return Some(format!("the reader does not show {first} to {last}"));
        }
        if last < state.acked && !self.mark_lost {
            return Some(format!("it ends with {last}, and {} was acknowledged", state.acked));
        }
        if !self.damage && recovery.findings.iter().any(|finding| matches!(finding, Finding::Corrupt { .. })) {
            return Some("nothing is damaged, and it says so".to_owned());
        }
        if !self.ambiguity && recovery.findings.iter().any(|finding| matches!(finding, Finding::Ambiguous { .. })) {
            return Some("it does not know what it should".to_owned());
        }
        let named = |index: u64| {
            recovery.findings.iter().any(|finding| match *finding {
                Finding::Corrupt { first, last } => (first..=last).contains(&index),
                Finding::Ambiguous { first, last } => {
                    (first..=last).contains(&index) && (index > state.acked || self.damage)
                }
                Finding::Torn { .. } => false,
            })
        };
        contents.iter().find_map(|(index, payload)| {
            let known = state.entries.get(index);
            let right = match (payload, known) {
                (Some(_), known) => Some(payload) == known,
                (None, Some(None)) => true,
                // What rots after the log was opened, its reader says alone.
                (None, _) if !named(*index) && (quiet || !self.damage) => false,
                (None, _) if *index > state.acked => true,
                // A crash can hide where a record was that a truncation made durable.
                (None, _) if self.astray || !self.places.contains_key(index) => true,
                (None, _) => self.hit.contains(index) && !self.is_sound(*index, &image),
            };
            (!right).then(|| format!("record {index} is {payload:?}, and should be {known:?}"))
        })
    }
}

async fn contents(wal: &Wal) -> Result<Contents, StorageError> {
    let mut reader = wal.read(wal.first());
    let mut contents = Contents::new();
    while let Some(read) = reader.next().await? {
        match read {
            Read::Record { index, payload } => assert_eq!(contents.insert(index, Some(payload)), None),
            Read::Lost { first, last } => contents.extend((first..=last).map(|index| (index, None))),
        }
    }
    Ok(contents)
}

/// A life of the node: opens, compares, works, until something fails, and again.
async fn live(model: Rc<RefCell<Model>>, options: Options, markings: &[Marking]) {
    loop {
        let strikes = model.borrow().strikes;
        model.borrow_mut().look_at_marks();
        let opened = async {
            let marking = markings[rand::below(markings.len() as u64) as usize];
            let (wal, recovery) = Wal::open(Options { marking, ..options.clone() }).await?;
            let contents = contents(&wal).await?;
            Ok::<_, StorageError>((wal, recovery, contents))
        };
        match opened.await {
            Ok((wal, recovery, contents)) => {
                assert_eq!((wal.first(), wal.last(), wal.durable()), (recovery.first, recovery.last, recovery.last));
                {
                    let mut model = model.borrow_mut();
                    let quiet = model.strikes == strikes && !model.astray;
                    model.recovered(&recovery, contents, quiet);
                    model.durable(&wal, recovery.first..=recovery.last);
                }
                if let Err(error) = work(&wal, &model).await {
                    let mut model = model.borrow_mut();
                    model.seen.poisoned += 1;
                    model.seen.full += u64::from(error.is_full());
                    assert!(wal.append(b"").is_err(), "it goes on after {error}");
                }
            }
            Err(_) => model.borrow_mut().seen.failed_opens += 1,
        }
        time::sleep(rand::duration(Duration::ZERO, Duration::from_millis(4))).await;
    }
}

async fn work(wal: &Wal, model: &RefCell<Model>) -> Result<(), StorageError> {
    while !rand::chance(0.02) {
        let (first, last) = (wal.first(), wal.last());
        match rand::below(10) {
            0..=5 => {
                for _ in 0..rand::between(1, 6) {
                    let long = if rand::chance(0.1) { 900 } else { 90 };
                    let payload: Vec<u8> = (0..rand::below(long)).map(|_| rand::below(256) as u8).collect();
                    let index = wal.append(&payload)?;
                    model.borrow_mut().now().entries.insert(index, Some(payload));
                }
                let index = if rand::chance(0.8) { wal.last() } else { rand::between(last, wal.last()) };
                wal.sync(index).await?;
                let mut model = model.borrow_mut();
                let acked = model.now().acked.max(index);
                let known = model.now().acked;
                model.seen.acked += acked - known;
                model.durable(wal, known + 1..=acked);
                model.now().acked = acked;
            }
            6 => {
                let from = rand::between(first.max(last.saturating_sub(6)), last + 1);
                {
                    let mut model = model.borrow_mut();
                    let mut cut = model.now().clone();
                    cut.entries.split_off(&from);
                    cut.acked = from - 1;
                    model.may_be.push(cut);
                    model.seen.truncated += 1;
                }
                wal.truncate_suffix(from).await?;
                let mut model = model.borrow_mut();
                model.may_be.remove(0);
                // What was in front of the cut and waited for nobody is durable now.
                model.durable(wal, first..=from - 1);
            }
            7 => {
                let before = rand::between(first, (last + 1).max(first));
                let limit = model.borrow_mut().now().first.0.max(before);
                model.borrow_mut().now().first.1 = limit;
                wal.truncate_prefix(before).await?;
                let mut model = model.borrow_mut();
                let first = wal.first();
                assert!(first <= limit);
                model.now().first = (first, first);
                model.now().entries.retain(|index, _| *index >= first);
            }
            8 => time::sleep(rand::duration(Duration::ZERO, Duration::from_millis(3))).await,
            _ => {
                // What is durable is what readers see.
                let durable = wal.durable();
                let seen = contents(wal).await?;
                let mut model = model.borrow_mut();
                let damage = model.damage;
                for (index, payload) in seen.range(..=durable) {
                    let known = &model.now().entries[index];
                    assert!(
                        payload == known || damage && payload.is_none(),
                        "record {index} is {payload:?}, not {known:?}"
                    );
                }
            }
        }
    }
    Ok(())
}

/// What is done to a log.
#[derive(Clone, Copy)]
struct Torture {
    disks: DiskConfig,
    /// In which files sectors rot and go bad as well.
    damage: Option<&'static str>,
    /// How each life may write marks.
    markings: &'static [Marking],
    planted: Option<&'static str>,
}

/// Nothing but crashes and kills, and lives of both kinds.
fn crashes() -> Torture {
    let markings = &[Marking::WithBatch, Marking::AfterBatch];
    Torture { disks: DiskConfig::default(), damage: None, markings, planted: None }
}

/// One run.
fn torture(seed: u64, torture: Torture) -> Result<Seen, String> {
    let Torture { disks, damage, markings, planted } = torture;
    let run = simulate(seed, |sim| {
        sim.disks(disks);
        sim.plant(&planted.map(str::to_owned).into_iter().collect::<Vec<_>>());
        let state = State { first: (1, 1), entries: Contents::new(), acked: 0 };
        let model = Rc::new(RefCell::new(Model {
            may_be: vec![state],
            damage: damage.is_some(),
            astray: disks.misdirect > 0.0,
            mark_lost: false,
            places: BTreeMap::new(),
            hit: BTreeSet::new(),
            strikes: 0,
            // All marks are there, and know it.
            ambiguity: markings.contains(&Marking::WithBatch) || damage == Some("*"),
            seen: Seen::default(),
        }));
        let shared = model.clone();
        let segment = [100, 700, 3000][(seed % 3) as usize];
        let options = Options { dir: "data/wal".into(), segment, max_record: 1000, marking: Marking::WithBatch };
        let node = sim.node("a", move || live(shared.clone(), options.clone(), markings));
        let mut draws = Sequence::of(Seed(seed));
        for _ in 0..12 {
            sim.run_for(Duration::from_micros(draws.draw().below(40_000)));
            strike(sim, node, draws.draw(), damage);
            let mut model = model.borrow_mut();
            model.strikes += 1;
            model.look(node);
        }
        model.borrow().seen
    })
    .unwrap();
    match run.failures.first() {
        None => Ok(run.value),
        Some(failure) => Err(format!("seed {seed}: {}", failure.explanation)),
    }
}

fn strike(sim: &sim::Sim, node: NodeId, draw: Draw, damage: Option<&str>) {
    let files = damage.unwrap_or_default().to_owned();
    match draw.below(6) {
        0..=2 => sim.crash(node),
        3 => drop(sim.inject(Fault::Kill(vec![node]))),
        4 if damage.is_some() => drop(sim.inject(Fault::BitRot { nodes: vec![node], sectors: 1, files })),
        5 if damage.is_some() => drop(sim.inject(Fault::BadSectors { nodes: vec![node], sectors: 1, files })),
        _ => {}
    }
    sim.boot(node);
}

/// How many runs a test makes; `SEEDS` in the environment asks for more.
fn seeds() -> u64 {
    std::env::var("SEEDS").map_or(400, |seeds| seeds.parse().expect("SEEDS is a number"))
}

fn many(torment: Torture) -> Seen {
    let mut seen = Seen::default();
    for seed in 0..seeds() {
        match torture(seed, torment) {
            Ok(more) => seen.add(more),
            Err(failure) => panic!("{failure}"),
        }
    }
    assert!(seen.opens > seeds() * 5 && seen.acked > seeds() * 20, "{seen:?}");
    seen
}

#[test]
fn crashes_and_kills_lose_nothing_that_was_acknowledged() {
    let seen = many(crashes());
    assert_eq!((seen.poisoned, seen.failed_opens, seen.corrupt), (0, 0, 0));
    // What a crash leaves is judged in both ways: it is known to be torn, or nobody can tell.
    assert!(seen.torn > 20 && seen.ambiguous > 20 && seen.truncated > 100, "{seen:?}");
}

#[test]
fn a_mark_that_waits_for_its_batch_leaves_nothing_ambiguous_after_a_crash() {
    let seen = many(Torture { markings: &[Marking::AfterBatch], ..crashes() });
    assert_eq!((seen.poisoned, seen.failed_opens, seen.corrupt, seen.ambiguous, seen.lost), (0, 0, 0, 0, 0));
    assert!(seen.torn > 20 && seen.truncated > 100, "{seen:?}");
}

#[test]
fn a_mark_that_waits_for_its_batch_knows_that_what_rots_was_acknowledged() {
    let seen = many(Torture { markings: &[Marking::AfterBatch], damage: Some("data/wal/segment-*"), ..crashes() });
    assert_eq!(seen.ambiguous, 0);
    assert!(seen.corrupt > 10 && seen.lost > 10 && seen.torn > 20, "{seen:?}");
}

#[test]
fn failed_syncs_and_writes_lose_nothing_that_was_acknowledged() {
    let disks = DiskConfig { sync_error: 0.03, write_error: 0.01, ..DiskConfig::default() };
    let seen = many(Torture { disks, ..crashes() });
    assert!(seen.poisoned > 100 && seen.failed_opens > 10, "{seen:?}");
}

#[test]
fn reads_that_fail_or_lie_lose_nothing_at_all() {
    let disks = DiskConfig { read_error: 0.1, corrupt_read: 0.1, ..DiskConfig::default() };
    many(Torture { disks, ..crashes() });
}

#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let disks = DiskConfig { capacity: Capacity::from_bytes(16 * 1024), ..DiskConfig::default() };
    let seen = many(Torture { disks, ..crashes() });
    assert!(seen.full > 10, "{seen:?}");
}

#[test]
fn damaged_sectors_cost_what_was_in_them_and_it_is_said() {
    let seen = many(Torture { damage: Some("*"), ..crashes() });
    assert!(seen.corrupt > 10 && seen.lost > 10, "{seen:?}");
}

#[test]
fn everything_at_once() {
    let disks = DiskConfig {
        read_error: 0.02,
        corrupt_read: 0.02,
        sync_error: 0.02,
        write_error: 0.005,
        ..DiskConfig::default()
    };
    many(Torture { disks, damage: Some("*"), ..crashes() });
}

#[test]
fn writes_that_land_elsewhere_cost_what_they_hit_and_it_is_said() {
    let disks = DiskConfig { misdirect: 0.005, ..DiskConfig::default() };
    let seen = many(Torture { disks, damage: Some("*"), ..crashes() });
    assert!(seen.corrupt > 10 && seen.lost > 10, "{seen:?}");
}

/// Each known bug is found by these runs; so they can fail.
#[test]
fn known_bugs_are_found() {
    let failing = DiskConfig { sync_error: 0.05, ..DiskConfig::default() };
    let sound = DiskConfig::default();
    for (bug, disks, damage) in [
        ("wal.ack-before-sync", sound, None),
        ("wal.ignore-sync-error", failing, None),
        ("wal.retry-sync", failing, None),
        ("wal.trust-length", sound, None),
        ("wal.rot-is-tail", sound, Some("*")),
        ("wal.no-dir-sync", sound, None),
        ("wal.trust-cache", sound, None),
        ("wal.cut-without-sync", sound, None),
    ] {
        for markings in [&[Marking::WithBatch], &[Marking::AfterBatch]] {
            let torment = Torture { disks, damage, markings, planted: Some(bug) };
            let found = (0..2000).find_map(|seed| torture(seed, torment).err().map(|why| (seed, why)));
            let (seed, why) = found.unwrap_or_else(|| panic!("{bug} is not found with {markings:?}"));
            println!("{bug}, {markings:?}: seed {seed}: {}", &why[..why.len().min(300)]);
        }
    }
}
