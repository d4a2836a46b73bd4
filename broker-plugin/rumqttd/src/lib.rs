//! The rumqttd host: an MQTT broker made of an embedded rumqttd router behind a strict front.
//!
//! For people who already embed rumqttd. It gives live fan-out and retained messages, and keeps
//! sessions in memory; the promises about durability are those of the `session` host.
//!
//! The *front* is ours: connections, admission and access checks, topic aliases, acknowledgements to
//! publishers, wills, takeover, retained messages. MQTT on the wire is `broker_core::codec`. The *router* is rumqttd's, unmodified and through its public
//! interface: matching, a log per filter, and the outgoing QoS 1 and 2 flow.
//!
//! ```text
//! stream ── front ──► plugin                  (HostPublish, HostEvent)
//!             │  ▲
//!             ▼  │ link, one per connection
//!            router ◄── injector ◄── plugin   (HostCommand)
//! ```
//!
//! Absent on purpose:
//! - No client id, property or packet of a client reaches the router as it was sent.
//! - The router never closes a link, and never sees two links of one name: both can panic it.
//! - Nothing is retained here: the plugin has the broker's copy.
//! - No listener, and no judgement of credentials: connections come in through [`Entrance`], and who
//!   may do what is asked of [`Admission`].
//! - rumqttd's codecs are not used: they panic on packets that only servers send, accept what the
//!   specification forbids, and write malformed DISCONNECTs.

mod admission;
mod config;
mod counters;
mod effects;
mod front;
mod host;
mod registry;
mod router;
mod shared;
mod slots;

pub use admission::{
    Admission, AdmitAll, Admitting, CertificateSubject, Credentials, Origin, Verdict,
};
pub use config::{HostConfig, InvalidConfig};
pub use counters::HostStats;
pub use front::entrance::{Entrance, Phase, Place};
pub use host::{Host, PluginPorts, StartError, start};
pub use router::watch::ProbeError;
