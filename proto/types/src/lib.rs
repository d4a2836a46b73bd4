//! The vocabulary of mqtt-ha: what brokers and ha-servers talk about, as types that cannot be wrong.
//!
//! Everything here is a value: no I/O, no clock, no async. A [`TopicName`] or [`TopicFilter`] is
//! proof that the bytes were validated; parse at the edge, then pass these on.
//!
//! What is *not* here: the encoding on the wire (`ha-proto`), and any decision (`ha-core`,
//! `broker-core`).

pub mod filter_tree;
pub mod ids;
pub mod limits;
pub mod link;
pub mod message;
pub mod retained;
pub mod session;
pub mod topic;

pub use filter_tree::FilterTree;
pub use ids::{
    AskNumber, BrokerEpoch, BrokerName, ClusterMillis, Incarnation, InvalidBrokerName, Millis,
    PublishNumber, RetainedVersion, ServerIncarnation, SessionId, Ticket,
};
pub use message::{Message, Publisher, Qos};
pub use retained::{Retained, RetainedStore};
pub use topic::{InvalidTopic, SharedFilter, Subscription, TopicFilter, TopicName};
