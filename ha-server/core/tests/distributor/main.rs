//! The promises of `proto/distributor.proto` that [`ha_core::Distributor`] keeps, as sentences.
//!
//! One binary, so that the harness is compiled once.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

mod attach;
mod claims;
mod duty;
mod fan_out;

mod flow;
mod kick;
mod late;
mod leaders;
mod leave;
mod losses;
mod moving;
mod random;
mod repeats;
mod results;
mod retained;
mod sessions;
mod shares;
mod transfer;
mod unsubscribing;
mod wills;
