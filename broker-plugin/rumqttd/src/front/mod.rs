//! The front: everything between a client's stream of bytes and the router.
//!
//! [`inflow`], [`outflow`] and [`subscriptions`] decide and are pure; [`connection`] acts.

pub(crate) mod connection;
pub(crate) mod ending;
pub(crate) mod entrance;
pub(crate) mod handshake;
pub(crate) mod inflow;
pub(crate) mod outflow;
pub(crate) mod serve;
pub(crate) mod socket;
pub(crate) mod subscriptions;
