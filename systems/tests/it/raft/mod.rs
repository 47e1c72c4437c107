//! Raft: its core without a simulator, its servers in experiments, and its scenarios.

mod core;
mod labs;
mod scenarios;
