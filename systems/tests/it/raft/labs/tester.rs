//! What a tester does inside the world: a machine of its own that asks servers and looks at what they applied.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use sim::{NodeId, rand, rpc, task, time};
use systems::raft::{Index, Term};

use super::record::Record;
use super::server::{Ask, CONTROL, Control, Status, Told};

/// The lab's unit of time: a new leader is expected within five of them.
pub const ELECTION: Duration = Duration::from_secs(1);
/// How long an agreement may take in all.
const AGREEMENT: Duration = Duration::from_secs(10);
/// How long a command that a leader has taken may take to be applied.
const COMMIT: Duration = Duration::from_secs(2);

/// The result of a step of an experiment, or the limit that it missed.
pub type Result<T = (), E = String> = std::result::Result<T, E>;

pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Why a step is wrong, unless it is right.
pub fn ensure(right: bool, otherwise: impl FnOnce() -> String) -> Result {
    if right { Ok(()) } else { Err(otherwise()) }
}

/// The servers, as the tester knows them.
pub struct Servers {
    pub nodes: Vec<NodeId>,
    /// Those that run.
    pub up: RefCell<Vec<bool>>,
    /// Those that reach each other.
    pub connected: RefCell<Vec<bool>>,
    pub record: Rc<RefCell<Record>>,
    pub commands: Cell<u64>,
    /// Whether every entry is a command: leaders begin their terms with none of their own.
    pub only_commands: bool,
}

impl Servers {
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// A command that was never given before, of 20 bytes.
    pub fn fresh(&self) -> Vec<u8> {
        self.commands.set(self.commands.get() + 1);
        format!("command {:>12}", self.commands.get()).into_bytes()
    }

    pub fn is_connected(&self, server: usize) -> bool {
        self.up.borrow()[server] && self.connected.borrow()[server]
    }

    pub fn connected(&self) -> Vec<usize> {
        (0..self.len()).filter(|&server| self.is_connected(server)).collect()
    }

    pub fn running(&self) -> Vec<usize> {
        (0..self.len()).filter(|&server| self.up.borrow()[server]).collect()
    }

    async fn ask(&self, server: usize, ask: Ask) -> Option<Told> {
        // The way to the tester is good. Whoever does not answer has just crashed, or is just starting.
        rpc::call::<Control>(self.nodes[server].port(CONTROL), &ask, ms(50)).await.ok()
    }

    /// Gives a server a command: index and term, if it says that it leads.
    pub async fn start(&self, server: usize, command: Vec<u8>) -> Option<(Index, Term)> {
        match self.ask(server, Ask::Start(command)).await? {
            Told::Started(index, term) => Some((index, term)),
            _ => None,
        }
    }

    /// Gives the same command to all that run, at the same time. Who took it, in order.
    pub async fn start_everywhere(self: Rc<Self>, command: Vec<u8>) -> Vec<(usize, Index)> {
        let start = |server: usize| {
            let (servers, command) = (self.clone(), command.clone());
            task::spawn(async move { servers.start(server, command).await })
        };
        let answers: Vec<_> = self.running().into_iter().map(|server| (server, start(server))).collect();
        let mut took = Vec::new();
        for (server, answer) in answers {
            if let Ok(Some((index, _))) = answer.await {
                took.push((server, index));
            }
        }
        took
    }

    pub async fn change_members(&self, server: usize, voters: Vec<u64>, learners: Vec<u64>) -> Option<Index> {
        match self.ask(server, Ask::Members(voters, learners)).await? {
            Told::Started(index, _) => Some(index),
            _ => None,
        }
    }

    pub async fn status(&self, server: usize) -> Option<Status> {
        match self.ask(server, Ask::Status).await? {
            Told::Status(status) => Some(status),
            _ => None,
        }
    }

    /// Waits for the one leader among those that are connected: the latest, if there are some of different terms.
    pub async fn leader(&self) -> Result<usize> {
        for _ in 0..10 {
            time::sleep(rand::duration(ms(450), ms(550))).await;
            let mut leaders: BTreeMap<Term, Vec<usize>> = BTreeMap::new();
            for server in self.connected() {
                if let Some(status) = self.status(server).await.filter(|status| status.leads) {
                    leaders.entry(status.term).or_default().push(server);
                }
            }
            for (term, of) in &leaders {
                ensure(of.len() == 1, || format!("term {term} has the leaders {of:?}"))?;
            }
            if let Some((_, of)) = leaders.last_key_value() {
                return Ok(of[0]);
            }
        }
        Err("no leader within five election timeouts".to_owned())
    }

    /// The term of all that are connected.
    pub async fn term(&self) -> Result<Term> {
        let mut terms = Vec::new();
        for server in self.connected() {
            terms.push(self.status(server).await.ok_or("a server does not answer")?.term);
        }
        ensure(terms.windows(2).all(|two| two[0] == two[1]), || format!("the terms are {terms:?}"))?;
        terms.first().copied().ok_or("nobody is connected".to_owned())
    }

    /// Whether an entry was applied by so many, and is that command.
    fn is_agreed(&self, index: Index, command: &[u8], by: usize) -> bool {
        let record = self.record.borrow();
        record.count(index) >= by && record.at(index).and_then(Option::as_deref) == Some(command)
    }

    /// Has a command agreed on: within ten seconds at least `by` servers apply it. With `retry` it is given again to whoever
    /// leads if the first did not make it.
    pub async fn one(&self, command: &[u8], by: usize, retry: bool) -> Result<Index> {
        let began = time::now();
        while began.elapsed() < AGREEMENT {
            let mut started = None;
            for server in self.connected() {
                started = self.start(server, command.to_vec()).await;
                if started.is_some() {
                    break;
                }
            }
            let Some((index, _)) = started else {
                time::sleep(ms(50)).await;
                continue;
            };
            let began = time::now();
            while began.elapsed() < COMMIT {
                if self.is_agreed(index, command, by) {
                    let commands = self.record.borrow().commands(index);
                    ensure(!self.only_commands || commands == index, || format!("{commands} commands up to {index}"))?;
                    return Ok(index);
                }
                time::sleep(ms(20)).await;
            }
            ensure(retry, || format!("{by} servers did not apply entry {index} within {COMMIT:?}"))?;
        }
        Err(format!("{by} servers did not agree on {} within {AGREEMENT:?}", String::from_utf8_lossy(command)))
    }

    /// As [`Servers::one`], with a command that nobody has had before, given as often as it takes.
    pub async fn agree(&self, by: usize) -> Result<Index> {
        self.one(&self.fresh(), by, true).await
    }

    /// Waits for an entry: what so many servers applied there. `None` if a server is in a later term meanwhile.
    pub async fn wait(&self, index: Index, by: usize, term: Option<Term>) -> Result<Option<Vec<u8>>> {
        let mut pause = ms(10);
        for _ in 0..30 {
            if self.record.borrow().count(index) >= by {
                break;
            }
            time::sleep(pause).await;
            pause = if pause < ms(1_000) { pause * 2 } else { pause };
            for server in self.running() {
                let later = |of: Term| term.is_some_and(|term| of > term);
                if self.status(server).await.is_some_and(|status| later(status.term)) {
                    return Ok(None);
                }
            }
        }
        let record = self.record.borrow();
        let count = record.count(index);
        ensure(count >= by, || format!("entry {index} was applied by {count}, and not by {by}"))?;
        Ok(record.at(index).cloned().flatten())
    }
}
