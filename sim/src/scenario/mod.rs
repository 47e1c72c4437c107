//! Scenario files: what to run, and what goes wrong.
//!
//! A file is parsed once ([`Scenario::parse`]) and planned for each seed ([`Scenario::plan`]): planning makes every draw
//! and gives a typed [`Plan`]. Errors carry file, line, column and caret.

mod action;
mod check;
mod draw;
mod entries;
mod error;
pub(crate) mod freeze;
mod locate;
mod parse;
pub mod plan;
mod read;
mod rules;
pub mod target;
mod translate;
pub mod units;

pub use check::check;
pub use error::{Diagnostic, Level, ScenarioError, suggest};
pub use freeze::freeze;
pub use parse::Scenario;
pub use plan::Plan;
pub use read::read;
pub use target::Targets;

#[cfg(test)]
mod tests;
