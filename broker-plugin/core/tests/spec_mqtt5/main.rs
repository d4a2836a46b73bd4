//! MQTT 5.0, statement by statement. Each test names the one that it is for; the page
//! `docs/conformance.md` is made from these names.
//!
//! Where a packet must end the connection, the codec says so with an error; that every error does
//! end it is a statement of its own [MQTT-4.13.1-1].

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;
#[path = "../spec/mod.rs"]
#[expect(dead_code, reason = "other tests need the rest")]
mod spec;

mod acknowledgements;
mod aliases;
mod authentication;
mod closing;
mod connack;
mod connect;
mod connecting;
mod data;
mod ending;
mod expiry;
mod flow;
mod format;
mod forwarding;
mod incoming;
mod order;
mod outgoing;
mod publish;
mod remarks;
mod retained;
mod sessions;
mod shared;
mod subscribing;
mod subscriptions;
mod topics;
mod unsubscribing;
mod wills;

use broker_core::holder::Holder;
