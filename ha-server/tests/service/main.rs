//! ha-server over real gRPC, in one process: what a broker sees of it.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod broker;
mod running;
mod streams;
mod traffic;
