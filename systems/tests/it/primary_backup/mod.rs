//! Primary/backup.

mod labs;
mod scenarios;
mod transcripts;
