//! The transcript of a run of Raft servers, line by line: what clients and experiments do, and what servers say of themselves.
//!
//! What servers do at the same time is one line, with their numbers.

use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sim::fs::DiskConfig;
use sim::net::LinkConfig;
use sim::trace::record::{Kind as Of, Record, Recorder};
use sim::{CpuModel, Latency, Policy, Sim, Time};

/// A network and disks of which nothing is drawn: a message takes a millisecond, and so does a write.
pub fn fixed_1ms(sim: &Sim) {
    let a_ms = Latency::Constant(Time::new(Duration::from_millis(1)));
    sim.schedule(Policy::Fifo, CpuModel::default());
    sim.network(LinkConfig { latency: a_ms, ..LinkConfig::default() });
    sim.disks(DiskConfig { sync: a_ms, ..DiskConfig::default() });
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    /// What the experiment does.
    Says(String),
    /// A server starts with what is on its disk.
    Restores(String),
    /// Entries of one term, from one index to another.
    Appends { term: u64, from: u64, to: u64 },
    /// It knows entries to be committed, up to one.
    Commits(u64),
    /// Its state machine has executed so many commands, up to an entry.
    Executes { commands: u64, index: u64 },
    /// Anything else.
    Does(String),
}

/// When, which servers, what.
#[derive(Clone)]
struct Line {
    at_ns: u64,
    who: Vec<String>,
    what: What,
}

/// A run, line by line.
#[derive(Clone, Default)]
pub struct Transcript(Arc<Mutex<Vec<Line>>>);

impl Transcript {
    /// Writes down what the experiment does.
    pub fn note(&self, at_ns: u64, what: &str) {
        let mut lines = self.0.lock().expect("one thread at a time");
        // Of several changes at once, how it is in the end.
        let is_network = |of: &What| matches!(of, What::Says(what) if what.starts_with("network"));
        let what = What::Says(what.to_owned());
        lines.pop_if(|last| last.at_ns == at_ns && is_network(&last.what) && is_network(&what));
        lines.push(Line { at_ns, who: Vec::new(), what });
    }

    /// A recorder that writes down what servers do.
    pub fn recorder(&self) -> Recorder {
        let heard = self.clone();
        Recorder::new(Box::new(move |record| heard.hear(record))).only([Of::Node, Of::Event])
    }

    fn hear(&self, record: Record) {
        let Record { at_ns, node, kind, text } = record;
        let server = node.as_deref().and_then(|node| node.strip_prefix("server-"));
        let what = if kind == Of::Event { event(&text) } else { Some(What::Does(text)) };
        if let (Some(server), Some(what)) = (server, what) {
            let line = Line { at_ns, who: vec![server.to_owned()], what };
            self.0.lock().expect("one thread at a time").push(line);
        }
    }

    /// It in full. Few lines: entries that follow each other are one, and so is what servers do at the same time.
    pub fn text(&self) -> String {
        let mut told: Vec<Line> = Vec::new();
        for line in &*self.0.lock().expect("one thread at a time") {
            let at_once = told.iter_mut().rev().take_while(|of| of.at_ns == line.at_ns);
            let before = at_once.into_iter().find(|of| of.who == line.who);
            match (before.map(|of| &mut of.what), &line.what) {
                // What it starts with has been said.
                (Some(What::Restores(_)), What::Appends { .. }) => {}
                (Some(What::Appends { term, to, .. }), What::Appends { term: next_term, from, to: next })
                    if term == next_term && *to + 1 == *from =>
                {
                    *to = *next;
                }
                (Some(What::Commits(before)), What::Commits(index)) => *before = *index,
                (Some(What::Executes { commands: before, index: of }), What::Executes { commands, index }) => {
                    (*before, *of) = (*commands, *index);
                }
                (Some(before), what) if before == what && !line.who.is_empty() => {}
                _ => told.push(line.clone()),
            }
        }
        let mut joined: Vec<Line> = Vec::new();
        for line in told {
            let at_once = joined.iter_mut().rev().take_while(|of| of.at_ns == line.at_ns && !of.who.is_empty());
            match at_once.into_iter().find(|of| of.what == line.what) {
                Some(same) => same.who.extend(line.who),
                None => joined.push(line),
            }
        }
        let mut text = String::new();
        for Line { at_ns, who, what } in joined {
            let at = format!("{}.{:03}", at_ns / 1_000_000_000, at_ns / 1_000_000 % 1_000);
            let what = match what {
                What::Says(what) => format!("-- {what}"),
                What::Restores(what) | What::Does(what) => format!("{:<9}  {what}", who.join(" ")),
                What::Commits(index) => format!("{:<9}  commits entries up to {index}", who.join(" ")),
                What::Executes { commands, index } => {
                    format!("{:<9}  has executed {commands} commands after entry {index}", who.join(" "))
                }
                What::Appends { term, from, to } => {
                    let entries = if from == to { format!("entry {from}") } else { format!("entries {from} to {to}") };
                    format!("{:<9}  appends {entries} of term {term}", who.join(" "))
                }
            };
            writeln!(text, "{at}  {what}").expect("a string takes everything");
        }
        text
    }
}

/// The value of a field in an event's text.
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let key = format!(" {name}: ");
    let at = text.find(&key).unwrap_or_else(|| panic!("no field {name} in {text}")) + key.len();
    let rest = &text[at..];
    let end = if rest.starts_with('[') { rest.find(']').map(|at| at + 1) } else { rest.find([',', ' ']) };
    &rest[..end.unwrap_or(rest.len())]
}

/// An event of a server in words. What only repeats another, or belongs to the disk, is left out.
fn event(text: &str) -> Option<What> {
    let name = text.split(' ').next().unwrap_or(text);
    let of = |name: &str| field(text, name);
    let number = |name: &str| of(name).parse().unwrap_or_else(|_| panic!("{name} in {text}"));
    Some(What::Does(match name {
        "raft.restored" => {
            let (term, snapshot, last) = (of("term"), of("snapshot"), of("last"));
            return Some(What::Restores(format!("starts in term {term}: snapshot up to {snapshot}, log up to {last}")));
        }
        "raft.voted" => format!("votes for {} in term {}", of("candidate"), of("term")),
        "raft.became_leader" => format!("leads term {}", of("term")),
        "raft.appended" => {
            let index = number("index");
            return Some(What::Appends { term: number("term"), from: index, to: index });
        }
        "raft.committed" => return Some(What::Commits(number("index"))),
        "raft.state" => return Some(What::Executes { commands: number("count"), index: number("index") }),
        "raft.installed" => format!("installs a snapshot up to {}", of("index")),
        "raft.compacted" => format!("has a snapshot up to {}", of("index")),
        "raft.membership" if of("base") == "false" => match (of("outgoing"), of("learners")) {
            ("[]", "[]") => format!("membership of entry {}: {}", of("index"), of("incoming")),
            ("[]", learners) => format!("membership of entry {}: {}, learners {learners}", of("index"), of("incoming")),
            (outgoing, _) => format!("membership of entry {}: {outgoing} and {} jointly", of("index"), of("incoming")),
        },
        _ => return None,
    }))
}
