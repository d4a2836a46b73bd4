//! What a client publishes: which messages go on, and how each is answered. Pure; one per
//! connection, except for the QoS 2 identifiers, which belong to the session.
//!
//! The front acknowledges by itself: a message is forwarded at its first PUBLISH, and a QoS 2
//! packet id is remembered until PUBREL so that a repeat is not forwarded again.

use std::collections::{BTreeMap, BTreeSet};

use broker_core::codec::{Flow, PacketId, Publish, Reason, Topic, TopicAlias};
use ha_types::TopicName;

/// Why a topic cannot be served here although MQTT allows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unroutable {
    /// rumqttd slices the first byte off and panics.
    #[error("this host cannot route topics that begin with a non-ASCII character")]
    NonAscii,
    /// Never matched by rumqttd.
    #[error("this host does not route topics that begin with $")]
    Dollar,
}

/// First levels of topics that only the server publishes to.
const RESERVED: [&[u8]; 2] = [b"$SYS", b"$CONTROL"];

/// Whether only the server may publish to this topic.
pub(crate) fn is_reserved(topic: &TopicName) -> bool {
    let first_level = topic.as_bytes().split(|byte| *byte == b'/').next();
    first_level.is_some_and(|level| RESERVED.contains(&level))
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
pub(crate) enum Intake {
    /// Forward to plugin and router, then acknowledge.
    Forward(TopicName),
    /// A QoS 2 message that was forwarded before: acknowledge only.
    Repeat,
    /// The client may not. To 5.0 the acknowledgement says so; 3.1.1 has no words for it.
    Deny,
    /// Answer with this acknowledgement and reason; at QoS 0, and before 5.0, end the connection.
    Refuse(Unroutable),
}

/// Why a PUBLISH ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    /// [MQTT-3.3.2-9]
    #[error("topic alias above the announced maximum")]
    AliasTooHigh,
    /// Nothing was published by this alias on this connection.
    #[error("protocol error: a topic alias that was not set")]
    AliasUnknown,
    /// More QoS 2 exchanges than our Receive Maximum.
    #[error("more than Receive Maximum QoS 2 publishes in flight")]
    ReceiveMaximum,
}

impl Violation {
    /// What DISCONNECT says.
    pub(crate) fn reason(self) -> Reason {
        match self {
            Self::AliasTooHigh => Reason::TOPIC_ALIAS_INVALID,
            Self::AliasUnknown => Reason::PROTOCOL_ERROR,
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
    aliases: BTreeMap<TopicAlias, TopicName>,
    /// QoS 2 packet ids between PUBLISH and PUBREL, at most Receive Maximum.
    received: BTreeSet<PacketId>,
}

impl Inflow {
    /// `received` are the QoS 2 packet ids that the session remembers.
    pub(crate) fn new(limits: InflowLimits, received: BTreeSet<PacketId>) -> Self {
        Self { limits, aliases: BTreeMap::new(), received }
    }

    /// What the session must remember.
    pub(crate) fn into_received(self) -> BTreeSet<PacketId> {
        self.received
    }

    /// Decides about one PUBLISH. `allows`: whether the client may publish to a topic.
    pub(crate) fn admit(
        &mut self,
        publish: &Publish,
        allows: impl FnOnce(&TopicName) -> bool,
    ) -> Result<Intake, Violation> {
        let topic = self.resolve(&publish.topic)?;
        let exactly_once = match publish.flow {
            Flow::ExactlyOnce(id) => Some(id),
            Flow::AtMostOnce | Flow::AtLeastOnce(_) => None,
        };
        // Before the checks: what was forwarded once is not denied afterwards.
        if exactly_once.is_some_and(|id| self.received.contains(&id)) {
            return Ok(Intake::Repeat);
        }
        if is_reserved(&topic) {
            return Ok(Intake::Deny);
        }
        if let Err(unroutable) = routable(&topic) {
            return Ok(Intake::Refuse(unroutable));
        }
        if !allows(&topic) {
            return Ok(Intake::Deny);
        }
        if let Some(id) = exactly_once {
            if self.received.len() >= usize::from(self.limits.receive_maximum) {
                return Err(Violation::ReceiveMaximum);
            }
            self.received.insert(id);
        }
        Ok(Intake::Forward(topic))
    }

    /// Ends a QoS 2 exchange; the reason for PUBCOMP.
    pub(crate) fn release(&mut self, id: PacketId) -> Reason {
        if self.received.remove(&id) { Reason::SUCCESS } else { Reason::PACKET_ID_NOT_FOUND }
    }

    fn resolve(&mut self, topic: &Topic) -> Result<TopicName, Violation> {
        let max = self.limits.topic_aliases_max;
        match topic {
            Topic::Name(name) => Ok(name.clone()),
            Topic::Both(_, alias) | Topic::Alias(alias) if alias.get() > max => {
                Err(Violation::AliasTooHigh)
            }
            Topic::Both(name, alias) => {
                // Otherwise an alias would keep the whole packet in memory.
                self.aliases.insert(*alias, name.detached());
                Ok(name.clone())
            }
            Topic::Alias(alias) => self.aliases.get(alias).cloned().ok_or(Violation::AliasUnknown),
        }
    }
}

#[cfg(test)]
mod tests;
