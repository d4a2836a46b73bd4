//! MQTT over WebSocket: RFC 6455 and MQTT 5.0 §6.
//!
//! `upgrade.rs`, `deframe.rs` and `outbox.rs` decide; `handshake.rs` and `stream.rs` wait. There
//! are no extensions and no compression, and no message is ever held as a whole.

mod deframe;
mod handshake;
mod outbox;
mod stream;
mod upgrade;
mod violation;

pub(crate) use handshake::{UpgradeError, upgrade};
pub use stream::WebSocket;

/// What a WebSocket listener serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocketConfig {
    /// The path of the upgrade, without its query: `/mqtt` by default. Anything else gets 404.
    pub path: String,
    /// The largest message, all of its fragments together: 32 MiB by default, twice the largest
    /// MQTT packet. A larger one ends the connection with 1009. Messages are never held, so this
    /// bounds no memory; it stops a client that has lost count.
    pub message_bytes_max: u64,
}

impl Default for WebSocketConfig {
    fn default() -> Self {
        Self { path: "/mqtt".to_owned(), message_bytes_max: 32 << 20 }
    }
}
