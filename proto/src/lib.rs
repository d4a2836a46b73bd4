//! The protocol between brokers and ha-server on the wire.
//!
//! `distributor.proto` specifies it. Here: the generated code ([`v1`]), the conversion between it
//! and the values of [`ha_types::link`] ([`convert`]), and the cutting of items into bounded frames
//! and back ([`frames`]). `raft.proto` ([`raft`]) is what ha-servers say to each other; `ha-node`
//! converts it, and `peers.proto` ([`peers`]) carries it. Nothing here decides; nothing here does I/O.

mod convert;
pub mod frames;

pub use convert::ProtocolError;

/// Generated from `distributor.proto` and `admin.proto`, package `ha.v1`.
#[expect(missing_docs, reason = "the .proto files document it")]
#[expect(clippy::allow_attributes, clippy::too_many_lines, reason = "generated code")]
pub mod v1 {
    tonic::include_proto!("ha.v1");
}

/// Generated from `raft.proto`, package `ha.raft.v1`.
#[expect(missing_docs, reason = "the .proto file documents it")]
pub mod raft {
    tonic::include_proto!("ha.raft.v1");
}

/// Generated from `peers.proto`, package `ha.peers.v1`.
#[expect(missing_docs, reason = "the .proto file documents it")]
#[expect(clippy::allow_attributes, reason = "generated code")]
pub mod peers {
    tonic::include_proto!("ha.peers.v1");
}
