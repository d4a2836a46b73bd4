//! Messages from the client, and their acknowledgements.

use std::collections::BTreeMap;
use std::sync::Arc;

use ha_types::session::{Ask, PacketId, RefuseReason, SessionKey};
use ha_types::{BrokerEpoch, ClusterMillis, Message, Millis, Publisher, Qos, TopicName};

use super::aliases::InboundAliases;
use super::ending::End;
use super::throttle::Throttle;
use super::{Moment, Surroundings};
use crate::access::{Access, Action, Identity};
use crate::codec::{Ack, Flow, FromServer, Publish, Reason, Recipient, Remarks, Version};
use crate::engine::limits::Limits;
use crate::engine::output::{Output, Request};

/// Exchanges that the client began.
#[derive(Debug)]
pub(super) struct Inflow {
    recipient: Recipient,
    aliases: InboundAliases,
    exchanges: BTreeMap<PacketId, Stage>,
    /// Those of `exchanges` that wait for the holder.
    unanswered: usize,
    throttle: Throttle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// PUBACK waits for the holder.
    Puback,
    /// An earlier connection left it before PUBREL. The holder is asked again: its PUBREC may not have been
    /// sent, and not everybody may have it.
    Left,
    /// PUBREC waits for the holder.
    Pubrec,
    /// PUBREC was sent: the same packet identifier is the same message until PUBREL.
    Received,
    /// PUBCOMP waits for the holder.
    Pubcomp,
}

/// What a PUBLISH is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coming {
    /// A new message.
    New,
    /// One that an earlier connection may have brought to its end.
    Again,
    /// It is answered, or will be.
    Known,
}

