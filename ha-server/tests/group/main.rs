//! Several ha-servers as real processes on one machine: what an operator sees of a group.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod failovers;
mod forms;
mod kick;
mod lists;
mod members;
mod refused;
mod server;
mod streams;
