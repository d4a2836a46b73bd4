//! How a message travels through the router, and what comes out.
//!
//! The router knows nothing of the publisher's QoS, of Retain As Published and No Local, and its
//! encoder panics on properties for 3.1.1 subscribers. So all of that travels in the one property
//! that it hands on unread, as an envelope: one byte of QoS and retain flag, eight bytes of
//! publishing session, then the opaque properties. It is opened for each subscriber.

use broker_core::codec::{Flow, PacketId};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use ha_types::{Qos, SessionId, TopicName};
use rumqttd::Notification;
use rumqttd::protocol::{
    Disconnect, DisconnectReasonCode, Filter, Packet, PubAck, PubAckReason, PubComp, PubCompReason,
    PubRec, PubRecReason, Publish, PublishProperties, QoS, RetainForwardRule, Subscribe,
    SubscribeProperties, Unsubscribe,
};

/// A message on its way into the router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Enveloped {
    pub(crate) topic: TopicName,
    pub(crate) payload: Bytes,
    /// Wire encoding without length.
    pub(crate) properties: Bytes,
    pub(crate) expires_in_s: Option<u32>,
    /// As published.
    pub(crate) qos: Qos,
    /// As published; for Retain As Published only. The router retains nothing.
    pub(crate) retain: bool,
    /// For No Local. Zero: from another broker, or the broker's own.
    pub(crate) publisher: SessionId,
}

/// A message that the router forwards to one subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Forwarded {
    pub(crate) topic: TopicName,
    pub(crate) payload: Bytes,
    pub(crate) properties: Bytes,
    pub(crate) expires_in_s: Option<u32>,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    pub(crate) publisher: SessionId,
    /// The router's number for the subscription; `None` for a moment after a session resumed.
    pub(crate) subscription: Option<usize>,
    /// How the router waits for acknowledgements: at the QoS of the subscription.
    pub(crate) router_flow: Flow,
}

/// What the router says to a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FromRouter {
    /// A message.
    Forward(Forwarded),
    /// Answer to a PUBREC, or the rest of an exchange of the resumed session.
    Pubrel(PacketId),
    /// Answer to a PINGREQ.
    Pingresp,
    /// The router stops forwarding until the link is woken.
    Unschedule,
    /// Answer to a SUBSCRIBE with [`Tell::Front`].
    Suback,
    /// UNSUBACK and the like: what the front has answered already.
    Nothing,
    /// The router closed this link.
    Closed,
}

/// The packet that carries `message` into the router.
pub(crate) fn publish(message: &Enveloped) -> Packet {
    let mut envelope = BytesMut::with_capacity(9 + message.properties.len());
    envelope.put_u8(message.qos.level() | u8::from(message.retain) << 2);
    envelope.put_u64(message.publisher.0);
    envelope.extend_from_slice(&message.properties);
    let properties = PublishProperties {
        message_expiry_interval: message.expires_in_s,
        correlation_data: Some(envelope.freeze()),
        ..PublishProperties::default()
    };
    let publish = Publish::new(message.topic.as_bytes().clone(), message.payload.clone(), false);
    Packet::Publish(publish, Some(properties))
}

/// Takes a notification of the router apart.
pub(crate) fn open(notification: Notification) -> FromRouter {
    if matches!(notification, Notification::Unschedule) {
        return FromRouter::Unschedule;
    }
    match Option::<Packet>::from(notification) {
        Some(Packet::Publish(publish, properties)) => {
            forwarded(publish, properties).map_or(FromRouter::Nothing, FromRouter::Forward)
        }
        Some(Packet::PubRel(pubrel, _)) => {
            PacketId::new(pubrel.pkid).map_or(FromRouter::Nothing, FromRouter::Pubrel)
        }
        Some(Packet::SubAck(suback, _)) if suback.pkid == TOLD => FromRouter::Suback,
        Some(Packet::PingResp(_)) => FromRouter::Pingresp,
        Some(Packet::Disconnect(..)) => FromRouter::Closed,
        _ => FromRouter::Nothing,
    }
}

