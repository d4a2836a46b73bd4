//! The rumqttd host: an MQTT broker made of an embedded rumqttd router behind a strict front.
//!
//! For people who already embed rumqttd. It gives live fan-out and retained messages, and keeps
//! sessions in memory; the promises about durability are those of the `session` host.
//!
//! The *front* is ours: sockets, codec, validation, topic aliases, acknowledgements to publishers,
//! wills, takeover, retained messages. The *router* is rumqttd's, unmodified and through its public
//! interface: matching, a log per filter, and the outgoing QoS 1 and 2 flow.
//!
//! ```text
//! client ── front ──► plugin                  (HostPublish, HostEvent)
//!             │  ▲
//!             ▼  │ link, one per connection
//!            router ◄── injector ◄── plugin   (HostCommand)
//! ```
//!
//! Absent on purpose:
//! - No client id, property or packet of a client reaches the router as it was sent.
//! - The router never closes a link, and never sees two links of one name: both can panic it.
//! - Nothing is retained here: the plugin has the broker's copy.
//! - User name and password are not looked at.

mod codec;
mod config;
mod counters;
mod effects;
mod front;
mod host;
mod registry;
mod router;
mod shared;
mod slots;

pub use config::{HostConfig, InvalidConfig};
pub use counters::HostStats;
pub use host::{Host, PluginPorts, StartError, start};
pub use router::watch::ProbeError;
