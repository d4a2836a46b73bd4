//! All decisions of ha-server.
//!
//! [`Distributor`] is a value that is stepped: `(now, input) → outputs`. It decides which brokers
//! are attached and alive, who must get a message, in which order retained messages change, and
//! when a publish is answered. It does no I/O, knows no clock and never waits.
//!
//! [`cluster::ClusterState`] is what all ha-servers hold in common: durable sessions and what they need.
//! It changes by commands of the replicated log. [`sessions::Sessions`] is what its leader does
//! with it. They are not wired to the distributor yet.
//!
//! What is *not* here: bytes, sockets, configuration files (`ha-server`); the log and its replication.
//!
//! Start reading at [`Distributor::step`].

mod attach;
mod broker;
mod broker_set;
pub mod cluster;
mod distributor;
mod fan_out;
mod interest;
mod invariants;
mod results;
mod retained;
pub mod sessions;
mod view;

pub use broker::StreamId;
pub use distributor::{Config, Distributor, Event, FanOut, HeartbeatAnswer, Input, LostBy, Output};
pub use view::{BrokerState, BrokerView};
