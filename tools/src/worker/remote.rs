//! Runs made by a worker process, and by another one when that dies.

use std::collections::VecDeque;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use sim::scenario::ScenarioError;
use sim::{Failure, Report};

use super::death::{self, Death};
use super::one::Task;
use super::process::{Launch, Process, Received, Side};
use super::protocol::{End, Reply, Request};
use super::{Maker, Ran, Run};
use crate::stop::Stop;

/// After so many runs a worker is replaced by a new one, so that what a system leaks cannot add up for ever. The simulator
/// leaks nothing: a worker has the same 6 MB after ten runs and after ten thousand.
const RUNS: u64 = 10_000;
/// A worker is also replaced when it has grown to this share of the memory that a run may take, or to so many bytes if there is no
/// limit: the next run, which is innocent, would have to do with the rest.
const GROWN: f64 = 0.5;
const GROWN_BYTES: u64 = 1 << 30;
/// After so many runs it is asked how large it is.
const MEASURED: u64 = 16;
/// A run that took longer is not worth a second request ahead: the worker's waiting is nothing against it.
const SHORT: Duration = Duration::from_millis(100);
/// With a recorder a run may take this many times longer.
const RECORDED: u32 = 4;
/// So many workers that say something senseless one after the other, and the sweep ends.
const PATIENCE: u32 = 3;

/// One worker at a time.
pub struct Remote<'a> {
    launch: &'a Launch,
    side: Side,
    tasks: &'a [Task<'a>],
    stop: &'a Stop,
    process: Option<Process>,
    /// Asked for and not yet answered, the oldest first.
    asked: VecDeque<Run>,
    /// When the worker began with the oldest.
    since: Instant,
    /// How long the last one took.
    last: Duration,
    made: u64,
    /// Whether the worker is to be replaced before the next run.
    is_worn: bool,
    /// Whether the oldest is made a second time.
    is_again: bool,
    nonsense: u32,
}

impl<'a> Remote<'a> {
    /// None is started yet.
    pub fn new(launch: &'a Launch, side: Side, tasks: &'a [Task<'a>], stop: &'a Stop) -> Remote<'a> {
        Remote {
            launch,
            side,
            tasks,
            stop,
            process: None,
            asked: VecDeque::new(),
            since: Instant::now(),
            last: Duration::ZERO,
            made: 0,
            is_worn: false,
            is_again: false,
            nonsense: 0,
        }
    }

    /// Whether to ask for one more run: two are on their way, so that the worker need not wait for the next.
    pub fn has_room(&self) -> bool {
        match self.asked.len() {
            0 => true,
            1 => self.last < SHORT && !self.is_worn,
            _ => false,
        }
    }

    /// Asks for a run.
    pub fn begin(&mut self, run: Run) {
        if self.asked.is_empty() {
            // Who died without a run in flight is not missed.
            if self.is_worn || self.process.as_mut().is_some_and(Process::is_dead) {
                self.process = None;
            }
            self.since = Instant::now();
        }
        if let Some(process) = &mut self.process {
            process.send(&Request::Run { task: run.scenario, seed: run.seed });
        }
        self.asked.push_back(run);
    }

    /// Waits for the run that was asked for first. None if the sweep ended meanwhile.
    pub fn finish(&mut self) -> Option<(Ran, Duration)> {
        let run = *self.asked.front()?;
        let (ran, took) = self.wait(run)?;
        self.asked.pop_front();
        self.since = Instant::now();
        self.last = took;
        self.is_again = false;
        self.is_worn = self.made + 1 >= RUNS || self.is_worn || self.made.is_multiple_of(MEASURED) && self.has_grown();
        Some((ran, took))
    }

    /// Whether the worker has grown over its runs.
    fn has_grown(&self) -> bool {
        let Some(memory) = self.process.as_ref().and_then(Process::memory) else { return false };
        match self.launch.memory {
            Some(limit) => memory.address_space as f64 > limit as f64 * GROWN,
            None => memory.resident > GROWN_BYTES,
        }
    }

    /// Whether a run may have died of what is not its own: somebody killed its process, such as the kernel when the machine had
    /// no memory left, or other runs of the process took the memory.
    fn may_be_innocent(&self, failure: &Failure) -> bool {
        match failure.signature.as_str() {
            "process:signal-9" => true,
            "process:out-of-memory" => self.made > 0,
            _ => false,
        }
    }

