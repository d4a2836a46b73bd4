//! What a client publishes: which messages go on, and how each is answered. Pure; one per
//! connection, except for the QoS 2 identifiers, which belong to the session.
//!
//! The front acknowledges by itself: a message is forwarded at its first PUBLISH, and a QoS 2
//! packet id is remembered until PUBREL so that a repeat is not forwarded again.

use std::collections::{BTreeMap, BTreeSet};

use ha_types::{InvalidTopic, Qos, TopicName};

use crate::codec::encode::AckKind;
use crate::codec::publish::Publish;
use crate::codec::{DecodeError, Reason};

/// Why a topic cannot be served here although MQTT allows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unroutable {
    /// rumqttd slices the first byte off and panics.
    #[error("this host cannot route topics that begin with a non-ASCII character")]
    NonAscii,
    /// Reserved to the server (`$SYS`, `$CONTROL`), or never matched by rumqttd.
    #[error("this host does not route topics that begin with $")]
    Dollar,
}

/// Checks that the router can be given this topic.
pub(crate) fn routable(topic: &TopicName) -> Result<(), Unroutable> {
    match topic.as_bytes().first() {
        Some(b'$') => Err(Unroutable::Dollar),
        Some(first) if !first.is_ascii() => Err(Unroutable::NonAscii),
        _ => Ok(()),
    }
}

/// What to do with a PUBLISH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Forward to plugin and router, then acknowledge.
    Forward(TopicName),
    /// A QoS 2 message that was forwarded before: acknowledge only.
    Repeat,
    /// Answer with this acknowledgement and reason; at QoS 0, and to 3.1.1, end the connection.
    Refuse(Unroutable),
}

/// Why a PUBLISH ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    /// Alias 0, above our maximum, or unknown.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Not a topic name.
    #[error("invalid topic name: {0}")]
    Topic(#[from] InvalidTopic),
    /// More QoS 2 exchanges than our Receive Maximum.
    #[error("more than Receive Maximum QoS 2 publishes in flight")]
    ReceiveMaximum,
}

impl Violation {
    /// What DISCONNECT says.
    pub(crate) fn reason(self) -> Reason {
        match self {
            Self::Decode(error) => error.reason(),
            Self::Topic(_) => Reason::TOPIC_NAME_INVALID,
            Self::ReceiveMaximum => Reason::RECEIVE_MAXIMUM_EXCEEDED,
        }
    }
}

/// Limits that CONNACK announces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InflowLimits {
    pub(crate) topic_aliases_max: u16,
    pub(crate) receive_maximum: u16,
}

/// The publishing side of one connection.
#[derive(Debug)]
pub(crate) struct Inflow {
    limits: InflowLimits,
    aliases: BTreeMap<u16, TopicName>,
    /// QoS 2 packet ids between PUBLISH and PUBREL, at most Receive Maximum.
    received: BTreeSet<u16>,
}

impl Inflow {
    /// `received` are the QoS 2 packet ids that the session remembers.
    pub(crate) fn new(limits: InflowLimits, received: BTreeSet<u16>) -> Self {
        Self { limits, aliases: BTreeMap::new(), received }
    }

    /// What the session must remember.
    pub(crate) fn into_received(self) -> BTreeSet<u16> {
        self.received
    }

    /// Decides about one PUBLISH.
    pub(crate) fn admit(&mut self, publish: &Publish) -> Result<Admission, Violation> {
        let topic = self.resolve(publish)?;
        if publish.qos == Qos::ExactlyOnce && self.received.contains(&publish.packet_id) {
            return Ok(Admission::Repeat);
        }
        if let Err(unroutable) = routable(&topic) {
            return Ok(Admission::Refuse(unroutable));
        }
        if publish.qos == Qos::ExactlyOnce {
            if self.received.len() >= usize::from(self.limits.receive_maximum) {
                return Err(Violation::ReceiveMaximum);
            }
            self.received.insert(publish.packet_id);
        }
        Ok(Admission::Forward(topic))
    }

    /// Ends a QoS 2 exchange; the reason for PUBCOMP.
    pub(crate) fn release(&mut self, packet_id: u16) -> Reason {
        if self.received.remove(&packet_id) { Reason::SUCCESS } else { Reason::PACKET_ID_NOT_FOUND }
    }

