//! A whole cluster in one value: the real cores of ha-server and of its brokers, wired over a
//! network in memory, with model clients. Time is a number; a seed decides everything else, so a
//! failing run can be repeated.
//!
//! | Module | What it models |
//! |---|---|
//! | [`network`] | streams with delays, in order each way, that break |
//! | [`server`], [`broker`] | what the shells do: outputs onto the network, packets in |
//! | [`cluster`] | whose turn it is; restarts and pauses |
//! | [`clients`] | what MQTT clients do, and what they are owed |
//! | [`checks`] | what must be true after every step, and when all is calm |
//! | [`run`] | one run of a seed, from the first Hello to the last check |
//! | [`mqtt`] | the same for a group of nodes that hold the sessions of MQTT clients |
//! | [`script`] | scenarios of that group, step by step |

pub mod broker;
pub mod checks;
pub mod clients;
pub mod cluster;
pub mod mqtt;
pub mod network;
pub mod random;
pub mod run;
pub mod script;
pub mod server;
