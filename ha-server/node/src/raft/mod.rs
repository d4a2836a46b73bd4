//! The Raft library, and everything that names its types.
//!
//! [`log_store`] and [`applier`] are what it asks of us, [`network`] and [`serve`] carry its
//! requests as messages of `raft.proto` ([`wire`]).

pub(crate) mod applier;
pub(crate) mod log_store;
pub(crate) mod network;
pub(crate) mod serve;
pub(crate) mod types;
pub(crate) mod wire;

#[cfg(test)]
pub(crate) mod suite;
