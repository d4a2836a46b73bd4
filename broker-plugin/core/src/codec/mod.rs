//! MQTT 3.1, 3.1.1 and 5.0 on the wire: bytes to packets and packets to bytes.
//!
//! Pure: no input panics, nothing is kept between calls. What a value of a packet type holds has
//! been checked; what depends on the connection's state (is this alias known, is this packet
//! identifier in use) is for the engine.
//!
//! - In: [`frame::split`] cuts the stream, then [`Connect::decode`] for the first packet and
//!   [`FromClient::decode`] for all others. Topics, payloads and properties share the storage of the
//!   buffer that was read; nothing is copied and, for a PUBLISH, nothing is allocated.
//! - Out: [`FromServer::encode`] for one recipient, [`EncodedPublish`] for a message to many.
//! - The other direction ([`FromClient::encode`], [`FromServer::decode`]) is for clients: tests and
//!   the load generator.
//!
//! `#[inline]` stands only where decoding a PUBLISH was measurably faster with it: without, its parts
//! are moved through memory several times.
//!
//! What differs between the versions is in [`version`], which properties a packet may have in
//! [`property`], which reason codes in [`reason`]. What is *not* here: sockets, timers, sessions,
//! topic alias tables, and whether a client may do what it asks for.

mod ack;
mod auth;
mod connack;
mod connect;
mod disconnect;
mod encoded_publish;
mod error;
pub mod frame;
mod ids;
pub mod limits;
mod packet;
pub mod property;
mod publish;
mod reader;
pub mod reason;
mod recipient;
mod remarks;
mod suback;
mod subscribe;
mod text;
mod unsubscribe;
mod user_properties;
pub mod version;
mod will;
mod writer;

pub use ack::Ack;
pub use auth::{Auth, Authentication};
pub use connack::{Announcement, Connack};
pub use connect::{Connect, NEVER_EXPIRES};
pub use disconnect::Disconnect;
pub use encoded_publish::{AliasUse, EncodedPublish, Envelope};
pub use error::{ConnectError, DecodeError};
pub use frame::Frame;
pub use ha_types::session::{PacketId, RetainHandling, SubscriptionId};
pub use ids::TopicAlias;
pub use packet::{FromClient, FromServer, PacketType, Sender};
pub use publish::{Flow, Publish, Topic};
pub use reason::Reason;
pub use recipient::{ProblemInformation, Recipient, TooLarge};
pub use remarks::Remarks;
pub use suback::{Suback, Unsuback};
pub use subscribe::{FilterRequest, Subscribe, SubscriptionOptions};
pub use text::{Binary, InvalidText, Text};
pub use unsubscribe::Unsubscribe;
pub use user_properties::UserProperties;
pub use version::Version;
pub use will::Will;
