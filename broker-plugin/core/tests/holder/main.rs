//! What [`broker_core::holder::Holder`] promises, as sentences.
//!
//! One binary, so that the harness is compiled once.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

mod expiry;
mod groups;
mod model;
mod ownership;
mod publishing;
mod queue;
mod random;
mod subscribing;
mod wills;
