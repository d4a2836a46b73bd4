//! The replicated cluster with MQTT clients: real engines, plugins, leaders and states, on a log with
//! Raft's guarantees and a network that has none. What clients saw is judged by the crate `history`.

pub mod broker;
mod clients;
pub mod clock;
pub mod device;
mod faults;
pub mod host;
pub mod node;
pub mod raft;
pub mod run;
pub mod world;
