//! The shell of a broker: configuration, listeners, the gRPC link and the command line round one
//! [`broker_core::Plugin`] and one host.
//!
//! [`plugin`] owns the plugin and is the only task that steps it. [`stream`] is one gRPC connection
//! to ha-server, or the way to the state in this process that [`alone`] opens. The MQTT engine is a host, in a crate of its own. [`steward`] answers for the broker to load balancers
//! and lets its clients go. Nothing here decides about messages, subscriptions or leases.
//!
//! Start reading at [`run::run`].

mod admission;
mod agent;
mod alone;
pub mod cli;
pub mod config;
mod engine;
mod measure;
mod metrics;
mod plugin;
mod ports;
mod pulse;
pub mod run;
mod steward;
mod stream;
