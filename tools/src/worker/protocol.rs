//! What a worker and its parent say to each other: frames of a length and a value in the simulator's own encoding.
//!
//! The parent sends what there is to run once, as the texts that it read itself: a file that is edited during a sweep
//! changes nothing. Then it asks, and the worker answers in the order of the questions. Both are the same program, so
//! there are no versions.

use std::io::{self, Read, Write};
use std::ops::Range;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sim::Report;
use sim::scenario::Diagnostic;

/// What the worker must know before it can run anything.
#[derive(Debug, Serialize, Deserialize)]
pub struct Setup {
    /// The most address space that it may take, in bytes.
    pub memory: Option<u64>,
    /// Whether it is the second side of a comparison: then it has more threads and other addresses.
    pub is_second: bool,
    /// What there is to run.
    pub tasks: Vec<TaskText>,
}

/// A task, as text.
#[derive(Debug, Serialize, Deserialize)]
pub struct TaskText {
    /// The scenario's file, as errors call it.
    pub path: String,
    /// The text of the scenario.
    pub scenario: String,
    /// The known bugs that are on.
    pub planted: Vec<String>,
}

/// What the parent asks.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// The first thing that it says; the answer is `Ready`.
    Setup(Setup),
    /// Make a run; the answer is `Ran`.
    Run {
        /// The task, by its index.
        task: usize,
        /// The seed.
        seed: u64,
    },
    /// Make a run and keep its trace; the answer is `Hashes`.
    Record {
        /// The task, by its index.
        task: usize,
        /// The seed.
        seed: u64,
    },
    /// Make a run and write all there is to know of it to a folder; the answer is `Kept`.
    Keep {
        /// The task, by its index.
        task: usize,
        /// The seed.
        seed: u64,
        /// The bytes of the folder's path.
        folder: Vec<u8>,
    },
    /// Show lines of the trace that was kept last; the answer is `Lines`.
    Lines(Range<usize>),
}

/// What the worker answers.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// It can begin.
    Ready,
    /// What became of a run.
    Ran {
        /// The run's seed, to be sure.
        seed: u64,
        /// How long it took, in nanoseconds of real time.
        took_ns: u64,
        /// What became of it.
        end: End,
    },
    /// A hash for each line of a trace.
    Hashes(Vec<u64>),
    /// The report of a run that is written down.
    Kept(Box<Report>),
    /// Lines of a trace.
    Lines(Vec<String>),
    /// It cannot do what it was asked to.
    Cannot(String),
}

/// How a run ended, as far as the worker lived to see it.
#[derive(Debug, Serialize, Deserialize)]
pub enum End {
    /// With a report.
    Report(Box<Report>),
    /// The scenario is wrong.
    BadScenario(Vec<Diagnostic>),
    /// The harness failed.
    Broken(String),
}

/// A value as a frame: four bytes of length, little endian, and the encoding.
///
/// # Errors
///
/// If it is larger than the codec allows.
pub fn frame(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    sim::codec::encode_into(&mut bytes, value).map_err(io::Error::other)?;
    let length = u32::try_from(bytes.len() - 4).map_err(io::Error::other)?;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

/// Bytes that have arrived, as far as they are not read.
#[derive(Default)]
pub struct Inbox {
    bytes: Vec<u8>,
}

impl Inbox {
    /// Reads once. Returns how much there was; nothing at the end of the stream.
    ///
    /// # Errors
    ///
    /// The stream's.
    pub fn fill(&mut self, mut stream: impl Read) -> io::Result<usize> {
        let mut chunk = [0; 16 * 1024];
        let read = stream.read(&mut chunk)?;
        self.bytes.extend_from_slice(&chunk[..read]);
        Ok(read)
    }

    /// The next value, if all of it is there.
    ///
    /// # Errors
    ///
    /// If it is not one.
    pub fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, String> {
        let Some((length, rest)) = self.bytes.split_first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_le_bytes(*length) as usize;
        if length as u64 > sim::codec::LIMIT {
            return Err(format!("an answer of {length} bytes"));
        }
        let Some(value) = rest.get(..length) else { return Ok(None) };
        let value = sim::codec::decode(value).map_err(|error| error.to_string())?;
        self.bytes.drain(..4 + length);
        Ok(Some(value))
    }
}

/// Writes a frame at once.
///
/// # Errors
///
/// The stream's, and [`frame`]'s.
pub fn send(mut stream: impl Write, value: &impl Serialize) -> io::Result<()> {
    stream.write_all(&frame(value)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_arrive_in_any_pieces() {
        let mut bytes = frame(&Reply::Cannot("a".to_owned())).unwrap();
        bytes.extend(frame(&Reply::Lines(vec!["b".to_owned()])).unwrap());
        let mut inbox = Inbox::default();
        let mut all = Vec::new();
        for byte in bytes.chunks(1) {
            assert_eq!(inbox.fill(byte).unwrap(), 1);
            all.extend(inbox.next::<Reply>().unwrap());
        }
        assert!(matches!(&all[..], [Reply::Cannot(a), Reply::Lines(b)] if a == "a" && b == &["b"]), "{all:?}");
    }

    #[test]
    fn nonsense_is_an_error() {
        for nonsense in [&b"not a frame at all"[..], &[1, 0, 0, 0, 9], &[4, 0, 0, 0, 99, 0, 0, 0]] {
            let mut inbox = Inbox::default();
            inbox.fill(nonsense).unwrap();
            assert!(inbox.next::<Reply>().is_err());
        }
    }
}
