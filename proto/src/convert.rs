//! Between generated types and the values of `ha_types::link`. Parsing is strict: what comes out is
//! valid, whoever sent it.

mod ask;
mod down;
mod error;
mod hello;
mod message;
mod session;
mod subscription;
mod tell;
mod up;

pub(crate) use down::{downstream_from, downstream_into};
pub use error::ProtocolError;
pub(crate) use up::{upstream_from, upstream_into};
