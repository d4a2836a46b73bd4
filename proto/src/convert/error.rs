//! What can be wrong with an item.

use ha_types::{InvalidBrokerName, InvalidTopic};

/// How the other side broke the protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// An item of a kind that this version does not know, or an item without content.
    #[error("an item of unknown kind")]
    UnknownItem,
    /// A field that must be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A number, or a length, outside its range.
    #[error("{field} = {value} is out of range")]
    OutOfRange {
        /// Name of the field.
        field: &'static str,
        /// What was sent.
        value: u64,
    },
    /// Not a topic name or filter.
    #[error("invalid topic: {0}")]
    Topic(#[from] InvalidTopic),
    /// A retained message of another topic than its change.
    #[error("a retained message with another topic")]
    TopicsDiffer,
    /// Not a broker name.
    #[error("invalid broker name: {0}")]
    Name(#[from] InvalidBrokerName),
    /// Not UTF-8, or with U+0000 [MQTT-1.5.4-1], [MQTT-1.5.4-2].
    #[error("a client id that is not text")]
    ClientId,
    /// An exchange of a publish without a number, or of QoS 0.
    #[error("a publish that has no exchange")]
    UnexpectedExchange,
    /// A chunk without a message that announced it, or too long for it.
    #[error("a chunk that no message announced")]
    UnexpectedChunk,
    /// A part that goes on with an item of another kind, or of a kind that has no parts.
    #[error("a part of another item")]
    UnexpectedPart,
    /// Something else before the last item was complete.
    #[error("an item inside a chunked message")]
    Interleaved,
    /// A message whose rest did not come, among several of one item.
    #[error("a chunked message beside others")]
    Incomplete,
}

impl ProtocolError {
    pub(super) fn out_of_range(field: &'static str, value: impl TryInto<u64>) -> Self {
        Self::OutOfRange { field, value: value.try_into().unwrap_or(u64::MAX) }
    }

    /// A value of an enumeration that this version does not know.
    pub(super) fn unknown(field: &'static str, value: i32) -> Self {
        Self::out_of_range(field, value)
    }
}
