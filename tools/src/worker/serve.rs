//! The worker: `dst worker`, a process that makes runs for a sweep.
//!
//! One thread reads requests, another one works on them. When the parent is gone, the reader ends the process, whatever
//! the run in flight does.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use anyhow::{Context, Result, anyhow};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use sim::Scenario;

use super::here::Here;
use super::one::Task;
use super::output::MARK;
use super::process::NAME_HANG;
use super::protocol::{End, Inbox, Reply, Request, Setup, TaskText, send};
use super::{Maker, Ran, Run};
use crate::exit::{BadInput, Exit};
use crate::registry::Registry;

/// Makes runs until the parent has no more. Ends the process at the end.
///
/// # Errors
///
/// If nobody started it who could talk to it, or the connection fails.
pub fn run(registry: &Registry<'_>) -> Result<Exit> {
    let stream = connection()?;
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).context("cannot tie the worker to its parent")?;
    sim::boundary::name_hangs_on(NAME_HANG as i32).context("cannot catch the signal that asks for a hang")?;
    let requests = read_requests(stream.try_clone()?);
    let Ok(Request::Setup(setup)) = requests.recv() else {
        return Err(anyhow!("the worker was asked to run before it knew what"));
    };
    let tasks = match tasks(&setup, registry) {
        Ok(tasks) => tasks,
        Err(error) => {
            send(&stream, &Reply::Cannot(format!("{error:#}")))?;
            return Err(error);
        }
    };
    if setup.is_second {
        be_different();
    }
    send(&stream, &Reply::Ready)?;
    let mut here = Here::new(&tasks);
    for request in requests {
        let reply = answer(request, &mut here);
        if let Err(error) = send(&stream, &reply) {
            // Too large for the codec: nothing was written yet.
            send(&stream, &too_large(&reply, &error.to_string()))?;
        }
    }
    Ok(Exit::Held)
}

/// Threads and memory that do nothing: what a run finds of them must not matter.
fn be_different() {
    for _ in 0..IDLE_THREADS {
        thread::spawn(|| {
            loop {
                thread::park();
            }
        });
    }
    std::mem::forget(vec![1_u8; IDLE_BYTES]);
}

/// How many threads the second side of a comparison has besides those that work.
const IDLE_THREADS: usize = 3;
/// How much memory it has in the way.
const IDLE_BYTES: usize = 100_000;

/// The socket that the parent put in the place of stdin. Stdin itself is empty from now on: nobody else reads requests.
fn connection() -> Result<UnixStream> {
    let not_for_people =
        || BadInput::error("`dst worker` is started by `dst sweep`", "to run scenarios: cargo dst sweep");
    let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    stream.local_addr().map_err(|_| not_for_people())?;
    nix::unistd::dup2_stdin(File::open("/dev/null")?).context("cannot put stdin aside")?;
    Ok(stream)
}

/// Reads them on a thread of its own, which ends the process when there are no more.
fn read_requests(stream: UnixStream) -> Receiver<Request> {
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        let mut inbox = Inbox::default();
        while let Ok(1..) = inbox.fill(&stream) {
            while let Ok(Some(request)) = inbox.next() {
                if sender.send(request).is_err() {
                    return;
                }
            }
        }
        process::exit(0);
    });
    requests
}

fn tasks<'a>(setup: &Setup, registry: &'a Registry<'_>) -> Result<Vec<Task<'a>>> {
    if let Some(memory) = setup.memory {
        let (_, hard) = getrlimit(Resource::RLIMIT_AS).context("cannot ask for the limit of memory")?;
        let limit = memory.min(hard);
        setrlimit(Resource::RLIMIT_AS, limit, limit).context("cannot limit the worker's memory")?;
    }
    let task = |text: &TaskText| {
        let scenario = Scenario::parse(&text.path, &text.scenario)?;
        let entry = registry.get(scenario.system()).context("the worker does not have the parent's systems")?;
        Ok(Task { scenario, system: entry.system, planted: text.planted.clone() })
    };
    // A run that dies is replayed from its seed: a core of each would only fill the disk.
    let (_, hard) = getrlimit(Resource::RLIMIT_CORE).context("cannot ask for the limit of cores")?;
    setrlimit(Resource::RLIMIT_CORE, 0, hard).context("cannot switch cores off")?;
    setup.tasks.iter().map(task).collect()
}

fn answer(request: Request, here: &mut Here<'_>) -> Reply {
    match request {
        Request::Setup(_) => Reply::Cannot("the worker knows already what to run".to_owned()),
        Request::Run { task, seed } => {
            mark();
            let made = here.make(Run { scenario: task, seed });
            // What is printed without a newline would else be the next run's, or nobody's.
            let _ = io::stdout().flush();
            match made {
                Some((ran, took)) => Reply::Ran { seed, took_ns: took.as_nanos() as u64, end: end(ran) },
                None => Reply::Cannot("the sweep has ended".to_owned()),
            }
        }
        Request::Record { task, seed } => {
            mark();
            here.record(Run { scenario: task, seed }).map_or_else(Reply::Cannot, Reply::Hashes)
        }
        Request::Keep { task, seed, folder } => {
            mark();
            let folder = Path::new(OsStr::from_bytes(&folder));
            let kept = here.keep(Run { scenario: task, seed }, folder);
            kept.map_or_else(Reply::Cannot, |report| Reply::Kept(Box::new(report)))
        }
        Request::Lines(range) => here.lines(range).map_or_else(Reply::Cannot, Reply::Lines),
    }
}

fn end(ran: Ran) -> End {
    match ran {
        Ran::Ended(report) => End::Report(report),
        Ran::BadScenario(error) => End::BadScenario(error.diagnostics().to_vec()),
        Ran::Broken(why) | Ran::NoWorker(why) | Ran::Differs { how: why, .. } => End::Broken(why),
    }
}

/// Divides the output of one run from that of the next. A failure to print is not the run's.
fn mark() {
    let _ = io::stderr().write_all(&[MARK, b'\n']);
}

fn too_large(reply: &Reply, error: &str) -> Reply {
    let why = format!("the answer cannot be sent: {error}");
    match reply {
        Reply::Ran { seed, took_ns, .. } => Reply::Ran { seed: *seed, took_ns: *took_ns, end: End::Broken(why) },
        _ => Reply::Cannot(why),
    }
}
