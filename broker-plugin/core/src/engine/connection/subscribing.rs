//! SUBSCRIBE and UNSUBSCRIBE: what can be decided here, and what the holder answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use ha_types::session::{Ask, Granted, PacketId, RefuseReason, SessionKey, SubscribeOptions};
use ha_types::{Message, Qos, Subscription, Ticket};

use super::Surroundings;
use super::ending::End;
use super::inflow::{fits, refused};
use crate::access::{Action, Identity};
use crate::codec::{
    FilterRequest, FromServer, Reason, Recipient, Remarks, Suback, Subscribe, Unsuback,
    Unsubscribe, Version,
};
use crate::engine::note::Note;
use crate::engine::output::{Output, Request};
use crate::overtaken::Overtaken;

/// Packets that wait for the holder.
#[derive(Debug)]
pub(super) struct Subscribing {
    recipient: Recipient,
    waiting: BTreeMap<Ticket, Asked>,
    next_ticket: u64,
    overtaken: Overtaken,
}

/// Filters of a packet, for notes; empty when nobody wants them.
type Names = Vec<Subscription>;

#[derive(Debug)]
enum Asked {
    /// With the reasons of the filters that were refused here; `None`: the holder answers.
    Subscribe(PacketId, Vec<Option<Reason>>, Names),
    Unsubscribe(PacketId, Names),
}

impl Asked {
    fn packet_id(&self) -> PacketId {
        match self {
            Self::Subscribe(id, ..) | Self::Unsubscribe(id, _) => *id,
        }
    }
}

impl Subscribing {
    pub(super) fn new(recipient: Recipient) -> Self {
        Self {
            recipient,
            waiting: BTreeMap::new(),
            next_ticket: 1,
            overtaken: Overtaken::default(),
        }
    }

    /// A live message is delivered.
    pub(super) fn delivered(&mut self, message: &Arc<Message>) {
        if message.retain && self.waits_for_retained() {
            self.overtaken.note(message);
        }
    }

    fn waits_for_retained(&self) -> bool {
        self.waiting.values().any(|asked| matches!(asked, Asked::Subscribe(..)))
    }

    /// Whether one more may wait.
    pub(super) fn has_room(&self, around: &Surroundings<'_>) -> bool {
        self.waiting.len() < around.limits.subscribing_max
    }

