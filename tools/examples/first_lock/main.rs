//! A lock service to start from: one server grants a lock for a lease, and clients take it in turns.
//!
//! Each grant has a *fencing token*. What the lock protects refuses a token that is smaller than one that it has seen, so tokens
//! must ascend for ever, also over crashes of the server. That is the invariant; the known bug breaks it.

use std::io;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim::check::{Invariant, Violation};
use sim::event::On;
use sim::history::Op;
use sim::{Client, Cluster, Manifest, System, event, fs, node, observe, planted, rand, rpc, time};

const PORT: u16 = 1;
/// A lock is free again when its lease is over: a holder that crashes does not block it for ever.
const LEASE: Duration = Duration::from_millis(200);
/// The file with the last token.
const TOKEN: &str = "token";

/// What clients ask. It is also the operation that reports count.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
enum Request {
    Acquire,
    Release { token: u64 },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
enum Reply {
    Granted { token: u64 },
    Held,
    Released,
}

impl Op for Request {
    type Ret = Reply;
    const KINDS: &'static [&'static str] = &["acquire", "release"];

    fn kind(&self) -> &'static str {
        match self {
            Request::Acquire => "acquire",
            Request::Release { .. } => "release",
        }
    }
}

struct Locks;

impl rpc::Service for Locks {
    type Request = Request;
    type Reply = Reply;
}

// ---- the server ---------------------------------------------------------------------------------------------------

async fn server(_: Rc<Params>) {
    let mut calls = rpc::Server::<Locks>::bind(PORT).expect("nothing else has the port");
    let mut last = last_token().await.expect("no scenario damages the disk");
    // A client may count on a lease that an earlier life of this server granted.
    let mut free_at = time::now() + LEASE;
    loop {
        let call = calls.recv().await;
        let reply = match call.request {
            Request::Acquire if time::now() < free_at => Reply::Held,
            Request::Acquire => {
                last += 1;
                // A known bug, off by default: see `describe`.
                if !planted!("first_lock.token-in-memory") {
                    persist(last).await.expect("no scenario fails the disk");
                }
                free_at = time::now() + LEASE;
                Reply::Granted { token: last }
            }
            Request::Release { token } => {
                if token == last {
                    free_at = time::now();
                }
                Reply::Released
            }
        };
        call.responder.send(&reply);
    }
}

async fn last_token() -> io::Result<u64> {
    match fs::read(TOKEN).await {
        Ok(bytes) => Ok(u64::from_le_bytes(bytes.try_into().expect("eight bytes, written at once"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// When this returns, the token survives any crash: first the bytes, then the name.
async fn persist(token: u64) -> io::Result<()> {
    let file = fs::File::create("token.new").await?;
    file.write_all_at(&token.to_le_bytes(), 0).await?;
    file.sync_all().await?;
    fs::rename("token.new", TOKEN).await?;
    fs::sync_dir("").await
}

// ---- the clients --------------------------------------------------------------------------------------------------

async fn client(cx: Client<Params>, _: toml::Table) {
    let server = node::lookup("server-0").expect("`build` adds it").port(PORT);
    let ask = async |request: Request| {
        let call = cx.invoke(request.clone());
        match rpc::call::<Locks>(server, &request, Duration::from_millis(50)).await {
            Ok(reply) => {
                call.ok(reply.clone());
                Some(reply)
            }
            // Nobody knows whether the server did it.
            Err(_) => {
                call.unknown();
                None
            }
        }
    };
    while cx.running() {
        let asked = time::now();
        if let Some(Reply::Granted { token }) = ask(Request::Acquire).await
            // By the client's own clock, from before the server's grant: a client that was paused meanwhile has no lease.
            && asked.elapsed() < LEASE
        {
            observe!(Acquired { token });
            time::sleep(rand::duration(Duration::ZERO, LEASE - asked.elapsed())).await;
            ask(Request::Release { token }).await;
        }
        time::sleep(rand::duration(Duration::from_millis(1), Duration::from_millis(50))).await;
    }
}

// ---- the check ----------------------------------------------------------------------------------------------------

event! {
    /// A client counts on the lock.
    "first_lock.acquired" => struct Acquired {
        /// The fencing token.
        token: u64,
    }
}

/// Tokens ascend in the order in which clients hold the lock.
#[derive(Default)]
struct TokensAscend(u64);

impl Invariant for TokensAscend {
    const NAME: &'static str = "tokens-ascend";

    fn subscribe(on: &mut On<Self>) {
        on.event::<Acquired>(|this, _, event| {
            let before = std::mem::replace(&mut this.0, event.token);
            match event.token > before {
                true => Ok(()),
                false => Err(Violation::new(format!("the token {} follows {before}", event.token))),
            }
        });
    }
}

// ---- the system ---------------------------------------------------------------------------------------------------

/// The keys of `[system]` in a scenario.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Params {
    /// The number of clients.
    clients: usize,
}

impl Default for Params {
    fn default() -> Self {
        Params { clients: 3 }
    }
}

struct FirstLock;

impl System for FirstLock {
    type Params = Params;

    fn describe(m: &mut Manifest<Self>) {
        m.name("first_lock", "A lock service: leases and fencing tokens").role("server", server).client_role("client");
        m.ops::<Request>().events_beside::<Acquired>().workload("mixed", client).invariant::<TokensAscend>();
        m.planted("first_lock.token-in-memory").breaks(["tokens-ascend"]).found_by("crashes", 5).found_by("swarm", 10);
    }

    fn build(&self, params: &Params, cluster: &mut Cluster) {
        cluster.nodes("server", 1).nodes("client", params.clients);
    }
}

fn main() -> ExitCode {
    tools::main(vec![Box::new(FirstLock)])
}
