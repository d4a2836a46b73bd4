//! The shell of ha-server: configuration, gRPC, HTTP and command line round one
//! [`ha_core::Distributor`] and one node of the replicated state.
//!
//! [`ha_member::distribute`] owns the distributor and is the only task that steps it. [`streams`] turns
//! gRPC streams into its inputs and its outputs into frames. [`group`] is this server as a member of its
//! group, [`peers`] carries what the members' nodes say to each other, [`membership`] decides which
//! changes of the group are safe. Nothing here decides about brokers or messages.
//!
//! Start reading at [`run::run`].

mod accept;
mod admin;
mod balance;
mod change;
mod channels;
pub mod cli;
pub mod config;
mod drain_commands;
mod group;
mod kick;
mod list_commands;
mod lists;
mod member_commands;
mod membership;
mod metrics;
mod peers;
mod reach;
pub mod run;
mod status;
mod streams;
mod upgrade;
