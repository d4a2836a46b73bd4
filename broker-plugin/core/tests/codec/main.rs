//! The codec: each rule of the specification that concerns single packets, and any bytes at all.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

mod answers;
mod connect;
mod fan_out;
mod header;
mod hostile;
mod publish;
mod round_trip;
mod subscribing;
