//! The replicated state of the cluster in a node: [`ha_core::cluster::ClusterState`] as the machine
//! of a [`ha_node::Node`].
//!
//! [`Replicated`] is the machine, [`Proposals`] hands it batches of commands in order and never
//! makes anybody wait; [`distribute`] owns the distributor while the node leads. For ha-server; and, as
//! [`alone`], for a broker without ha-server.
//!
//! What is absent here: a network, and any decision about sessions or messages.

pub mod alone;
pub mod distribute;
pub mod incarnation;
mod leader;
mod leader_changes;
mod place;
mod proposals;
mod rates;
mod replicated;
pub mod strategies;

pub use ha_core::cluster::{FeatureLevel, StateLimits, Strategies};
pub use ha_node::{Durability, StoreError};
pub use leader::{Leader, leader};
pub use leader_changes::{LEADER_CHANGES_MAX, LeaderChange};
pub use place::plain;
pub use proposals::{BATCH_BYTES, IN_FLIGHT_BYTES_MAX, Proposals};
pub use rates::Rates;
pub use replicated::{Concern, Level, Replicated, Skipped};

/// A node whose machine is the state of the cluster.
pub type StateNode = ha_node::Node<Replicated>;

/// The one replication group.
pub const GROUP: u32 = 0;

/// Largest command: a message of the largest packet with its properties, and the numbers beside it.
pub const COMMAND_BYTES_MAX: usize = 20 << 20;
