//! Distributed systems, each built to be tested by `sim`.
