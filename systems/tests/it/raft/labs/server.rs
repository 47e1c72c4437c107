//! The server that is tested: a Raft whose state machine is the list of what was applied, and a service for the tester.

use std::cell::RefCell;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use sim::rpc::{Server, Service};
use sim::{always, group, node, select};
use systems::raft::driver::{Apply, EmptyDisk, Options, Raft};
use systems::raft::membership::{Membership, Target};
use systems::raft::{Config, Id, Index, Term};

use super::record::{Content, Record};

/// Where servers listen to each other.
const RAFT: u16 = 1;
/// Where they listen to the tester, whom no partition keeps away.
pub const CONTROL: u16 = 2;
/// A server with snapshots makes one every so many entries.
pub const SNAPSHOT_EVERY: Index = 10;

/// What a server is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Ask {
    /// To take a command into the log.
    Start(Vec<u8>),
    /// To change the membership to these voters and learners.
    Members(Vec<u64>, Vec<u64>),
    /// How it is.
    Status,
}

/// What it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    /// It will try to commit the entry at that index, in that term.
    Started(Index, Term),
    /// It does not lead.
    Refused,
    /// How it is.
    Status(Status),
}

/// How a server is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its term.
    pub term: Term,
    /// Whether it takes itself for the leader.
    pub leads: bool,
    /// The messages that it has sent in this life. Requests and answers both count.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The bytes of the entries that it keeps.
    pub log_bytes: usize,
    /// The last entry that its snapshot stands for.
    pub snapshot: Index,
}

/// The tester's service.
pub struct Control;

impl Service for Control {
    type Request = Ask;
    type Reply = Told;
}

/// How servers are set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The core's knobs.
    pub config: Config,
    /// How many servers vote at the beginning: the first ones.
    pub voters: usize,
    /// Whether they make snapshots.
    pub snapshots: bool,
}

/// A server's life.
pub async fn boot(setup: Rc<Setup>, record: Rc<RefCell<Record>>) {
    let me = node::this().index();
    let options = Options {
        id: Id(me as u64),
        config: setup.config.clone(),
        dir: "raft".to_owned(),
        port: RAFT,
        empty_disk: EmptyDisk::New,
        members: Membership::of((0..setup.voters as u64).map(Id)),
        group: group::home(),
    };
    let mut control = Server::<Control>::bind(CONTROL).expect("the port is free");
    let (raft, mut applies) = match Raft::start(options).await {
        Ok(started) => started,
        Err(error) => return always!(false, "lab.server-starts", "{error}"),
    };
    loop {
        select! {
            apply = applies.recv() => match apply {
                Some(apply) => {
                    let index = take(me, &record, apply).await;
                    // Servers share the record, so none holds it across an await.
                    let wrong = record.borrow().wrong.join("; ");
                    always!(wrong.is_empty(), "lab.servers-agree", "{wrong}");
                    if setup.snapshots && index > raft.snapshot_index() && index.is_multiple_of(SNAPSHOT_EVERY) {
                        let contents = record.borrow().of(me).to_vec();
                        if let Some(mut new) = raft.begin_snapshot(index).await.expect("the disk is sound") {
                            new.state.put(&contents).await.expect("the disk is sound");
                            raft.compact(new);
                        }
                    }
                }
                None => return,
            },
            incoming = control.recv() => {
                let told = answer(&raft, incoming.request);
                incoming.responder.send(&told);
            }
        }
    }
}

/// Applies, and says how far it has come.
async fn take(me: usize, record: &RefCell<Record>, apply: Apply) -> Index {
    match apply {
        Apply::Snapshot { index, state, .. } => {
            let contents: Vec<Content> = match state {
                None => Vec::new(),
                Some(mut snapshot) => snapshot.get().await.expect("a snapshot of another server's"),
            };
            record.borrow_mut().restored(me, index, contents);
            index
        }
        Apply::Command { index, command, .. } => {
            record.borrow_mut().applied(me, index, Some(command.to_vec()));
            index
        }
        Apply::Nothing { index, .. } => {
            record.borrow_mut().applied(me, index, None);
            index
        }
    }
}

fn answer(raft: &Raft, ask: Ask) -> Told {
    match ask {
        Ask::Start(command) => match raft.propose(command.into()) {
            Ok((index, term)) => Told::Started(index, term),
            Err(_) => Told::Refused,
        },
        Ask::Members(voters, learners) => {
            let ids = |ids: Vec<u64>| ids.into_iter().map(Id).collect();
            let target = Target { voters: ids(voters), learners: ids(learners) };
            match raft.change_membership(&target) {
                Ok(index) => Told::Started(index, raft.status().0),
                Err(_) => Told::Refused,
            }
        }
        Ask::Status => {
            let ((term, leads), traffic) = (raft.status(), raft.traffic());
            let (log_bytes, _) = raft.size();
            let snapshot = raft.snapshot_index();
            Told::Status(Status { term, leads, messages: traffic.messages, bytes: traffic.bytes, log_bytes, snapshot })
        }
    }
}
