//! End to end: real `ha-server` and `ha-broker` processes, real MQTT clients, `kill -9`.
//!
//! - [`Cluster`] and [`Program`] run the programs on free ports of 127.0.0.1, each in a folder of
//!   its own, and end them when they go out of scope. When a test fails their logs are printed.
//! - [`mosquitto`] runs the clients that users have; [`Client`] is a small MQTT client that says
//!   exactly what arrived; [`all_hold`] runs the libraries of other people.
//! - [`Cable`] breaks the connections between two programs and nothing else.
//! - [`wait::until`] polls a condition with a limit. No test sleeps for a fixed time and hopes.
//!
//! Absent on purpose: no crate of this repository is a dependency, so that nothing here can share a
//! mistake with what it tests.

#![expect(clippy::unwrap_used, reason = "all of this runs in tests, where a panic is the report")]

mod binaries;
mod cable;
mod certificates;
mod client;
mod cluster;
mod http;
mod load_balancer;
mod mortal;
pub mod mosquitto;
mod packet;
mod ports;
mod process;
mod program;
mod raw;
mod scenarios;
mod temporary;
pub mod wait;

pub use binaries::{binary, repository, without_our_environment};
pub use cable::Cable;
pub use certificates::certificates;
pub use client::{Client, Message, Outcome, Version};
pub use cluster::Cluster;
pub use http::get;
pub use load_balancer::{LoadBalancer, with_ports};
pub use mortal::{Life, Mortal};
pub use ports::Port;
pub use process::{Process, run, run_within};
pub use program::Program;
pub use raw::{Came, Raw};
pub use scenarios::{Library, Transport, all_hold, all_hold_in_a_cluster};
pub use temporary::TemporaryFolder;