    /// Whether a packet waits for the holder.
    pub(super) fn is_unanswered(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn is_in_use(&self, id: PacketId) -> bool {
        self.waiting.values().any(|asked| asked.packet_id() == id)
    }

    fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket - 1)
    }

    pub(super) fn subscribe(
        &mut self,
        packet: Subscribe,
        from: (&Identity, SessionKey),
        around: &Surroundings<'_>,
        out: &mut Output,
    ) -> Result<(), End> {
        let names = out.notes.names(packet.filters.iter().map(|of| &of.subscription));
        if self.is_in_use(packet.packet_id) {
            let reasons = vec![Reason::PACKET_ID_IN_USE; packet.filters.len()];
            return self.suback((packet.packet_id, names), reasons, out);
        }
        let here = packet.filters.iter().map(|filter| refusal(filter, from.0, around));
        let here: Vec<_> = here.collect();
        let id = packet.subscription_id;
        let accepted =
            packet.filters.into_iter().zip(&here).filter(|(_, refused)| refused.is_none());
        let subscriptions: Vec<_> = accepted
            .map(|(FilterRequest { subscription, options }, _)| SubscribeOptions {
                subscription,
                qos: options.qos,
                no_local: options.no_local,
                retain_as_published: options.retain_as_published,
                retain_handling: options.retain_handling,
                subscription_id: id,
            })
            .collect();
        if subscriptions.is_empty() {
            let reasons = here.into_iter().flatten().collect();
            return self.suback((packet.packet_id, names), reasons, out);
        }
        let ticket = self.ticket();
        self.waiting.insert(ticket, Asked::Subscribe(packet.packet_id, here, names));
        let ask = Ask::Subscribe { session: from.1, ticket, subscriptions };
        out.requests.push(Request::Ask(ask));
        Ok(())
    }

    pub(super) fn unsubscribe(
        &mut self,
        packet: Unsubscribe,
        session: SessionKey,
        out: &mut Output,
    ) -> Result<(), End> {
        let names = out.notes.names(packet.filters.iter());
        if self.is_in_use(packet.packet_id) {
            if self.recipient.version < Version::V5 {
                // Its UNSUBACK has one meaning: that the subscription is gone.
                let why = "the packet identifier is in use";
                return Err(End::because(Reason::PACKET_ID_IN_USE, why));
            }
            let reasons = vec![Reason::PACKET_ID_IN_USE; packet.filters.len()];
            return self.unsuback((packet.packet_id, names), reasons, out);
        }
        let ticket = self.ticket();
        self.waiting.insert(ticket, Asked::Unsubscribe(packet.packet_id, names));
        let ask = Ask::Unsubscribe { session, ticket, subscriptions: packet.filters };
        out.requests.push(Request::Ask(ask));
        Ok(())
    }

    /// [MQTT-3.8.4-2], [MQTT-3.8.4-6]. Takes out the retained messages that came too late.
    pub(super) fn subscribed(
        &mut self,
        ticket: Ticket,
        granted: &mut [Result<Granted, RefuseReason>],
        out: &mut Output,
    ) -> Result<(), End> {
        let Some(Asked::Subscribe(packet_id, here, names)) = self.waiting.remove(&ticket) else {
            return Ok(());
        };
        for granted in granted.iter_mut().flatten() {
            granted.unqueued.retain(|unqueued| !self.overtaken.has(&unqueued.message));
        }
        if !self.waits_for_retained() {
            self.overtaken.clear();
        }
        let mut answers = granted.iter();
        let reasons = here.into_iter().map(|refused_here| {
            refused_here.unwrap_or_else(|| match answers.next() {
                Some(Ok(granted)) => granted_reason(granted.qos),
                Some(Err(reason)) => refused(*reason),
                None => Reason::UNSPECIFIED_ERROR,
            })
        });
        let reasons = reasons.collect();
        self.suback((packet_id, names), reasons, out)
    }

    /// [MQTT-3.10.4-4], [MQTT-3.11.3-1]
    pub(super) fn unsubscribed(
        &mut self,
        ticket: Ticket,
        existed: &[bool],
        out: &mut Output,
    ) -> Result<(), End> {
        let Some(Asked::Unsubscribe(packet_id, names)) = self.waiting.remove(&ticket) else {
            return Ok(());
        };
        let reason = |&existed: &bool| match existed {
            true => Reason::SUCCESS,
            false => Reason::NO_SUBSCRIPTION_EXISTED,
        };
        self.unsuback((packet_id, names), existed.iter().map(reason).collect(), out)
    }

    fn suback(
        &self,
        (packet_id, names): (PacketId, Names),
        reasons: Vec<Reason>,
        out: &mut Output,
    ) -> Result<(), End> {
        out.notes.write(|| Note::Subscribed(names.into_iter().zip(reasons.clone()).collect()));
        let suback = Suback { packet_id, reasons, remarks: Remarks::default() };
        FromServer::Suback(suback).encode(&self.recipient, &mut out.bytes)?;
        Ok(())
    }

    fn unsuback(
        &self,
        (packet_id, names): (PacketId, Names),
        reasons: Vec<Reason>,
        out: &mut Output,
    ) -> Result<(), End> {
        out.notes.write(|| Note::Unsubscribed(names.into_iter().zip(reasons.clone()).collect()));
        let unsuback = Unsuback { packet_id, reasons, remarks: Remarks::default() };
        FromServer::Unsuback(unsuback).encode(&self.recipient, &mut out.bytes)?;
        Ok(())
    }
}

/// Why a filter is not even asked for.
fn refusal(request: &FilterRequest, who: &Identity, around: &Surroundings<'_>) -> Option<Reason> {
    let filter = request.subscription.filter().as_str();
    if fits(filter.as_bytes(), around.limits).is_err() {
        return Some(Reason::TOPIC_FILTER_INVALID);
    }
    let may = around.access.is_none_or(|access| access.allows(who, Action::Subscribe(filter)));
    (!may).then_some(Reason::NOT_AUTHORIZED)
}

fn granted_reason(qos: Qos) -> Reason {
    match qos {
        Qos::AtMostOnce => Reason::SUCCESS,
        Qos::AtLeastOnce => Reason::GRANTED_QOS_1,
        Qos::ExactlyOnce => Reason::GRANTED_QOS_2,
    }
}