/// `None` for a message without topic name or envelope, which nothing of ours publishes.
fn forwarded(mut publish: Publish, properties: Option<PublishProperties>) -> Option<Forwarded> {
    let properties = properties?;
    let mut envelope = properties.correlation_data?;
    if envelope.len() < 9 {
        return None;
    }
    let (flags, publisher) = (envelope.get_u8(), SessionId(envelope.get_u64()));
    let topic = TopicName::parse(std::mem::take(&mut publish.topic)).ok()?;
    let payload = std::mem::take(&mut publish.payload);
    // QoS and packet id are private to rumqttd. This encodes them, and by now nothing else.
    let mut rest = publish.serialize();
    let (qos, packet_id) = ((rest.get_u8() >> 1) & 0x03, PacketId::new(rest.get_u16()));
    let router_flow = match qos {
        0 => Flow::AtMostOnce,
        1 => Flow::AtLeastOnce(packet_id?),
        _ => Flow::ExactlyOnce(packet_id?),
    };
    Some(Forwarded {
        topic,
        payload,
        properties: envelope,
        expires_in_s: properties.message_expiry_interval,
        qos: Qos::from_level(u32::from(flags & 0x03))?,
        retain: flags & 0x04 != 0,
        publisher,
        subscription: properties.subscription_identifiers.first().copied(),
        router_flow,
    })
}

/// Packet id of a SUBSCRIBE whose SUBACK somebody waits for.
const TOLD: u16 = 1;

/// Who waits for the router's SUBACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tell {
    /// Nobody.
    Nobody,
    /// The front, before it answers its client.
    Front,
}

/// A SUBSCRIBE for one filter. `number` comes back with each message of this subscription.
pub(crate) fn subscribe(path: String, qos: Qos, number: usize, tell: Tell) -> Packet {
    let pkid = if tell == Tell::Front { TOLD } else { 0 };
    let filter = Filter {
        path,
        qos: router_qos(qos),
        nolocal: false,
        preserve_retain: false,
        retain_forward_rule: RetainForwardRule::Never,
    };
    let properties = SubscribeProperties { id: Some(number), user_properties: Vec::new() };
    Packet::Subscribe(Subscribe { pkid, filters: vec![filter] }, Some(properties))
}

/// An UNSUBSCRIBE for one filter.
pub(crate) fn unsubscribe(path: String) -> Packet {
    Packet::Unsubscribe(Unsubscribe { pkid: 0, filters: vec![path] }, None)
}

/// PUBACK of the router's packet `id`.
pub(crate) fn puback(id: PacketId) -> Packet {
    Packet::PubAck(PubAck { pkid: id.get(), reason: PubAckReason::Success }, None)
}

/// PUBREC of the router's packet `id`.
pub(crate) fn pubrec(id: PacketId) -> Packet {
    Packet::PubRec(PubRec { pkid: id.get(), reason: PubRecReason::Success }, None)
}

/// PUBCOMP of the router's packet `id`.
pub(crate) fn pubcomp(id: PacketId) -> Packet {
    Packet::PubComp(PubComp { pkid: id.get(), reason: PubCompReason::Success }, None)
}

/// Ends a link. Wills are the front's, so nothing is lost by a normal disconnection.
pub(crate) fn disconnect() -> Packet {
    Packet::Disconnect(Disconnect { reason_code: DisconnectReasonCode::NormalDisconnection }, None)
}

fn router_qos(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
        Qos::ExactlyOnce => QoS::ExactlyOnce,
    }
}

#[cfg(test)]
mod tests {
    use rumqttd::Forward;

    use super::*;

    #[test]
    fn message_comes_out_of_its_envelope_as_it_went_in() {
        let message = Enveloped {
            topic: TopicName::parse(Bytes::from_static(b"a/b")).unwrap(),
            payload: Bytes::from_static(b"p"),
            properties: Bytes::from_static(&[1, 1]),
            expires_in_s: Some(7),
            qos: Qos::ExactlyOnce,
            retain: true,
            publisher: SessionId(u64::MAX),
        };
        let Packet::Publish(publish, Some(mut properties)) = publish(&message) else {
            panic!("not a publish with properties");
        };
        assert!(!publish.retain, "the router must not retain");
        properties.subscription_identifiers = vec![3];
        let forward = Forward { cursor: None, size: 0, publish, properties: Some(properties) };
        let FromRouter::Forward(out) = open(Notification::Forward(forward)) else {
            panic!("not a forward");
        };
        assert_eq!((out.topic.as_str(), &out.payload[..]), ("a/b", &b"p"[..]));
        assert_eq!((out.qos, out.retain, out.publisher.0), (Qos::ExactlyOnce, true, u64::MAX));
        assert_eq!((&out.properties[..], out.expires_in_s), (&[1, 1][..], Some(7)));
        assert_eq!((out.subscription, out.router_flow), (Some(3), Flow::AtMostOnce));
    }
}
