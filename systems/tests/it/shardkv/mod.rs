//! The sharded key/value store.

mod controller_labs;
mod lab;
mod scenarios;
mod store_labs;
