//! Disks: what files promise, what a crash leaves, how long operations take, and how disks fail.

mod budget;
mod crash;
mod damage;
mod faults;
mod files;
mod model;
mod queue;
mod real;
mod space;
mod survives;
mod syncs;
mod units;
