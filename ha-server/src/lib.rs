//! The shell of ha-server: configuration, gRPC, HTTP and command line round one
//! [`ha_core::Distributor`].
//!
//! [`distribute`] owns the distributor and is the only task that steps it. [`streams`] turns gRPC
//! streams into its inputs and its outputs into frames. Nothing here decides about brokers or
//! messages.
//!
//! Start reading at [`run::run`].

mod accept;
mod admin;
pub mod cli;
pub mod config;
mod distribute;
mod incarnation;
mod metrics;
mod rates;
pub mod run;
mod status;
mod streams;
