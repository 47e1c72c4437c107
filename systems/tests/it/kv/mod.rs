//! The key/value store.

mod labs;
mod scenarios;
