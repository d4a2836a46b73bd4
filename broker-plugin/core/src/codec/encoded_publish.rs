//! A message that goes to many subscribers, encoded once.
//!
//! One [`EncodedPublish`] serves all subscribers of the same version and QoS. For most of them a
//! frame is one copy of the head, with flags and packet identifier patched in, and one copy of the
//! payload. A subscriber with properties of its own gets the parts of the head round these.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use ha_types::{Message, Qos};

use super::publish::{OwnProperties, Parts, first_byte, put_shared, shared_len};
use super::writer::{put_field, put_variable, variable_len};
use super::{Flow, Recipient, SubscriptionId, TooLarge, TopicAlias, Version};

/// A PUBLISH without what is different for each subscriber. Cheap to clone.
#[derive(Clone, Debug)]
pub struct EncodedPublish {
    version: Version,
    qos: Qos,
    /// All before the payload, for a subscriber without properties of its own: packet identifier 0,
    /// no flags but the QoS.
    head: Bytes,
    /// Topic name with its length.
    topic: Range<usize>,
    /// Properties that all subscribers get, to the end of `head`.
    shared_at: usize,
    payload: Bytes,
}

/// What is different for each subscriber.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// Of the same QoS as the [`EncodedPublish`].
    pub flow: Flow,
    /// Sent before.
    pub dup: bool,
    /// By Retain As Published, or a retained message.
    pub retain: bool,
    /// Of the subscriptions that match; not written before 5.0.
    pub subscription_ids: &'a [SubscriptionId],
    /// Not written before 5.0.
    pub alias: AliasUse,
}

/// Whether the topic is named by an alias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AliasUse {
    /// By its name.
    None,
    /// By its name, which this alias has from now on.
    Introduce(TopicAlias),
    /// By this alias alone.
    Known(TopicAlias),
}

impl EncodedPublish {
    /// `expires_in_s` is what is left of the message's life [MQTT-3.3.2-6].
    #[must_use]
    pub fn new(version: Version, qos: Qos, message: &Message, expires_in_s: Option<u32>) -> Self {
        let properties_len = shared_len(expires_in_s, &message.properties);
        let topic_len = 2 + message.topic.as_bytes().len();
        let (id, length) = (id_len(qos), length_len(version, properties_len));
        let shared_len = if version.has_properties() { properties_len } else { 0 };
        let body_len = topic_len + id + length + shared_len + message.payload.len();
        let mut head = BytesMut::with_capacity(5 + body_len - message.payload.len());
        head.put_u8(first_byte(qos, false, false));
        put_variable(&mut head, body_len);
        let topic = head.len()..head.len() + topic_len;
        put_field(&mut head, message.topic.as_bytes());
        head.put_bytes(0, id);
        if version.has_properties() {
            put_variable(&mut head, properties_len);
        }
        let shared_at = head.len();
        if version.has_properties() {
            put_shared(&mut head, expires_in_s, &message.properties);
        }
        let payload = message.payload.clone();
        Self { version, qos, head: head.freeze(), topic, shared_at, payload }
    }

    /// The end of every frame, for shells that write large payloads without copying them.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// Appends the whole frame.
    ///
    /// # Errors
    /// [`TooLarge`], and nothing is written: the message is dropped for this subscriber.
    ///
    /// # Panics
    /// When version or QoS are not those of this frame.
    pub fn write_to(
        &self,
        out: &mut BytesMut,
        recipient: &Recipient,
        envelope: &Envelope<'_>,
    ) -> Result<(), TooLarge> {
        self.write_head(out, recipient, envelope)?;
        out.extend_from_slice(&self.payload);
        Ok(())
    }

    /// Appends all but the [payload](Self::payload), which must follow.
    ///
    /// # Errors
    /// As of [`write_to`](Self::write_to), for the whole frame.
    ///
    /// # Panics
    /// As of [`write_to`](Self::write_to).
    pub fn write_head(
        &self,
        out: &mut BytesMut,
        recipient: &Recipient,
        envelope: &Envelope<'_>,
    ) -> Result<(), TooLarge> {
        assert_eq!(recipient.version, self.version, "a frame is of one version");
        assert_eq!(envelope.flow.qos(), self.qos, "a frame is of one QoS");
        let own = envelope.own();
        if !self.version.has_properties() || own.len() == 0 {
            return self.write_plain(out, recipient, envelope);
        }
        self.write_with(out, recipient, envelope, own)
    }

    fn write_plain(
        &self,
        out: &mut BytesMut,
        recipient: &Recipient,
        envelope: &Envelope<'_>,
    ) -> Result<(), TooLarge> {
        let packet_len = self.head.len() + self.payload.len();
        recipient.check_len(packet_len)?;
        out.reserve(packet_len);
        let start = out.len();
        out.extend_from_slice(&self.head);
        out[start] = envelope.first_byte();
        if let Some(id) = envelope.flow.packet_id() {
            let at = start + self.topic.end;
            out[at..at + 2].copy_from_slice(&id.get().to_be_bytes());
        }
        Ok(())
    }

    fn write_with(
        &self,
        out: &mut BytesMut,
        recipient: &Recipient,
        envelope: &Envelope<'_>,
        own: OwnProperties<'_>,
    ) -> Result<(), TooLarge> {
        let topic = match envelope.alias {
            AliasUse::Known(_) => &[0, 0],
            AliasUse::None | AliasUse::Introduce(_) => &self.head[self.topic.clone()],
        };
        let shared = &self.head[self.shared_at..];
        let properties_len = own.len() + shared.len();
        let id = id_len(self.qos);
        let length = length_len(self.version, properties_len);
        let body_len = topic.len() + id + length + properties_len + self.payload.len();
        let packet_len = 1 + variable_len(body_len) + body_len;
        recipient.check_len(packet_len)?;
        out.reserve(packet_len);
        out.put_u8(envelope.first_byte());
        put_variable(out, body_len);
        out.extend_from_slice(topic);
        if let Some(id) = envelope.flow.packet_id() {
            out.put_u16(id.get());
        }
        put_variable(out, properties_len);
        own.put(out);
        out.extend_from_slice(shared);
        Ok(())
    }
}

impl Envelope<'_> {
    /// Appends `message` to one subscriber, without an [`EncodedPublish`] that others would share.
    ///
    /// # Errors
    /// [`TooLarge`], and nothing is written: the message is dropped for this subscriber.
    pub fn write_message(
        &self,
        out: &mut BytesMut,
        recipient: &Recipient,
        message: &Message,
        expires_in_s: Option<u32>,
    ) -> Result<(), TooLarge> {
        let parts = Parts {
            first: self.first_byte(),
            name: match self.alias {
                AliasUse::Known(_) if recipient.version.has_properties() => &[],
                _ => message.topic.as_bytes(),
            },
            packet_id: self.flow.packet_id(),
            own: self.own(),
            expires_in_s,
            properties: &message.properties,
            payload: &message.payload,
        };
        parts.write(recipient, out)
    }

    fn first_byte(&self) -> u8 {
        first_byte(self.flow.qos(), self.dup, self.retain)
    }

    fn own(&self) -> OwnProperties<'_> {
        let alias = match self.alias {
            AliasUse::None => None,
            AliasUse::Introduce(alias) | AliasUse::Known(alias) => Some(alias),
        };
        OwnProperties { alias, ids: self.subscription_ids }
    }
}

fn id_len(qos: Qos) -> usize {
    if qos == Qos::AtMostOnce { 0 } else { 2 }
}

/// Bytes of the property length.
fn length_len(version: Version, properties_len: usize) -> usize {
    if version.has_properties() { variable_len(properties_len) } else { 0 }
}
