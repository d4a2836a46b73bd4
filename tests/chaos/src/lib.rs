//! Proves the promises with real processes: starts ha-servers and brokers, loads them with clients
//! whose every step is recorded, kills processes, and judges what the clients saw.
//!
//! - [`session`] is a client's side of MQTT, [`client`] drives it, [`plan`] says who there is;
//!   [`board`] is what they share, the [`history`] among it.
//! - [`schedule`] decides who is killed, whose disk is damaged and when, [`cluster`] does it, [`run()`]
//!   conducts all. With [`Disk::Forgets`] a server that was killed finds what it had synced, no more.
//! - [`disks`] judges what servers say of their disks: damage is noticed, and nothing else.
//! - [`report`] is what came of it: the verdict of [`history`], what no failure explains, and how
//!   long clients waited.
//! - [`race`] is a run of its own: retained messages that are written and read at the same time.
//! - [`shares`] is another: share groups whose members die as well.
//!
//! Not here: the rules. What is a loss or a duplicate is decided by [`history::History::check`].

pub mod board;
pub mod client;
pub mod cluster;
pub mod conf;
pub mod disks;
mod draining;
mod faults;
mod http;
pub mod message;
pub mod outage;
pub mod plan;
mod ports;
mod program;
pub mod race;
pub mod random;
pub mod report;
pub mod run;
pub mod schedule;
pub mod session;
pub mod shares;
pub mod wire;

pub use cluster::Disk;
pub use run::{Failed, Options, Roaming, run};
