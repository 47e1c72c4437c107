//! The tests of `dst`, in one program: linking is what takes the time.
//!
//! | module | what |
//! |---|---|
//! | [`dst`] | each command, called as a function, over a small system |
//! | [`binary`], [`new`], [`corpus`] | the program itself, with the systems of this repository |
//! | [`examples`] | the commands that help, READMEs and docs show |
//! | [`workers`] | sweeps in processes, over a system that misbehaves |

#![allow(clippy::disallowed_methods, reason = "the tests start processes, and read and write the machine's own files")]

mod binary;
mod corpus;
mod dst;
mod examples;
mod new;
mod workers;
