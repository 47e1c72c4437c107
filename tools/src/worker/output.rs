//! The output of a worker. A bounded part goes to the console; the last lines are kept to explain the worker's death.

use std::collections::VecDeque;
use std::io::{PipeReader, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::death;
use crate::console::Console;

/// A worker writes this line before each run: what follows is the run's. No text contains it.
pub const MARK: u8 = 0x1e;

/// Lines that all workers together may put on the console.
const SHOWN: usize = 200;
/// Lines of a run that are kept.
const KEPT: usize = 8;
/// Bytes of a line that are shown and kept.
const WIDTH: usize = 1000;

/// Where the output of all workers goes.
pub struct Shown {
    console: Console,
    left: AtomicUsize,
}

impl Shown {
    /// To the console's stderr.
    pub fn new(console: &Console) -> Arc<Shown> {
        Arc::new(Shown { console: console.clone(), left: AtomicUsize::new(SHOWN) })
    }

    fn line(&self, line: &str) {
        let take = |left: usize| left.checked_sub(1);
        match self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(1) => self.console.say(&format!("{line}\n(more of what the runs print is not shown)\n")),
            Ok(_) => self.console.say(&format!("{line}\n")),
            Err(_) => {}
        }
    }
}

/// The output of one worker.
pub struct Output {
    tail: Arc<Mutex<VecDeque<String>>>,
    ended: Receiver<()>,
}

impl Output {
    /// Reads it on a thread of its own until the end.
    pub fn read(mut pipe: PipeReader, shown: Arc<Shown>) -> Output {
        let tail: Arc<Mutex<VecDeque<String>>> = Arc::default();
        let (lines, (end, ended)) = (tail.clone(), mpsc::channel());
        thread::spawn(move || {
            let _end = end;
            let mut splitter = Splitter::default();
            let mut chunk = [0; 4096];
            while let Ok(read @ 1..) = pipe.read(&mut chunk) {
                splitter.split(&chunk[..read], |line| take(line, &lines, &shown));
            }
            // A mark ends with a newline, so this is none.
            splitter.rest(|line| keep(line, &mut lock(&lines), &shown));
        });
        Output { tail, ended }
    }

    /// Waits until all is read. To be called after the worker's end; what it started may live on and hold the pipe, and is
    /// not waited for.
    pub fn wait(&self) {
        let _ = self.ended.recv_timeout(Duration::from_secs(1));
    }

    /// The last lines of the run that was made last, after the worker's end.
    pub fn last_lines(&self) -> Vec<String> {
        self.wait();
        lock(&self.tail).iter().cloned().collect()
    }
}

fn lock(tail: &Mutex<VecDeque<String>>) -> MutexGuard<'_, VecDeque<String>> {
    tail.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take(line: &[u8], tail: &Mutex<VecDeque<String>>, shown: &Shown) {
    let mut tail = lock(tail);
    // Something printed without a newline may stand before it.
    let (line, is_mark) = match line.split_last() {
        Some((&MARK, before)) => (before, true),
        _ => (line, false),
    };
    if !(is_mark && line.is_empty()) {
        keep(line, &mut tail, shown);
    }
    if is_mark {
        tail.clear();
    }
}

fn keep(line: &[u8], tail: &mut VecDeque<String>, shown: &Shown) {
    let line = String::from_utf8_lossy(line).into_owned();
    shown.line(&line);
    if tail.len() < KEPT {
        tail.push_back(line);
    } else if tail.front().is_some_and(|first| !death::is_telling(first)) {
        tail.pop_front();
        tail.push_back(line);
    }
}

/// Cuts bytes into lines of a bounded length.
#[derive(Default)]
struct Splitter {
    line: Vec<u8>,
}

impl Splitter {
    fn split(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        for &byte in bytes {
            match byte {
                b'\n' => {
                    each(&self.line);
                    self.line.clear();
                }
                // One is kept even if the line is too long already.
                MARK if self.line.len() <= WIDTH => self.line.push(MARK),
                _ if self.line.len() < WIDTH => self.line.push(byte),
                _ => {}
            }
        }
    }

    fn rest(&mut self, mut each: impl FnMut(&[u8])) {
        if !self.line.is_empty() {
            each(&self.line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, Write};

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

    /// What is kept, and what is shown.
    fn read(text: &[u8]) -> (Vec<String>, String) {
        let (pipe, mut writer) = io::pipe().unwrap();
        let screen = Buffer::default();
        let output = Output::read(pipe, Shown::new(&Console::new(io::sink(), screen.clone())));
        writer.write_all(text).unwrap();
        drop(writer);
        let kept = output.last_lines();
        let shown = String::from_utf8(screen.0.lock().unwrap().clone()).unwrap();
        (kept, shown)
    }

    #[test]
    fn only_the_last_run_is_kept_and_all_is_shown() {
        let (kept, shown) = read(b"\x1e\none\ntw\x1e\nthree\nfo");
        assert_eq!(kept, ["three", "fo"]);
        assert_eq!(shown, "one\ntw\nthree\nfo\n");
    }

    #[test]
    fn what_is_no_text_is_bounded_and_no_mark() {
        let (kept, _) = read(b"\x1e\none\ntwo\xff\x1e");
        assert_eq!(kept, ["one", "two\u{fffd}\u{1e}"]);
        let (kept, _) = read(&[MARK].repeat(1 << 20));
        assert_eq!(kept[0].len(), WIDTH + 1);
        let (kept, _) = read(&[&b"x".repeat(1 << 20)[..], b"\x1e\nthree\n"].concat());
        assert_eq!(kept, ["three"]);
    }

    #[test]
    fn a_flood_is_bounded() {
        let (kept, shown) = read(&b"a line\n".repeat(10_000));
        assert_eq!(kept.len(), KEPT);
        assert_eq!(shown.lines().count(), SHOWN + 1);
        // A backtrace does not push out what it is about.
        let (kept, _) = read(format!("a\nmemory allocation of 9 bytes failed\n{}", "b\n".repeat(100)).as_bytes());
        assert!(kept[0].starts_with("memory allocation") && kept.len() == KEPT, "{kept:?}");
        let (kept, _) = read(&b"x".repeat(1 << 20));
        assert_eq!(kept, ["x".repeat(WIDTH)]);
    }
}
