//! What the clients of every system need, so that no system writes it again.
//!
//! | module | what |
//! |---|---|
//! | [`session`] | numbered requests, and the table by which a server recognises one that is sent again |
//! | [`retry`] | trying again until a deadline, and which server to ask next |
//! | [`params`] | parameters that are numbers within bounds |
//! | [`workload`] | the arguments of workloads, and their pace |
//!
//! What a client operation came to is a `Result` with [`sim::OpError`], in every system: [`sim::Client::record`] writes it into
//! the history.

pub mod params;
pub mod retry;
pub mod session;
pub mod workload;
