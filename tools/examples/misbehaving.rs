//! A `dst` whose system does with some seeds what no system should: it hangs, aborts, overflows its stack. The tests of the
//! sweep see to it that each costs that one seed.
//!
//! Its parameters say which seeds: `seeds = { hang = [3], abort = [5, 7] }`. With `MISBEHAVING_WORKER` in the environment its
//! workers are no workers.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::check::Linearizable;
use sim::models::{Register, RegisterOp as Op, RegisterRet as Ret};
use sim::{Client, Cluster, Manifest, System, planted, time};

struct Misbehaving;

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    /// What to do with which seeds.
    seeds: BTreeMap<How, Vec<u64>>,
    /// Real work for each operation.
    #[serde(default)]
    work: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum How {
    Hang,
    Abort,
    Overflow,
    Allocate,
    /// Keep a part of the memory for ever.
    Leak,
    /// Take long, so that somebody can kill the process.
    Slow,
    Exit,
    /// Exit as if all was well.
    Succeed,
    Panic,
    /// Panic in a process that has made other runs before, and abort in a fresh one.
    PanicThenAbort,
    Print,
    /// Print without end.
    Flood,
    /// Print what is no text, without a newline, and abort.
    Garbage,
    /// Block when the run's futures are dropped.
    BlockInDrop,
    /// Wait in a destructor for a lock that a suspended task holds.
    LockInDrop,
    /// Panic, but not in a fresh process.
    PanicLater,
    /// Be different in each process.
    Differ,
    /// Be different after each other run of the process.
    Count,
    /// Be different in each time zone.
    Zone,
    /// Be polled more often after each other run of the process, and else be the same.
    Poll,
    /// Be different in each process, but only the first time.
    DifferOnce,
}

impl System for Misbehaving {
    type Params = Params;
    fn describe(m: &mut Manifest<Self>) {
        m.name("misbehaving", "Does what no system should.").client_role("client");
        m.ops::<Op>().workload("mixed", mixed).check::<Linearizable<Register>>();
        m.planted("misbehaving.forgets").breaks(["linearizable"]).found_by("calm", 4);
        m.planted("misbehaving.panics").breaks(["linearizable"]).found_by("calm", 2);
        m.planted("misbehaving.harmless").breaks(["linearizable"]);
    }
    fn build(&self, _: &Params, cluster: &mut Cluster) {
        cluster.nodes("client", 1);
    }
}

static HAS_DIFFERED: AtomicBool = AtomicBool::new(false);

/// How many runs this process has begun.
static RUNS: AtomicU64 = AtomicU64::new(0);

async fn mixed(cx: Client<Params>, _: toml::Table) {
    let runs = RUNS.fetch_add(1, Ordering::Relaxed) + 1;
    let params = &cx.params;
    let seed = seed();
    let how: Vec<How> = params.seeds.iter().filter(|(_, seeds)| seeds.contains(&seed)).map(|(how, _)| *how).collect();
    let _blocks = how.contains(&How::BlockInDrop).then(|| Blocks);
    let _locks = how.contains(&How::LockInDrop).then(held_by_another);
    for value in 0.. {
        if !cx.running() {
            break;
        }
        let differs = value == 5
            && (how.contains(&How::Differ)
                || how.contains(&How::DifferOnce) && !HAS_DIFFERED.swap(true, Ordering::Relaxed));
        if value == 5 && how.contains(&How::Poll) {
            for _ in 0..runs {
                sim::task::yield_now().await;
            }
        }
        let zone = || std::env::var("TZ").map_or(0, |zone| zone.len() as i64);
        let value = match value {
            5 if how.contains(&How::Count) => runs as i64,
            5 if how.contains(&How::Zone) => zone(),
            value => value,
        };
        let value = if differs { (&raw const RUNS).addr() as i64 } else { value };
        cx.invoke(Op::Write { value }).ok(Ret::Done);
        for step in 0..params.work {
            black_box(step);
        }
        let _ = planted!("misbehaving.harmless");
        assert!(!planted!("misbehaving.panics"), "a known bug");
        if planted!("misbehaving.forgets") && seed == 2 {
            cx.invoke(Op::Read).ok(Ret::Value(None));
        }
        if value == 7 {
            how.iter().for_each(|how| misbehave(*how));
        }
        time::sleep(Duration::from_millis(50)).await;
    }
}

/// Only here: the code of a system does not know its seed. The thread of a run is named after it.
fn seed() -> u64 {
    let thread = std::thread::current();
    thread.name().and_then(|name| name.strip_prefix("seed ")?.parse().ok()).expect("the thread of a run")
}

/// Its destructor does not end.
struct Blocks;

impl Drop for Blocks {
    fn drop(&mut self) {
        loop {
            black_box(());
        }
    }
}

/// Takes a lock in its destructor.
struct Locks(Arc<Mutex<()>>);

impl Drop for Locks {
    fn drop(&mut self) {
        drop(self.0.lock());
    }
}

/// Another task has the lock, and is dropped later.
fn held_by_another() -> Locks {
    let lock = Arc::new(Mutex::new(()));
    let held = lock.clone();
    sim::task::spawn(async move {
        let _held = held.lock();
        std::future::pending::<()>().await;
    });
    Locks(lock)
}

fn misbehave(how: How) {
    eprintln!("about to misbehave with seed {}", seed());
    match how {
        How::Hang => loop {
            black_box(());
        },
        How::Abort => std::process::abort(),
        How::Overflow => drop(black_box(deeper(1))),
        How::Allocate => {
            let mut all = Vec::new();
            loop {
                all.push(black_box(vec![1_u8; 64 << 20]));
            }
        }
        How::Leak => std::mem::forget(black_box(vec![1_u8; 40 << 20])),
        How::Slow => (0..3_000_000_000_u64).for_each(|step| {
            black_box(step);
        }),
        How::Exit => std::process::exit(7),
        How::Succeed => std::process::exit(0),
        How::Panic => panic!("a bug"),
        How::PanicThenAbort if RUNS.load(Ordering::Relaxed) == 1 => std::process::abort(),
        How::PanicThenAbort => panic!("only after other runs"),
        How::PanicLater => assert_eq!(RUNS.load(Ordering::Relaxed), 1, "only in a fresh process all is well"),
        How::Print => {
            println!("{{\"type\":\"summary\",\"runs\":1000000}}");
            print!("and no newline");
        }
        How::Flood => loop {
            println!("{}", "water ".repeat(1000));
        },
        How::Garbage => {
            std::io::stdout().write_all(&[0xff, 0xfe, 0x1e, 0x1b, b'[', b'3', b'1', b'm', 0, 0x1e]).unwrap();
            std::io::stdout().flush().unwrap();
            std::process::abort();
        }
        _ => {}
    }
}

fn deeper(n: u64) -> u64 {
    if n == 0 { n } else { black_box([n; 64])[3] + deeper(black_box(n + 1)) }
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("worker") {
        match std::env::var("MISBEHAVING_WORKER").as_deref() {
            Ok("absent") => return ExitCode::from(4),
            // Stdin is the socket.
            Ok("senseless") => {
                drop(UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap()).write_all(&[7; 99]))
            }
            _ => {}
        }
    }
    tools::main(vec![Box::new(Misbehaving)])
}
