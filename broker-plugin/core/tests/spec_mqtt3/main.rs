//! MQTT 3.1.1, statement by statement. Each test names the one that it is for; the page
//! `docs/conformance.md` is made from these names.
//!
//! Where a packet must end the connection, the codec says so with an error; that every error does
//! end it is a statement of its own [MQTT-4.8.0-1].

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;
#[path = "../spec/mod.rs"]
#[expect(dead_code, reason = "other tests need the rest")]
mod spec;

mod connack;
mod connect;
mod data;
mod format;
mod messages;
mod publish;
mod resuming;
mod sessions;
mod subscribing;
mod subscriptions;
mod topics;
mod wills;

use broker_core::holder::Holder;
