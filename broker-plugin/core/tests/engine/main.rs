//! The engine: connections, routes and the in-memory holder, together as a broker without sockets.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../spec/mod.rs"]
#[expect(dead_code, reason = "other tests need the rest")]
mod spec;

mod access;
mod common;
mod delivery;
mod expiry;
mod full;
mod groups;
mod holder;
mod identifiers;
mod late;
mod leaving;
mod limits;
mod opening;
mod order;
mod overtaken;
mod paging;
mod passed_over;
mod random;
mod repeats;
mod takeover;

use broker_core::holder::Holder;

/// What is queued keeps the options of when it was published, and outlives its subscription.
const QUEUE_IS_FIXED: bool = true;

/// Of each random test.
const CASES: u32 = 200;
