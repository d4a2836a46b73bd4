//! An application message on its way through the cluster.

use bytes::Bytes;

use crate::ids::{BrokerEpoch, ClusterMillis, SessionId};
use crate::topic::TopicName;

/// Quality of service (MQTT 5.0 §4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Qos {
    /// At most once.
    #[default]
    AtMostOnce,
    /// At least once.
    AtLeastOnce,
    /// Exactly once.
    ExactlyOnce,
}

impl Qos {
    /// 0, 1 or 2.
    #[must_use]
    pub fn level(self) -> u8 {
        match self {
            Self::AtMostOnce => 0,
            Self::AtLeastOnce => 1,
            Self::ExactlyOnce => 2,
        }
    }

    /// From 0, 1 or 2; `None` for anything else.
    #[must_use]
    pub fn from_level(level: u32) -> Option<Self> {
        match level {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

/// Who published a message: needed for No Local, for access checks at delivery and for audit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Publisher {
    /// The session, unique within its broker's incarnation. Zero: the broker itself.
    pub session: SessionId,
    /// Epoch under which the broker was attached when it took the message. Zero: not attached.
    pub epoch: BrokerEpoch,
}

/// A message as its publisher sent it, without topic alias, packet id and subscription ids.
///
/// Cloning shares topic, payload and properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where it was published.
    pub topic: TopicName,
    /// Opaque. Empty with `retain`: clears the retained message.
    pub payload: Bytes,
    /// MQTT 5 properties in their wire encoding, opaque here: payload format, content type,
    /// response topic, correlation data, user properties. At most
    /// [`PROPERTIES_BYTES_MAX`](crate::limits::PROPERTIES_BYTES_MAX) bytes.
    pub properties: Bytes,
    /// As published.
    pub qos: Qos,
    /// As published: whether the message replaces the retained message of its topic.
    pub retain: bool,
    /// When it expires; `None`: never.
    pub expires_at: Option<ClusterMillis>,
    /// Who published it.
    pub publisher: Publisher,
}

impl Message {
    /// Bytes of topic, payload and properties: what queues are bounded by.
    #[must_use]
    pub fn size(&self) -> usize {
        self.topic.as_bytes().len() + self.payload.len() + self.properties.len()
    }

    /// The same message in storage of its own. One that is kept for long must not pin the network
    /// buffer that it arrived in.
    #[must_use]
    pub fn detached(&self) -> Self {
        let own = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
        Self {
            topic: self.topic.detached(),
            payload: own(&self.payload),
            properties: own(&self.properties),
            ..self.clone()
        }
    }

    /// Whether its expiry has come at `now`.
    #[must_use]
    pub fn is_expired(&self, now: ClusterMillis) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_expires_exactly_at_its_time() {
        let message = Message {
            topic: TopicName::parse(Bytes::from_static(b"t")).unwrap(),
            payload: Bytes::new(),
            properties: Bytes::new(),
            qos: Qos::AtMostOnce,
            retain: false,
            expires_at: Some(ClusterMillis(10)),
            publisher: Publisher::default(),
        };
        assert!(!message.is_expired(ClusterMillis(9)));
        assert!(message.is_expired(ClusterMillis(10)));
    }

    #[test]
    fn qos_3_does_not_exist() {
        assert_eq!(Qos::from_level(2), Some(Qos::ExactlyOnce));
        assert_eq!(Qos::from_level(3), None);
    }
}
