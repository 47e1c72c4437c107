//! A worker as its parent sees it: started, asked, waited for within limits, and never left over.

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::one::Task;
use super::output::{Output, Shown};
use super::protocol::{Inbox, Reply, Request, Setup, TaskText, frame, send};
use crate::cli;
use crate::console::Console;
use crate::stop::Stop;

/// How long a worker may take until it is ready.
const START: Duration = Duration::from_secs(60);
/// How often a parent that waits looks whether the sweep goes on.
const SLICE: Duration = Duration::from_millis(50);
/// The shortest that it waits: a read that waits for no time at all is an error.
const LEAST: Duration = Duration::from_millis(1);

/// The signal that asks a worker where its run hangs.
pub const NAME_HANG: Signal = Signal::SIGUSR2;

/// What a worker is like in everything that must not matter to its runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    /// Like its parent.
    #[default]
    First,
    /// Unlike its parent: in its environment, locale, time zone, working directory, number of threads and addresses.
    Second,
}

/// The environment of the second side. The last makes the allocator reuse memory in another order.
const SECOND: [(&str, &str); 7] = [
    ("TZ", "Pacific/Chatham"),
    ("LANG", "tr_TR.UTF-8"),
    ("LC_ALL", "tr_TR.UTF-8"),
    ("HOME", "/nonexistent"),
    ("USER", "second"),
    ("TMPDIR", "/"),
    ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0"),
];

/// How to start a worker.
pub struct Launch {
    program: PathBuf,
    /// What the worker is told first, on either side.
    setups: [Vec<u8>; 2],
    shown: Arc<Shown>,
    /// How long a run may take.
    pub timeout: Duration,
    /// How much memory a run may take.
    pub memory: Option<u64>,
}

impl Launch {
    /// This program again, to run these tasks with at most so much memory.
    ///
    /// # Errors
    ///
    /// If this program cannot be found, or the tasks are too large to be told.
    pub fn new(tasks: &[Task<'_>], memory: Option<u64>, timeout: Duration, console: &Console) -> Result<Launch> {
        // The link still leads to this program when its file has been replaced, as by a build during the sweep.
        let link = Path::new("/proc/self/exe");
        let program = if link.exists() { link.to_owned() } else { std::env::current_exe()? };
        let text = |task: &Task<'_>| TaskText {
            path: task.scenario.path().to_owned(),
            scenario: task.scenario.source().to_owned(),
            planted: task.planted.clone(),
        };
        let setup = |is_second| {
            let setup = Setup { memory, is_second, tasks: tasks.iter().map(text).collect() };
            frame(&Request::Setup(setup)).context("too many scenarios for one sweep")
        };
        let setups = [setup(false)?, setup(true)?];
        Ok(Launch { program, setups, shown: Shown::new(console), timeout, memory })
    }
}

/// A running worker. It dies when dropped.
pub struct Process {
    child: Child,
    stream: UnixStream,
    inbox: Inbox,
    output: Output,
    /// How long a read waits at most.
    slice: Duration,
}

/// What came of waiting.
pub enum Received {
    /// An answer.
    Reply(Reply),
    /// The worker is gone.
    Closed,
    /// Nothing in time.
    TimedOut,
    /// The sweep ended.
    Stopped,
    /// No answer that makes sense.
    Nonsense(String),
}

/// The memory of a process, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// What counts against the limit.
    pub address_space: u64,
    /// What is there.
    pub resident: u64,
}

impl Process {
    /// Starts one and waits until it is ready; none if the sweep ended meanwhile.
    ///
    /// # Errors
    ///
    /// If it cannot be started, dies or says something else.
    pub fn start(launch: &Launch, side: Side, stop: &Stop) -> Result<Option<Process>, String> {
        let failed = |error: io::Error| format!("cannot start a worker process: {error}");
        let mut process = spawn(launch, side).map_err(failed)?;
        // What there is to run may be more than the socket holds, and the worker may not read it.
        let (setup, mut stream) = (launch.setups[side as usize].clone(), process.stream.try_clone().map_err(failed)?);
        thread::spawn(move || io::Write::write_all(&mut stream, &setup));
        let why = match process.receive(Instant::now() + START, stop) {
            Received::Reply(Reply::Ready) => return Ok(Some(process)),
            Received::Stopped => return Ok(None),
            Received::Reply(Reply::Cannot(why)) => why,
            Received::Reply(_) => "it answers what nobody asked".to_owned(),
            Received::Nonsense(why) => why,
            Received::TimedOut => format!("it was not ready within {}", humantime::format_duration(START)),
            Received::Closed => {
                let (status, lines) = process.end().map_err(failed)?;
                let lines: String = lines.iter().map(|line| format!("\n  {line}")).collect();
                format!("it ended with {status}{lines}")
            }
        };
        Err(format!("a worker process did not begin to work: {why}"))
    }

