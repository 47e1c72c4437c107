//! The recorder: one line per event, formatted only while a recorder is on. The recorder does not affect the digest.

use serde::{Deserialize, Serialize};

/// What kind of event a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Kind {
    /// The run's own milestones: phases.
    Phase,
    /// A node booted, crashed or exited.
    Node,
    /// A fault was applied or undone.
    Fault,
    /// A message was sent.
    Send,
    /// A message arrived.
    Recv,
    /// A message was lost, and why.
    Drop,
    /// A disk operation.
    Disk,
    /// A protocol event that the system observed about itself.
    Event,
    /// A client operation was invoked or completed.
    Op,
    /// A log line of the system's.
    Log,
    /// A panic.
    Panic,
    /// A check found a violation.
    Failure,
    /// A task was polled. Recorded only if it is asked for.
    Poll,
    /// A timer fired. Recorded only if it is asked for.
    Timer,
}

impl Kind {
    /// All kinds, in the order in which help texts list them.
    pub const ALL: [Kind; 14] = [
        Kind::Phase,
        Kind::Node,
        Kind::Fault,
        Kind::Send,
        Kind::Recv,
        Kind::Drop,
        Kind::Disk,
        Kind::Event,
        Kind::Op,
        Kind::Log,
        Kind::Panic,
        Kind::Failure,
        Kind::Poll,
        Kind::Timer,
    ];

    /// Its name in traces and flags.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Phase => "phase",
            Kind::Node => "node",
            Kind::Fault => "fault",
            Kind::Send => "send",
            Kind::Recv => "recv",
            Kind::Drop => "drop",
            Kind::Disk => "disk",
            Kind::Event => "event",
            Kind::Op => "op",
            Kind::Log => "log",
            Kind::Panic => "panic",
            Kind::Failure => "failure",
            Kind::Poll => "poll",
            Kind::Timer => "timer",
        }
    }
}

/// One line of trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Virtual nanoseconds since the run began.
    pub at_ns: u64,
    /// The node that it happened on, if on one.
    pub node: Option<String>,
    /// What kind of event.
    pub kind: Kind,
    /// The event, on one line.
    pub text: String,
}

/// Where records go. It runs inside the simulator: it must not call back into it.
pub type Sink = Box<dyn FnMut(Record) + Send>;

/// A sink and what it wants to see.
pub struct Recorder {
    kinds: u16,
    until: u64,
    sink: Sink,
}

impl Recorder {
    /// Records all that happens until the end, but not what only the schedule is made of: polls and timers.
    pub fn new(sink: Sink) -> Recorder {
        let happens = |kind: &Kind| !matches!(kind, Kind::Poll | Kind::Timer);
        Recorder { kinds: 0, until: u64::MAX, sink }.only(Kind::ALL.into_iter().filter(happens))
    }

    /// Records only these kinds.
    pub fn only(mut self, kinds: impl IntoIterator<Item = Kind>) -> Recorder {
        self.kinds = kinds.into_iter().fold(0, |mask, kind| mask | 1 << kind as u16);
        self
    }

    /// Records nothing after `at_ns`.
    pub fn until(mut self, at_ns: u64) -> Recorder {
        self.until = at_ns;
        self
    }

    pub(crate) fn wants(&self, kind: Kind) -> bool {
        self.kinds & 1 << kind as u16 != 0
    }

    pub(crate) fn write(&mut self, at_ns: u64, node: Option<String>, kind: Kind, text: String) {
        if at_ns <= self.until {
            (self.sink)(Record { at_ns, node, kind, text });
        }
    }
}
