//! Topic aliases in both directions (5.0 §3.3.2.3.4). They belong to a connection, not to a session.

use ha_types::TopicName;

use super::ending::End;
use crate::codec::{AliasUse, Reason, Topic, TopicAlias};

/// Aliases that the client has named. Grows to the maximum only as the client uses it.
#[derive(Debug, Default)]
pub(super) struct InboundAliases {
    names: Vec<Option<TopicName>>,
}

impl InboundAliases {
    /// The topic that a PUBLISH means.
    ///
    /// # Errors
    /// An alias above `maximum` [MQTT-3.3.2-9], or one that has no name yet.
    pub(super) fn resolve(&mut self, topic: Topic, maximum: u16) -> Result<TopicName, End> {
        match topic {
            Topic::Name(name) => Ok(name),
            Topic::Both(name, alias) => {
                let at = index(alias, maximum)?;
                if self.names.len() <= at {
                    self.names.resize(at + 1, None);
                }
                // Not the storage of the packet, which is much larger and gone soon.
                self.names[at] = Some(name.detached());
                Ok(name)
            }
            Topic::Alias(alias) => {
                let known = self.names.get(index(alias, maximum)?).and_then(Option::clone);
                let unknown = End::because(Reason::PROTOCOL_ERROR, "the topic alias has no name");
                known.ok_or(unknown)
            }
        }
    }
}

fn index(alias: TopicAlias, maximum: u16) -> Result<usize, End> {
    if alias.get() > maximum {
        return Err(End::because(
            Reason::TOPIC_ALIAS_INVALID,
            "the topic alias is above the maximum",
        ));
    }
    Ok(usize::from(alias.get()) - 1)
}

/// Aliases that we have named. Each topic has one place, which the last topic there has: no list to
/// search, no order to keep.
#[derive(Debug)]
pub(super) struct OutboundAliases {
    /// Made when the first message is sent.
    names: Vec<Option<TopicName>>,
    maximum: u16,
}

impl OutboundAliases {
    /// `maximum` zero: none are used [MQTT-3.1.2-26], [MQTT-3.1.2-27].
    pub(super) fn new(maximum: u16) -> Self {
        Self { names: Vec::new(), maximum }
    }

    /// How to name `topic`.
    pub(super) fn choose(&self, topic: &TopicName) -> AliasUse {
        if self.maximum == 0 {
            return AliasUse::None;
        }
        let at = self.place(topic);
        let alias = u16::try_from(at + 1).ok().and_then(TopicAlias::new);
        let alias = alias.expect("places are below the maximum, which is a u16");
        match self.names.get(at) {
            Some(Some(known)) if known == topic => AliasUse::Known(alias),
            _ => AliasUse::Introduce(alias),
        }
    }

    /// The client has been sent what [`choose`](Self::choose) said.
    pub(super) fn sent(&mut self, used: AliasUse, topic: &TopicName) {
        let AliasUse::Introduce(alias) = used else { return };
        self.names.resize(usize::from(self.maximum), None);
        self.names[usize::from(alias.get()) - 1] = Some(topic.detached());
    }

    /// FNV-1a: an attacker who makes topics share a place only gets their full names.
    fn place(&self, topic: &TopicName) -> usize {
        let hash = topic.as_bytes().iter().fold(0x811C_9DC5_u32, |hash, &byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        usize::try_from(hash % u32::from(self.maximum)).expect("below a u16")
    }
}