    /// Asks. If the worker is gone, [`Process::receive`] will say so.
    pub fn send(&mut self, request: &Request) {
        let _ = send(&self.stream, request);
    }

    /// Waits for the next answer. What has arrived by `deadline` counts, however late it is read.
    pub fn receive(&mut self, deadline: Instant, stop: &Stop) -> Received {
        loop {
            match self.inbox.next() {
                Ok(Some(reply)) => return Received::Reply(reply),
                Ok(None) => {}
                Err(why) => return Received::Nonsense(why),
            }
            if stop.drops_runs() {
                return Received::Stopped;
            }
            let left = deadline.saturating_duration_since(Instant::now()).clamp(LEAST, SLICE);
            if left != self.slice && self.stream.set_read_timeout(Some(left)).is_ok() {
                self.slice = left;
            }
            match self.inbox.fill(&self.stream) {
                Ok(0) => return Received::Closed,
                Ok(_) => continue,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Received::Closed,
            }
            if Instant::now() >= deadline {
                return Received::TimedOut;
            }
        }
    }

    /// Whether it ended by itself.
    pub fn is_dead(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// How much memory it has; none if the system does not say.
    pub fn memory(&self) -> Option<Memory> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let bytes = |key: &str| {
            let kib = status.lines().find_map(|line| line.strip_prefix(key))?.trim().strip_suffix(" kB")?;
            Some(kib.parse::<u64>().ok()? << 10)
        };
        Some(Memory { address_space: bytes("VmSize:")?, resident: bytes("VmRSS:")? })
    }

    /// Sees it die, or kills it if it does not. Returns how it ended and what it printed last.
    ///
    /// # Errors
    ///
    /// If it cannot be waited for.
    pub fn end(mut self) -> io::Result<(ExitStatus, Vec<String>)> {
        // The socket closes before the process has ended; its end is what is to be known.
        let patience = Instant::now() + Duration::from_secs(10);
        while self.child.try_wait()?.is_none() && Instant::now() < patience {
            thread::sleep(Duration::from_millis(1));
        }
        self.child.kill()?;
        Ok((self.child.wait()?, self.output.last_lines()))
    }

    /// Kills it because its run hangs, after a question where that is. Returns what it printed last.
    pub fn kill(mut self) -> Vec<String> {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.child.id() as i32), NAME_HANG);
        let patience = Instant::now() + Duration::from_secs(2);
        while !self.is_dead() && Instant::now() < patience {
            thread::sleep(Duration::from_millis(1));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.output.last_lines()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It works on nothing any more. Waiting is what adds its CPU time to this process's account, and lets all be seen
        // that it printed.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.output.wait();
    }
}

fn spawn(launch: &Launch, side: Side) -> io::Result<Process> {
    let (stream, theirs) = UnixStream::pair()?;
    stream.set_read_timeout(Some(SLICE))?;
    let (pipe, writer) = io::pipe()?;
    let mut command = Command::new(&launch.program);
    command.arg(cli::WORKER).stdin(OwnedFd::from(theirs)).stdout(writer.try_clone()?).stderr(writer);
    if side == Side::Second {
        command.envs(SECOND).current_dir("/");
    }
    // A Ctrl-C at the terminal is for the sweep, which ends its workers when it has dealt with it.
    command.process_group(0);
    let child = command.spawn()?;
    // It holds the worker's ends of socket and pipe; with them the end of the worker would not be seen.
    drop(command);
    let output = Output::read(pipe, launch.shown.clone());
    Ok(Process { child, stream, inbox: Inbox::default(), output, slice: SLICE })
}
