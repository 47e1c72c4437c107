//! Sweeps in real processes, over a system that does what no system should (`examples/misbehaving.rs`): whatever one seed
//! does, every other seed's result is there, the bad one is named, and no process is left over.

#![cfg(target_os = "linux")]

mod deaths;
mod determinism;
mod interruption;
mod kept;
mod throughput;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

/// A folder with a scenario `NAME.toml` for each pair of a name and the parameters of its system.
fn scenarios(all: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, params) in all {
        let text = format!(
            "[system]\nname = \"misbehaving\"\n{params}\n[run]\nmain = \"2s\"\n[[workload]]\nname = \"mixed\"\n"
        );
        fs::write(folder.path().join(format!("{name}.toml")), text).unwrap();
    }
    folder
}

/// A running `dst sweep`, or another command.
struct Sweep {
    child: Child,
    out: JoinHandle<String>,
    err: Receiver<String>,
    said: Vec<String>,
    workers: BTreeSet<i32>,
}

/// What came of it.
struct Ended {
    status: ExitStatus,
    out: String,
    err: Vec<String>,
}

/// `sweep(&folder, "--seeds 7")`
fn sweep(folder: &TempDir, flags: &str) -> Sweep {
    sweep_with(folder, flags, "")
}

/// `dst(&folder, "corpus run .")`
fn dst(folder: &TempDir, line: &str) -> Sweep {
    start(folder, line, "")
}

/// The same, with workers that are none.
fn sweep_with(folder: &TempDir, flags: &str, workers: &str) -> Sweep {
    start(folder, &format!("sweep . {flags}"), workers)
}

fn start(folder: &TempDir, line: &str, workers: &str) -> Sweep {
    launch(Command::new(program()), folder, line, workers)
}

/// What `misbehaving.rs` was built to.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join("examples/misbehaving");
    assert!(program.exists(), "first: cargo build --package tools --example misbehaving");
    program
}

/// Starts the program of `command` with these arguments after those that it has.
fn launch(mut command: Command, folder: &TempDir, line: &str, workers: &str) -> Sweep {
    let mut child = command
        .args(line.split_whitespace())
        .current_dir(folder.path())
        .env("MISBEHAVING_WORKER", workers)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let out = thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).unwrap();
        text
    });
    let (lines, err) = mpsc::channel();
    thread::spawn(move || BufReader::new(stderr).lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));
    Sweep { child, out, err, said: Vec::new(), workers: BTreeSet::new() }
}

impl Sweep {
    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// Waits for a line on stderr, and notes which workers there are then.
    fn wait_for(&mut self, text: &str) {
        loop {
            let line = self.err.recv().unwrap_or_else(|_| panic!("`{text}` was not said, but {:?}", self.said));
            let found = line.contains(text);
            self.said.push(line);
            if found {
                break;
            }
        }
        self.workers = children(self.pid().as_raw());
        assert!(!self.workers.is_empty());
    }

    fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    fn end(mut self) -> Ended {
        let status = self.child.wait().unwrap();
        self.said.extend(self.err.iter());
        // They end with their parent, but nobody waits for them if it was killed.
        let patience = Instant::now() + Duration::from_secs(60);
        while self.workers.iter().any(|worker| is_alive(*worker)) {
            assert!(Instant::now() < patience, "workers are left over");
            thread::sleep(Duration::from_millis(10));
        }
        Ended { status, out: self.out.join().unwrap(), err: self.said }
    }
}

impl Ended {
    #[track_caller]
    fn expect(self, code: i32) -> Ended {
        assert_eq!(self.status.code(), Some(code), "\n{}\n{}", self.out, self.err.join("\n"));
        self
    }

    /// The lines of stdout as JSON: every one of them is.
    fn json(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    fn summary(&self) -> Value {
        let last = self.json().pop().expect("some output");
        assert_eq!(last["type"], "summary");
        last
    }
}

/// The processes that a process has started.
fn children(parent: i32) -> BTreeSet<i32> {
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    pids.filter(|pid| stat(*pid).is_some_and(|(_, of)| of == parent)).collect()
}

/// Whether a process is there and no zombie.
fn is_alive(pid: i32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != 'Z')
}

/// A process's state and its parent.
fn stat(pid: i32) -> Option<(char, i32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}
