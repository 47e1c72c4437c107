//! The `dst` command, called as a program is called, over a small system.

mod bundle;
mod check;
mod corpus;
mod list;
mod merge;
mod pages;
mod replay;
mod sweep;
mod system;
mod usage;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use sim::DynSystem;
use tools::{Console, Exit};

/// What a command wrote, and how it ended.
struct Ended {
    exit: Exit,
    out: String,
    err: String,
}

impl Ended {
    #[track_caller]
    fn expect(self, exit: Exit) -> Ended {
        assert_eq!(self.exit, exit, "\nstdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// The lines of stdout as JSON.
    fn json(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    /// The last line of stdout as JSON.
    fn last(&self) -> Value {
        self.json().pop().expect("some output")
    }
}

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Buffer {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// `dst("sweep folder --seeds 7")`
fn dst(line: &str) -> Ended {
    dst_of(&system::all(), line)
}

fn dst_of(systems: &[Box<dyn DynSystem>], line: &str) -> Ended {
    let (out, err) = (Buffer::default(), Buffer::default());
    let args = std::iter::once("dst").chain(line.split_whitespace());
    let exit = tools::run_from(args, systems, &Console::new(out.clone(), err.clone()));
    Ended { exit, out: out.text(), err: err.text() }
}