    fn resolve(&mut self, publish: &Publish) -> Result<TopicName, Violation> {
        let Some(alias) = publish.topic_alias else {
            return Ok(TopicName::parse(publish.topic.clone())?);
        };
        if alias == 0 || alias > self.limits.topic_aliases_max {
            return Err(DecodeError::TopicAlias.into());
        }
        if publish.topic.is_empty() {
            let unknown = DecodeError::Protocol("a topic alias that was not set");
            return self.aliases.get(&alias).cloned().ok_or(unknown.into());
        }
        let topic = TopicName::parse(publish.topic.clone())?;
        self.aliases.insert(alias, topic.clone());
        Ok(topic)
    }
}

/// How a PUBLISH of this QoS is acknowledged; `None` at QoS 0.
pub(crate) fn acknowledgement(qos: Qos) -> Option<AckKind> {
    match qos {
        Qos::AtMostOnce => None,
        Qos::AtLeastOnce => Some(AckKind::Puback),
        Qos::ExactlyOnce => Some(AckKind::Pubrec),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn inflow() -> Inflow {
        let limits = InflowLimits { topic_aliases_max: 2, receive_maximum: 2 };
        Inflow::new(limits, BTreeSet::new())
    }

    fn publish(topic: &'static str) -> Publish {
        Publish {
            qos: Qos::AtMostOnce,
            retain: false,
            packet_id: 0,
            topic: Bytes::from_static(topic.as_bytes()),
            topic_alias: None,
            expires_in_s: None,
            properties: Bytes::new(),
            payload: Bytes::new(),
        }
    }

    fn qos_2(packet_id: u16) -> Publish {
        Publish { qos: Qos::ExactlyOnce, packet_id, ..publish("t") }
    }

    fn forward(topic: &'static str) -> Result<Admission, Violation> {
        Ok(Admission::Forward(TopicName::parse(Bytes::from_static(topic.as_bytes())).unwrap()))
    }

    #[test]
    fn topic_that_would_panic_the_router_is_refused() {
        let refused = Ok(Admission::Refuse(Unroutable::NonAscii));
        assert_eq!(inflow().admit(&publish("é/x")), refused);
        assert_eq!(inflow().admit(&publish("x/é")), forward("x/é"));
    }

    #[test]
    fn topics_of_the_server_are_refused() {
        for topic in ["$SYS/a", "$CONTROL/a", "$share/g/a", "$x"] {
            let admission = inflow().admit(&publish(topic));
            assert_eq!(admission, Ok(Admission::Refuse(Unroutable::Dollar)), "{topic}");
        }
    }

    #[test]
    fn topic_with_wildcards_ends_the_connection() {
        let admission = inflow().admit(&publish("a/#"));
        assert_eq!(admission.unwrap_err().reason(), Reason::TOPIC_NAME_INVALID);
    }

    #[test]
    fn topic_alias_stands_for_its_topic_until_it_is_set_again() {
        let mut inflow = inflow();
        let alias = |topic| Publish { topic_alias: Some(2), ..publish(topic) };
        assert_eq!(inflow.admit(&alias("")).unwrap_err().reason(), Reason::PROTOCOL_ERROR);
        assert_eq!(inflow.admit(&alias("a")), forward("a"));
        assert_eq!(inflow.admit(&alias("")), forward("a"));
        assert_eq!(inflow.admit(&alias("b")), forward("b"));
        assert_eq!(inflow.admit(&alias("")), forward("b"));
    }

    /// [MQTT-3.3.2-8], [MQTT-3.3.2-9]
    #[test]
    fn topic_alias_above_the_announced_maximum_is_invalid() {
        for alias in [0, 3] {
            let admission = inflow().admit(&Publish { topic_alias: Some(alias), ..publish("a") });
            assert_eq!(admission.unwrap_err().reason(), Reason::TOPIC_ALIAS_INVALID);
        }
    }

    /// [MQTT-4.3.3-10]
    #[test]
    fn repeated_qos_2_publish_is_not_forwarded_until_it_was_released() {
        let mut inflow = inflow();
        assert_eq!(inflow.admit(&qos_2(7)), forward("t"));
        assert_eq!(inflow.admit(&qos_2(7)), Ok(Admission::Repeat));
        assert_eq!(inflow.release(7), Reason::SUCCESS);
        assert_eq!(inflow.release(7), Reason::PACKET_ID_NOT_FOUND);
        assert_eq!(inflow.admit(&qos_2(7)), forward("t"));
    }

    #[test]
    fn qos_2_publish_beyond_receive_maximum_ends_the_connection() {
        let mut inflow = inflow();
        assert!(inflow.admit(&qos_2(1)).is_ok());
        assert!(inflow.admit(&qos_2(2)).is_ok());
        assert_eq!(inflow.admit(&qos_2(3)), Err(Violation::ReceiveMaximum));
        inflow.release(1);
        assert!(inflow.admit(&qos_2(3)).is_ok());
    }
}
