//! The replicated state of the cluster in a node: [`ha_core::cluster::ClusterState`] as the machine
//! of a [`ha_node::Node`].
//!
//! [`Replicated`] is the machine, [`Proposals`] hands it batches of commands in order and never
//! makes anybody wait. For ha-server, and for a broker that works alone and embeds the same node.
//!
//! What is absent here: a network, and any decision about sessions or messages.

mod place;
mod proposals;
mod replicated;

pub use place::plain;
pub use proposals::{BATCH_BYTES, IN_FLIGHT_BYTES_MAX, Proposals};
pub use replicated::{Replicated, Skipped};

/// A node whose machine is the state of the cluster.
pub type StateNode = ha_node::Node<Replicated>;
