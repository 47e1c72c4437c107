//! Where text goes. What is asked for goes to stdout, everything else to stderr.
//!
//! Text is written with colours. The streams strip the colours if the output is not a terminal, or `NO_COLOR` is set. A closed
//! pipe (`| head`) is not an error: the command continues without output, because its exit code still matters.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};

use anstream::{AutoStream, ColorChoice};
use anyhow::{Context, Result};
use indicatif::ProgressBar;
use serde::Serialize;

type Stream = AutoStream<Box<dyn Write + Send>>;

/// Stdout and stderr, or what stands in for them. Cheap to clone and to share among threads.
#[derive(Clone)]
pub struct Console {
    out: Arc<Mutex<Stream>>,
    err: Arc<Mutex<Stream>>,
    /// On screen at present; it steps aside when something is written.
    bar: Arc<Mutex<Option<ProgressBar>>>,
    live: bool,
}

impl Console {
    /// The process's own. From here on only the console writes to stdout: what the code of a system prints goes to stderr, and
    /// cannot come between the lines of a machine's reader.
    ///
    /// # Errors
    ///
    /// If the process has no file descriptor left.
    pub fn terminal() -> Result<Console> {
        let (out, err) = (io::stdout(), io::stderr());
        let (out_color, err_color) = (AutoStream::choice(&out), AutoStream::choice(&err));
        let live = err.is_terminal();
        let own = File::from(out.as_fd().try_clone_to_owned().context("cannot keep stdout apart")?);
        nix::unistd::dup2_stdout(&err).context("cannot keep stdout apart")?;
        Ok(Console { live, ..Console::with(Box::new(own), out_color, Box::new(err), err_color) })
    }

    /// For a worker process, which prints nothing of its own: all that it prints is a system's.
    pub fn of_worker() -> Console {
        Console::new(io::stdout(), io::stderr())
    }

    /// Two other writers, which get no colour and no progress bar.
    pub fn new(out: impl Write + Send + 'static, err: impl Write + Send + 'static) -> Console {
        Console::with(Box::new(out), ColorChoice::Never, Box::new(err), ColorChoice::Never)
    }

    fn with(
        out: Box<dyn Write + Send>,
        out_color: ColorChoice,
        err: Box<dyn Write + Send>,
        err_color: ColorChoice,
    ) -> Console {
        let shared = |stream, color| Arc::new(Mutex::new(AutoStream::new(stream, color)));
        Console { out: shared(out, out_color), err: shared(err, err_color), bar: Arc::default(), live: false }
    }

    /// Whether stderr is a terminal that shows progress.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Writes to stdout at once.
    ///
    /// # Errors
    ///
    /// If the text cannot be written, except to a closed pipe.
    pub fn print(&self, text: &str) -> Result<()> {
        match self.beside_bar(|| write(&self.out, text)) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("cannot write to stdout"),
            _ => Ok(()),
        }
    }

    /// Writes a value to stdout as one line of JSON.
    ///
    /// # Errors
    ///
    /// As [`Console::print`].
    pub fn json(&self, value: &impl Serialize) -> Result<()> {
        let line = serde_json::to_string(value).context("cannot write this as JSON")?;
        self.print(&(line + "\n"))
    }

    /// Writes to stderr. There is nowhere to complain if that fails.
    pub fn say(&self, text: &str) {
        let _ = self.beside_bar(|| write(&self.err, text));
    }

    /// Shows a progress bar from now on, or none.
    pub fn show(&self, bar: Option<ProgressBar>) {
        *self.bar.lock().unwrap_or_else(PoisonError::into_inner) = bar;
    }

    fn beside_bar<R>(&self, write: impl FnOnce() -> R) -> R {
        match &*self.bar.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

fn write(stream: &Mutex<Stream>, text: &str) -> io::Result<()> {
    let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
    stream.write_all(text.as_bytes())?;
    stream.flush()
}
