//! Raft, its log, the store and the apply loop: a [`Machine`] that is replicated.
//!
//! A command that was proposed is appended to the log of a majority, synced there, applied in
//! memory and answered; the store gets it a while later and is never waited for. After a crash the
//! store is loaded and the rest is applied again from the log.
//!
//! What is absent here: any knowledge of MQTT or of what a command means; gRPC (whoever implements
//! [`Peers`] carries the bytes); a clock that reaches the machine. Only this crate names the Raft
//! library, and only its folder `raft`.

mod config;
mod error;
mod identity;
mod log;
mod machine;
mod members;
mod node;
mod opening;
mod peers;
mod pending;
mod purge;
mod raft;
mod recovery;
mod replica;
mod rest;
mod status;
mod store;

pub use config::{Config, Durability, Failover, Limits};
pub use error::{ConfirmError, MembershipError, ProposeError, StartError, StoreError};
pub use log::LogError;
pub use machine::{Change, CorruptRecord, LoadError, Machine};
pub use node::Node;
pub use peers::{Member, NodeId, Peers, Unreachable};
pub use pending::Pending;
pub use status::Status;
