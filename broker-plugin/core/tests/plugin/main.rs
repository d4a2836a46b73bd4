//! The promises of `proto/distributor.proto` and of the host that [`broker_core::Plugin`] keeps,
//! as sentences.
//!
//! One binary, so that the harness is compiled once.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

mod attach;
mod lease;
mod orders;
mod publish;
mod random;
mod relay;
mod resend;
mod retained;
mod subscribe;
