//! The client library: one operation at a time, each until its deadline.

use std::time::Duration;

use sim::models::{StoreOp, StoreRet};
use sim::time::Instant;
use sim::{OpError, always, buggify, planted, sometimes, time};

use super::server;
use super::store::{Answer, Command, Query, Store};
use super::system::Params;
use crate::rsm::{self, Patience};

/// A client of the store.
pub struct Clerk(rsm::Client<Store>);

impl Clerk {
    /// A client that knows nobody yet.
    pub fn new(params: &Params) -> Clerk {
        let group = server::group();
        let patience = Patience {
            attempt: Duration::from_millis(params.attempt_ms),
            session: Duration::from_millis(params.client_session_ms),
            ..Patience::default()
        };
        Clerk(rsm::Client::new(group, group.addrs(server::PORT), patience))
    }

    /// Performs an operation. A read `anywhere` is asked of any server.
    ///
    /// # Errors
    ///
    /// As it ended without a result: the store refused it or it never got that far, or nobody knows.
    pub async fn perform(&mut self, op: StoreOp, anywhere: bool, within: Duration) -> Result<StoreRet, OpError> {
        let deadline = time::now() + within;
        match op {
            StoreOp::Get { key } => self.query(Query::Get(key), anywhere, deadline).await,
            StoreOp::Scan { from, to, limit } if planted!("kv.scan-in-pages") => {
                self.scan_in_pages(from, to, limit, anywhere, deadline).await
            }
            StoreOp::Scan { from, to, limit } => self.query(Query::Scan(from, to, limit), anywhere, deadline).await,
            StoreOp::Cas { key, expected, new } if planted!("kv.swap-in-two-steps") => {
                match self.query(Query::Get(key.clone()), anywhere, deadline).await {
                    Ok(StoreRet::Value(value)) if value == expected => {
                        match self.execute(Command::Put(key, new), deadline).await {
                            Ok(_) => Ok(StoreRet::Swapped(true)),
                            other => other,
                        }
                    }
                    Ok(_) => Ok(StoreRet::Swapped(false)),
                    other => other,
                }
            }
            op => self.execute(Command::of(&op).expect("what does not read writes"), deadline).await,
        }
    }

    async fn execute(&mut self, command: Command, deadline: Instant) -> Result<StoreRet, OpError> {
        match self.0.execute(command.clone(), deadline).await {
            Ok(reply) => {
                let fits = command.is_answered_by(reply);
                always!(fits, "kv.reply-fits", "{reply:?} is no reply to it");
                if fits { reply.result() } else { Err(OpError::Unknown) }
            }
            Err(OpError::Unknown) if planted!("kv.unknown-reported-as-failed") => Err(OpError::Failed),
            Err(error) => {
                sometimes!(error == OpError::Unknown, "kv: the outcome of a command is unknown");
                Err(error)
            }
        }
    }

    async fn query(&mut self, query: Query, anywhere: bool, deadline: Instant) -> Result<StoreRet, OpError> {
        let is_get = matches!(query, Query::Get(_));
        // Any server's answer is as fresh as the leader's.
        let anywhere = anywhere || buggify!("kv.query-anywhere");
        let answer = match anywhere {
            true => self.0.query_anywhere(query, deadline).await,
            false => self.0.query(query, deadline).await,
        };
        match answer {
            Ok(Answer::Value(value)) if is_get => Ok(StoreRet::Value(value)),
            Ok(Answer::Pairs(pairs)) if !is_get => Ok(StoreRet::Pairs(pairs)),
            Ok(other) => {
                always!(false, "kv.answer-fits", "{other:?} is no answer to it");
                Err(OpError::Failed)
            }
            Err(_) => Err(OpError::Failed),
        }
    }

    /// What a client does who is told by nobody that pages are read at different moments.
    async fn scan_in_pages(
        &mut self,
        from: String,
        to: String,
        limit: usize,
        anywhere: bool,
        deadline: Instant,
    ) -> Result<StoreRet, OpError> {
        let (mut from, mut all) = (from, Vec::new());
        while all.len() < limit {
            match self.query(Query::Scan(from.clone(), to.clone(), 1), anywhere, deadline).await {
                Ok(StoreRet::Pairs(pairs)) if !pairs.is_empty() => {
                    from = format!("{}\0", pairs[0].0);
                    all.extend(pairs);
                }
                Ok(_) => break,
                other => return other,
            }
        }
        Ok(StoreRet::Pairs(all))
    }
}
