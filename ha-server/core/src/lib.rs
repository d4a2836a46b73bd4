//! All decisions of ha-server.
//!
//! [`cluster::ClusterState`] is what all ha-servers hold in common: sessions and what they need, what is
//! retained, which brokers there are. It changes by commands of the replicated log.
//!
//! [`Distributor`] is the leader of the cluster: a value that is stepped with that state beside it,
//! `(now, state, input) → outputs`. It decides which brokers are attached and alive, who must get a
//! message and which way, when a publish is answered, and what engines are told of their sessions. It
//! does no I/O, knows no clock and never waits. It changes the state only by proposing, and keeps
//! nothing that a new leader could not do without: that one begins with the state, and with what brokers
//! say when they attach again.
//!
//! What is *not* here: bytes on the wire, sockets, configuration files (`ha-server`); the log and its
//! replication (`ha-node`).
//!
//! Start reading at [`Distributor::step`], a message's way at `publish.rs`, a client's at `sessions`.

mod asks;
mod attach;
mod broker;
mod broker_set;
mod clock;
pub mod cluster;
mod distributor;
mod duty;
mod fan_out;
mod interest;
mod interface;
mod invariants;
mod kick;
mod leave;
mod losses;
mod proposals;
mod publish;
mod publishes;
mod queue;
mod receipts;
mod results;
mod retained;
mod sessions;
mod upkeep;
mod view;
mod wills;

pub use broker::StreamId;
pub use clock::ClusterClock;
pub use distributor::Distributor;
pub use duty::{DrainOrder, DrainRefusal};
pub use interface::{Config, Event, FanOut, HeartbeatAnswer, Input, LostBy, Output};
pub use kick::{Kick, Kicked};
pub use losses::{BrokerLoss, LOSSES_MAX};
pub use view::{BrokerState, BrokerView};
