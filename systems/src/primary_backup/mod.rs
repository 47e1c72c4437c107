//! Primary/backup replication of a key/value store, with a view service.
//!
//! The classic design of the MIT 6.824 labs of 2012–2015, after Alsberg & Day ("A principle for resilient sharing of
//! distributed resources", ICSE 1976) and Bressoud & Schneider's fault-tolerant virtual machines (1996): a *view service*
//! decides who is primary and who is backup; the primary answers clients after the backup has every operation; when the
//! primary dies the backup takes over.
//!
//! # Guarantees
//!
//! - Get, put and append are linearizable, and each takes effect at most once however often a client sends it.
//! - In each view at most one server answers clients.
//! - No data is lost as long as one of primary and backup of the last acknowledged view keeps its memory. Servers keep
//!   their data in memory only: when both have lost it, it is lost, and no server will ever serve again.
//!
//! # How
//!
//! | rule | where |
//! |---|---|
//! | View i+1 comes only after the primary of view i acknowledged i | [`view`] |
//! | The primary of view i+1 was primary or backup of view i | [`view`] |
//! | A new view is durable before anybody hears of it | [`view_service`] |
//! | A backup takes over only after its primary said that it has the whole state, the table of answered requests included | [`view`], [`server`] |
//! | Every operation, reads too, is confirmed by the backup before it is answered | [`server`] |
//! | A backup accepts operations only from the primary of the view that it is in | [`server`] |
//!
//! A server that restarted is a new server: views name a server by node *and* life, so that one which lost its memory
//! never keeps a role.
//!
//! # Where it deviates
//!
//! In the labs a primary acknowledges a view in one step. Here there are two: it acknowledges a view when it is in it, and
//! declares its backup *ready* when that has the state. With one step a backup that dies before it has the state would
//! leave a view that can never be acknowledged.
//!
//! In the labs a ping proves that a server was alive when the ping *arrives*. Here it carries back the time stamp of the
//! last answer, so it proves that the server was alive at that time of the view service's own clock; a ping that was
//! delayed proves nothing about the present. A dead backup is dismissed only while the primary is known to be alive: a
//! view whose primary is dead already can never be acknowledged, and nothing could follow it.

pub mod checks;
pub mod client;
pub mod server;
pub mod store;
mod system;
pub mod view;
pub mod view_service;
mod visible;
pub mod workload;

pub use system::{Params, PrimaryBackup};