    fn wait(&mut self, run: Run) -> Option<(Ran, Duration)> {
        if let Err(why) = self.start() {
            return Some((Ran::NoWorker(why), Duration::ZERO));
        }
        let (since, limit) = (self.since, self.launch.timeout);
        let received = self.process.as_mut()?.receive(since + limit, self.stop);
        let died = |failure| Ran::Ended(Box::new(death::report(&self.tasks[run.scenario], run.seed, failure)));
        let ran = match received {
            Received::Reply(Reply::Ran { seed, took_ns, end }) if seed == run.seed => {
                self.made += 1;
                self.nonsense = 0;
                return Some((self.ran(run, end), Duration::from_nanos(took_ns)));
            }
            Received::Stopped => return None,
            Received::Closed => match self.process.take()?.end() {
                Ok((status, output)) => {
                    let failure = death::failure(Death::Ended(status), &output);
                    if !self.is_again && self.may_be_innocent(&failure) {
                        self.is_again = true;
                        return self.wait(run);
                    }
                    died(failure)
                }
                Err(error) => Ran::Broken(format!("cannot wait for a worker process: {error}")),
            },
            Received::TimedOut => died(death::failure(Death::Hung(limit), &self.process.take()?.kill())),
            Received::Reply(Reply::Cannot(why)) => self.senseless(&why),
            Received::Reply(_) => self.senseless("an answer to another question"),
            Received::Nonsense(why) => self.senseless(&why),
        };
        Some((ran, since.elapsed()))
    }

    /// If the last worker is gone, starts a new one with all that was asked for. There is none after it if the sweep
    /// ended meanwhile.
    fn start(&mut self) -> Result<(), String> {
        if self.process.is_none() {
            self.process = Process::start(self.launch, self.side, self.stop)?;
            for run in &self.asked {
                let Some(process) = &mut self.process else { break };
                process.send(&Request::Run { task: run.scenario, seed: run.seed });
            }
            self.made = 0;
            self.is_worn = false;
            self.since = Instant::now();
        }
        Ok(())
    }

    fn ran(&self, run: Run, end: End) -> Ran {
        match end {
            End::Report(report) => Ran::Ended(report),
            End::Broken(why) => Ran::Broken(why),
            End::BadScenario(diagnostics) => {
                let scenario = &self.tasks[run.scenario].scenario;
                let error = ScenarioError::new(scenario.draft().source().clone(), diagnostics);
                Ran::BadScenario(Box::new(error))
            }
        }
    }

    /// A worker that cannot be understood is of no use; neither is the next one that is not, or the one after that.
    fn senseless(&mut self, what: &str) -> Ran {
        self.process = None;
        self.nonsense += 1;
        let why = format!("the answer of a worker process makes no sense: {what}");
        if self.nonsense < PATIENCE { Ran::Broken(why) } else { Ran::NoWorker(why) }
    }

    /// Asks for something else than a run, while none is asked for.
    fn ask(&mut self, request: &Request) -> Result<Reply, String> {
        let limit = self.launch.timeout * RECORDED;
        self.start()?;
        let process = self.process.as_mut().ok_or("the sweep has ended")?;
        process.send(request);
        let why = match process.receive(Instant::now() + limit, self.stop) {
            Received::Reply(reply) => return Ok(reply),
            Received::Closed => "the worker died".to_owned(),
            Received::TimedOut => format!("it took longer than {}", humantime::format_duration(limit)),
            Received::Stopped => "the sweep has ended".to_owned(),
            Received::Nonsense(why) => why,
        };
        self.process = None;
        Err(why)
    }
}

impl Maker for Remote<'_> {
    fn make(&mut self, run: Run) -> Option<(Ran, Duration)> {
        self.begin(run);
        self.finish()
    }

    fn record(&mut self, run: Run) -> Result<Vec<u64>, String> {
        match self.ask(&Request::Record { task: run.scenario, seed: run.seed })? {
            Reply::Hashes(hashes) => Ok(hashes),
            Reply::Cannot(why) => Err(why),
            _ => Err("an answer to another question".to_owned()),
        }
    }

    fn keep(&mut self, run: Run, folder: &Path) -> Result<Report, String> {
        let folder = folder.as_os_str().as_bytes().to_vec();
        match self.ask(&Request::Keep { task: run.scenario, seed: run.seed, folder })? {
            Reply::Kept(report) => Ok(*report),
            Reply::Cannot(why) => Err(why),
            _ => Err("an answer to another question".to_owned()),
        }
    }

    fn lines(&mut self, range: Range<usize>) -> Result<Vec<String>, String> {
        match self.ask(&Request::Lines(range))? {
            Reply::Lines(lines) => Ok(lines),
            Reply::Cannot(why) => Err(why),
            _ => Err("an answer to another question".to_owned()),
        }
    }
}
