//! All decisions of the plugin: the part of a broker that joins it to a cluster.
//!
//! [`Plugin`] is a value that is stepped: `(now, input) → outputs`. It decides when to dial
//! ha-server, what to send again, which interest to announce, what is retained and when a SUBSCRIBE
//! may be answered. It does no I/O, knows no clock and never waits; the shell in `broker-plugin`
//! feeds it and does what it says.
//!
//! [`codec`] is MQTT on the wire, and [`access`] what a host asks before it lets a client do anything.
//!
//! What is *not* here: sockets (the shell's).
//!
//! Start reading at [`Plugin::step`].

pub mod access;
mod attach;
mod backoff;
pub mod codec;
mod downstream;
pub mod drain;
pub mod engine;
pub mod holder;
pub mod host;
mod interest;
mod invariants;
mod lease;
mod link;
mod origins;
mod outbox;
mod overtaken;
mod plugin;
mod provisional;
mod publish;
pub mod pulse;
mod relay;
mod retained;
pub mod standing;
mod subscribe;
mod turn;

pub use link::{Address, LinkState, StreamId, Target};
pub use plugin::{Close, Config, Event, HeldBy, Input, Mode, Output, Plugin};
