//! The replicated cluster with MQTT clients: real engines, plugins, leaders and states, on a log with
//! Raft's guarantees and a network that has none. What clients saw is judged by the crate `history`.

pub mod broker;
pub mod device;
pub mod host;
pub mod node;
pub mod raft;
pub mod run;
pub mod world;