/// Why a message is not published; a client before 5.0 is told nothing: 3.1.1 [MQTT-3.3.5-2].
#[derive(Clone, Copy, Debug)]
struct Refusal(Reason, &'static str);

impl Inflow {
    /// `left`: exchanges of QoS 2 that earlier connections of the session left before PUBREL.
    pub(super) fn new(
        recipient: Recipient,
        now: Millis,
        limits: &Limits,
        left: Vec<PacketId>,
    ) -> Self {
        Self {
            recipient,
            aliases: InboundAliases::default(),
            exchanges: left.into_iter().map(|id| (id, Stage::Left)).collect(),
            unanswered: 0,
            throttle: Throttle::new(now, limits.publish_rate_max),
        }
    }

    /// Whether the client may be read from.
    pub(super) fn wants_input(&self, now: Millis, limits: &Limits) -> bool {
        self.unanswered < usize::from(limits.receive_maximum) && self.paused(now, limits).is_none()
    }

    /// Whether a packet of the client waits for the holder.
    pub(super) fn is_unanswered(&self) -> bool {
        self.unanswered > 0
    }

    /// Until when the client publishes too fast.
    pub(super) fn paused(&self, now: Millis, limits: &Limits) -> Option<Millis> {
        self.throttle.paused_until(now, limits.publish_rate_max)
    }

    pub(super) fn publish(
        &mut self,
        publish: Publish,
        from: (&Identity, SessionKey),
        at: Moment,
        around: &Surroundings<'_>,
        out: &mut Output,
    ) -> Result<(), End> {
        let limits = around.limits;
        self.throttle.take(at.now, limits.publish_rate_max);
        out.counts.received += 1;
        let topic = self.aliases.resolve(publish.topic, limits.topic_alias_maximum)?;
        let flow = publish.flow;
        let coming = match flow.packet_id() {
            Some(id) => self.coming(flow, id, limits, out)?,
            None => Coming::New,
        };
        if coming == Coming::Known {
            return Ok(());
        }
        if let Err(refusal) = check(&topic, from.0, around) {
            out.counts.denied += 1;
            return match (coming, flow.packet_id()) {
                // The exchange goes on; nobody gets what the client may not publish, or never published.
                (Coming::Again, Some(id)) => {
                    self.answer(FromServer::Pubrec(Ack::new(id, Reason::SUCCESS)), out)
                }
                _ => self.refuse(flow, refusal, out),
            };
        }
        let message = Arc::new(Message {
            topic,
            payload: publish.payload,
            properties: publish.properties,
            qos: flow.qos(),
            retain: publish.retain,
            expires_at: publish.expires_in_s.map(|seconds| expiry(at.cluster, seconds)),
            publisher: Publisher { session: from.1.id, epoch: BrokerEpoch(0) },
        });
        out.requests.push(match flow {
            Flow::AtMostOnce => Request::Publish(message),
            Flow::AtLeastOnce(packet_id) | Flow::ExactlyOnce(packet_id) => {
                let stage =
                    if flow.qos() == Qos::ExactlyOnce { Stage::Pubrec } else { Stage::Puback };
                self.exchanges.insert(packet_id, stage);
                self.unanswered += 1;
                Request::Ask(Ask::Publish { session: from.1, packet_id, message })
            }
        });
        Ok(())
    }

    /// What a PUBLISH with this packet identifier is.
    fn coming(
        &self,
        flow: Flow,
        id: PacketId,
        limits: &Limits,
        out: &mut Output,
    ) -> Result<Coming, End> {
        let is_qos_2 = flow.qos() == Qos::ExactlyOnce;
        match self.exchanges.get(&id) {
            // [MQTT-4.3.3-10]: known, and acknowledged again.
            Some(Stage::Received) if is_qos_2 => {
                self.answer(FromServer::Pubrec(Ack::new(id, Reason::SUCCESS)), out)?;
                Ok(Coming::Known)
            }
            Some(Stage::Left) if is_qos_2 => Ok(Coming::Again),
            // The answer is on its way.
            Some(Stage::Pubrec) if is_qos_2 => Ok(Coming::Known),
            Some(_) if self.recipient.version < Version::V5 => {
                Err(End::because(Reason::PACKET_ID_IN_USE, "the packet identifier is in use"))
            }
            Some(_) => {
                let refusal = Refusal(Reason::PACKET_ID_IN_USE, "the packet identifier is in use");
                self.refuse(flow, refusal, out).map(|()| Coming::Known)
            }
            None => self.check_receive_maximum(limits).map(|()| Coming::New),
        }
    }

    /// [MQTT-3.3.4-7] to [MQTT-3.3.4-9]. Clients before 5.0 do not know the limit: they are read from
    /// more slowly instead.
    fn check_receive_maximum(&self, limits: &Limits) -> Result<(), End> {
        let is_full = self.exchanges.len() >= usize::from(limits.receive_maximum);
        if is_full && self.recipient.version == Version::V5 {
            let why = "more QoS 1 and 2 publishes than the Receive Maximum";
            return Err(End::because(Reason::RECEIVE_MAXIMUM_EXCEEDED, why));
        }
        Ok(())
    }

    fn refuse(&self, flow: Flow, refusal: Refusal, out: &mut Output) -> Result<(), End> {
        let ack = |packet_id| match self.recipient.version {
            Version::V5 => {
                let Refusal(reason, why) = refusal;
                Ack { packet_id, reason, remarks: Remarks::because(why) }
            }
            // 3.1.1 [MQTT-3.3.5-2]: acknowledged like any other.
            Version::V31 | Version::V311 => Ack::new(packet_id, Reason::SUCCESS),
        };
        match flow {
            Flow::AtMostOnce => Ok(()),
            Flow::AtLeastOnce(id) => self.answer(FromServer::Puback(ack(id)), out),
            Flow::ExactlyOnce(id) => self.answer(FromServer::Pubrec(ack(id)), out),
        }
    }

    fn answer(&self, packet: FromServer, out: &mut Output) -> Result<(), End> {
        packet.encode(&self.recipient, &mut out.bytes)?;
        Ok(())
    }

    /// The holder's answer: PUBACK or PUBREC goes out.
    pub(super) fn published(
        &mut self,
        id: PacketId,
        outcome: Result<(), RefuseReason>,
        out: &mut Output,
    ) -> Result<(), End> {
        let Some(stage) = self.exchanges.get_mut(&id) else { return Ok(()) };
        let stage = match *stage {
            Stage::Puback | Stage::Pubrec => std::mem::replace(stage, Stage::Received),
            Stage::Received | Stage::Left | Stage::Pubcomp => return Ok(()),
        };
        self.unanswered -= 1;
        if stage == Stage::Puback || outcome.is_err() {
            self.exchanges.remove(&id);
        }
        let reason = outcome.map_or_else(refused, |()| Reason::SUCCESS);
        if reason.is_failure() && self.recipient.version < Version::V5 {
            // An acknowledgement would be a lie; a client that is closed publishes again.
            return Err(End::because(reason, "the message cannot be taken"));
        }
        let ack = Ack::new(id, reason);
        let packet =
            if stage == Stage::Puback { FromServer::Puback(ack) } else { FromServer::Pubrec(ack) };
        self.answer(packet, out)
    }

    /// [MQTT-4.3.3-11]: PUBCOMP follows.
    pub(super) fn pubrel(
        &mut self,
        ack: &Ack,
        session: SessionKey,
        out: &mut Output,
    ) -> Result<(), End> {
        let packet_id = ack.packet_id;
        match self.exchanges.get_mut(&packet_id) {
            Some(stage @ (Stage::Received | Stage::Left)) => {
                *stage = Stage::Pubcomp;
                self.unanswered += 1;
                out.requests.push(Request::Ask(Ask::Release { session, packet_id }));
                Ok(())
            }
            Some(Stage::Pubcomp) => Ok(()),
            Some(Stage::Puback | Stage::Pubrec) => {
                Err(End::because(Reason::PROTOCOL_ERROR, "PUBREL before PUBREC"))
            }
            None => {
                let ack = Ack::new(packet_id, Reason::PACKET_ID_NOT_FOUND);
                self.answer(FromServer::Pubcomp(ack), out)
            }
        }
    }

    /// The holder's answer: PUBCOMP goes out, and the packet identifier is free.
    pub(super) fn released(&mut self, id: PacketId, out: &mut Output) -> Result<(), End> {
        if self.exchanges.get(&id) != Some(&Stage::Pubcomp) {
            return Ok(());
        }
        self.exchanges.remove(&id);
        self.unanswered -= 1;
        self.answer(FromServer::Pubcomp(Ack::new(id, Reason::SUCCESS)), out)
    }
}

fn check(topic: &TopicName, who: &Identity, around: &Surroundings<'_>) -> Result<(), Refusal> {
    fits(topic.as_bytes(), around.limits)
        .map_err(|why| Refusal(Reason::TOPIC_NAME_INVALID, why))?;
    let is_own = topic.as_bytes().first() == Some(&b'$') && is_own(topic.as_str());
    let may = |access: &dyn Access| access.allows(who, Action::Publish(topic.as_str()));
    if is_own || !around.access.is_none_or(may) {
        return Err(Refusal(Reason::NOT_AUTHORIZED, "publishing to this topic is not allowed"));
    }
    Ok(())
}

/// Whether only the broker itself publishes to it.
pub(super) fn is_own(topic: &str) -> bool {
    matches!(topic.split('/').next(), Some("$SYS" | "$CONTROL"))
}

/// The listener's limits of a topic name or filter.
pub(super) fn fits(topic: &[u8], limits: &Limits) -> Result<(), &'static str> {
    if topic.len() > limits.topic_bytes_max {
        return Err("the topic is too long");
    }
    // Most have fewer bytes than they may have levels.
    if topic.len() >= limits.topic_levels_max
        && topic.iter().filter(|&&byte| byte == b'/').count() >= limits.topic_levels_max
    {
        return Err("the topic has too many levels");
    }
    Ok(())
}

fn expiry(now: ClusterMillis, seconds: u32) -> ClusterMillis {
    ClusterMillis(now.0.saturating_add(u64::from(seconds) * 1_000))
}

/// What the acknowledgements of 5.0 say of it: they have no word for a server that is unavailable.
pub(super) fn refused(reason: RefuseReason) -> Reason {
    match reason {
        RefuseReason::QuotaExceeded => Reason::QUOTA_EXCEEDED,
        RefuseReason::Unavailable => Reason::IMPLEMENTATION_SPECIFIC,
        RefuseReason::NotAuthorized => Reason::NOT_AUTHORIZED,
        RefuseReason::SharedNotSupported => Reason::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED,
    }
}
