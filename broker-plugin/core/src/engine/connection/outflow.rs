//! Messages to the client: at once, or as Receive Maximum and the socket allow.
//!
//! Two kinds of sessions differ in one thing: an *ephemeral* one lives as long as the connection, so
//! its packet identifiers are chosen here and its exchanges end here. Those of a *durable* one are
//! its holder's: every step that must outlive the connection is reported as progress, and the next
//! packet waits for the record.

use std::collections::{BTreeMap, BTreeSet};

use ha_types::session::{Offset, PacketId, Progress, Refused};
use ha_types::{Message, Qos};

use super::aliases::OutboundAliases;
use super::backlog::Backlog;
use super::ending::End;
use super::waiting::Waiting;
use super::{Moment, Surroundings};
use crate::access::{Action, Identity};
use crate::codec::{Ack, Envelope, Flow, FromServer, Reason, Recipient};
use crate::engine::output::Output;

/// Whether the session outlives its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    Ephemeral,
    Durable,
}

/// What the client can take.
#[derive(Debug)]
pub(super) struct Outflow {
    pub(super) recipient: Recipient,
    pub(super) durability: Durability,
    /// Exchanges at a time, at least 1.
    window: usize,
    inflight: BTreeMap<PacketId, Inflight>,
    backlog: Backlog,
    /// Of a durable session, never sent and not yet recorded: newer messages wait, for another broker
    /// might otherwise send these after them.
    passed_over: BTreeSet<Offset>,
    /// The last one that an ephemeral session used.
    last_id: u16,
    aliases: OutboundAliases,
    pub(super) progress: Progress,
    /// The client leaves: nothing begins that it would have to acknowledge.
    is_held_back: bool,
}

#[derive(Clone, Copy, Debug)]
struct Inflight {
    awaits: Awaits,
    /// Of what came from the holder.
    offset: Option<Offset>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaits {
    Puback,
    Pubrec,
    /// PUBREC came, PUBREL waits for the record.
    RecordOfPubrec,
    Pubcomp,
    /// PUBCOMP came, the packet identifier is free with the record.
    RecordOfPubcomp,
}

/// What a delivery needs to know.
pub(super) struct Sending<'a> {
    pub(super) at: Moment,
    pub(super) around: &'a Surroundings<'a>,
    pub(super) who: &'a Identity,
    pub(super) out: &'a mut Output,
}

impl Outflow {
    pub(super) fn new(
        recipient: Recipient,
        durability: Durability,
        window: u16,
        aliases: u16,
    ) -> Self {
        Self {
            recipient,
            durability,
            window: usize::from(window),
            inflight: BTreeMap::new(),
            backlog: Backlog::default(),
            passed_over: BTreeSet::new(),
            last_id: 0,
            aliases: OutboundAliases::new(aliases),
            progress: Progress::default(),
            is_held_back: false,
        }
    }

    /// Sends nothing more of QoS 1 and 2.
    pub(super) fn hold_back(&mut self) {
        self.is_held_back = true;
    }

    /// Whether an exchange with the client is not over.
    pub(super) fn is_in_flight(&self) -> bool {
        !self.inflight.is_empty()
    }

    /// How many more live deliveries may wait.
    pub(super) fn room(&self, around: &Surroundings<'_>) -> usize {
        self.backlog.room(around.limits)
    }

    /// Live deliveries that wait.
    pub(super) fn waiting(&self) -> usize {
        self.backlog.live()
    }

    /// Bytes of these.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.backlog.live_bytes()
    }

    /// Sends it, or keeps it until the client can take it.
    ///
    /// # Errors
    /// The connection ends when nothing more can be kept.
    pub(super) fn offer(&mut self, waiting: Waiting, to: &mut Sending<'_>) -> Result<(), End> {
        // Those of the holder's queue wait like any other: nobody else has them.
        let is_unkept_qos_0 = waiting.is_unkept_qos_0();
        let overtakes = match is_unkept_qos_0 {
            true => self.backlog.has_qos_0(),
            false => !self.backlog.is_empty(),
        };
        if !overtakes && self.can_send(&waiting, to) {
            return self.send(waiting, to);
        }
        let may_be_lost = is_unkept_qos_0 || waiting.is_unqueued;
        let waits = overtakes || waiting.is_unqueued || !is_unkept_qos_0;
        if self.backlog.has_room_for(&waiting, to.around.limits) && waits {
            self.backlog.push(waiting);
        } else if may_be_lost {
            to.out.counts.dropped += 1;
        } else if self.durability == Durability::Ephemeral {
            let why = "the client is too slow for its subscriptions";
            return Err(End::because(Reason::QUOTA_EXCEEDED, why));
        } else {
            self.backlog.push(waiting);
        }
        Ok(())
    }

    /// Sends what waits, as far as the client can take it.
    pub(super) fn pump(&mut self, to: &mut Sending<'_>) -> Result<(), End> {
        while self.backlog.front().is_some_and(|next| self.can_send(next, to)) {
            let next = self.backlog.pop().expect("there is a front");
            self.send(next, to)?;
        }
        Ok(())
    }

    fn can_send(&self, next: &Waiting, to: &Sending<'_>) -> bool {
        let may_begin = !self.is_held_back && self.inflight.len() < self.window;
        (may_begin || next.qos == Qos::AtMostOnce)
            && to.out.bytes.len() < to.around.limits.queue_bytes_max
            && (self.passed_over.is_empty()
                || next.is_unkept_qos_0()
                || Self::is_passed_over(next, to))
            // An earlier exchange with this packet identifier must end first.
            && next.packet_id.is_none_or(|id| !self.inflight.contains_key(&id))
    }

    fn send(&mut self, waiting: Waiting, to: &mut Sending<'_>) -> Result<(), End> {
        let message = &waiting.message;
        if Self::is_passed_over(&waiting, to) {
            to.out.counts.denied += u64::from(!message.is_expired(to.at.cluster));
            self.pass_over(waiting.offset);
            return Ok(());
        }
        let flow = self.flow(&waiting);
        let alias = self.aliases.choose(&message.topic);
        let envelope = Envelope {
            flow,
            dup: waiting.dup,
            retain: waiting.retain,
            subscription_ids: waiting.subscription_ids.as_slice(),
            alias,
        };
        let written = match (&waiting.encodings, message.expires_at) {
            (Some(shared), None) => {
                let frame = shared.frame(self.recipient.version, waiting.qos, message);
                frame.write_to(&mut to.out.bytes, &self.recipient, &envelope)
            }
            (_, expires_at) => {
                let left = expires_at.map(|at| seconds_left(at.0.saturating_sub(to.at.cluster.0)));
                envelope.write_message(&mut to.out.bytes, &self.recipient, message, left)
            }
        };
        if written.is_err() {
            // [MQTT-3.1.2-25]: as if it had been sent.
            to.out.counts.dropped += 1;
            self.give_up(flow, &waiting);
            return Ok(());
        }
        to.out.counts.sent += 1;
        self.aliases.sent(alias, &message.topic);
        self.began(flow, waiting.offset);
        Ok(())
    }

    /// It has expired, or the client may not have it. What began must end, whatever has changed since.
    fn is_passed_over(waiting: &Waiting, to: &Sending<'_>) -> bool {
        let is_due = || waiting.message.is_expired(to.at.cluster);
        !waiting.dup && (is_due() || !Self::may_have(&waiting.message, to))
    }

    fn may_have(message: &Message, to: &Sending<'_>) -> bool {
        let action = Action::Receive(message.topic.as_str());
        to.around.access.is_none_or(|access| access.allows(to.who, action))
    }

    fn flow(&mut self, waiting: &Waiting) -> Flow {
        match waiting.qos {
            Qos::AtMostOnce => Flow::AtMostOnce,
            Qos::AtLeastOnce => Flow::AtLeastOnce(self.id(waiting)),
            Qos::ExactlyOnce => Flow::ExactlyOnce(self.id(waiting)),
        }
    }

    /// [MQTT-2.2.1-4]: one that is not in use. There is one: the window is smaller than their number.
    fn id(&mut self, waiting: &Waiting) -> PacketId {
        if let Some(id) = waiting.packet_id {
            return id;
        }
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            if let Some(id) = PacketId::new(self.last_id)
                && !self.inflight.contains_key(&id)
            {
                return id;
            }
        }
    }

    fn began(&mut self, flow: Flow, offset: Option<Offset>) {
        let (id, awaits) = match flow {
            Flow::AtMostOnce => return self.done(offset),
            Flow::AtLeastOnce(id) => (id, Awaits::Puback),
            Flow::ExactlyOnce(id) => (id, Awaits::Pubrec),
        };
        let is_durable = self.durability == Durability::Durable;
        if !is_durable && awaits == Awaits::Pubrec {
            // [MQTT-4.8.2-5]: a member's exchange that began is never another member's.
            self.done(offset);
        }
        self.inflight.insert(id, Inflight { awaits, offset });
    }

    /// What the client cannot be sent. An earlier connection may have sent it: then it may be in the
    /// middle of an exchange, which goes on as if PUBREC had come.
    fn give_up(&mut self, flow: Flow, waiting: &Waiting) {
        match flow {
            Flow::ExactlyOnce(id) if waiting.dup => {
                let awaits = Awaits::RecordOfPubrec;
                self.inflight.insert(id, Inflight { awaits, offset: waiting.offset });
                self.progress.received.push(id);
            }
            _ if waiting.dup => self.done(waiting.offset),
            _ => self.pass_over(waiting.offset),
        }
    }

    fn pass_over(&mut self, offset: Option<Offset>) {
        match self.durability {
            Durability::Ephemeral => self.done(offset),
            Durability::Durable => {
                self.passed_over.extend(offset);
                self.progress.passed_over.extend(offset);
            }
        }
    }

    /// Nothing more will happen to what the holder has under this offset.
    fn done(&mut self, offset: Option<Offset>) {
        self.progress.acknowledged.extend(offset);
    }

    /// An exchange that was at PUBREL when an earlier connection ended: PUBREL goes out again.
    pub(super) fn resume_at_pubrel(&mut self, id: PacketId, out: &mut Output) -> Result<(), End> {
        self.inflight.insert(id, Inflight { awaits: Awaits::Pubcomp, offset: None });
        self.pubrel(id, Reason::SUCCESS, out)
    }

    fn pubrel(&self, id: PacketId, reason: Reason, out: &mut Output) -> Result<(), End> {
        FromServer::Pubrel(Ack::new(id, reason)).encode(&self.recipient, &mut out.bytes)?;
        Ok(())
    }

    /// One that is not awaited is ignored: it may belong to an earlier connection.
    pub(super) fn puback(&mut self, ack: &Ack) -> Result<(), End> {
        match self.inflight.get(&ack.packet_id).copied() {
            None => Ok(()),
            Some(Inflight { awaits: Awaits::Puback, offset }) => {
                self.inflight.remove(&ack.packet_id);
                match offset {
                    Some(offset) if ack.reason.is_failure() => {
                        self.progress.refused.push(Refused::Offset(offset));
                    }
                    offset => self.done(offset),
                }
                Ok(())
            }
            Some(_) => Err(End::because(Reason::PROTOCOL_ERROR, "PUBACK in an exchange of QoS 2")),
        }
    }

    /// [MQTT-4.3.3-4]: PUBREL follows, unless the client refused the message.
    pub(super) fn pubrec(&mut self, ack: &Ack, out: &mut Output) -> Result<(), End> {
        let id = ack.packet_id;
        let Some(inflight) = self.inflight.get_mut(&id) else {
            return self.pubrel(id, Reason::PACKET_ID_NOT_FOUND, out);
        };
        match (inflight.awaits, self.durability) {
            (Awaits::Pubrec, Durability::Durable) if ack.reason.is_failure() => {
                self.inflight.remove(&id);
                self.progress.refused.push(Refused::Record(id));
            }
            (Awaits::Pubrec, Durability::Ephemeral) if ack.reason.is_failure() => {
                self.inflight.remove(&id);
            }
            (Awaits::Pubrec, Durability::Durable) => {
                inflight.awaits = Awaits::RecordOfPubrec;
                self.progress.received.push(id);
            }
            (Awaits::Pubrec, Durability::Ephemeral) => {
                inflight.awaits = Awaits::Pubcomp;
                return self.pubrel(id, Reason::SUCCESS, out);
            }
            (Awaits::Pubcomp, _) => return self.pubrel(id, Reason::SUCCESS, out),
            (Awaits::RecordOfPubrec | Awaits::RecordOfPubcomp, _) => (),
            (Awaits::Puback, _) => {
                let why = "PUBREC in an exchange of QoS 1";
                return Err(End::because(Reason::PROTOCOL_ERROR, why));
            }
        }
        Ok(())
    }

    /// One that is not awaited is ignored, as of PUBACK.
    pub(super) fn pubcomp(&mut self, ack: &Ack) -> Result<(), End> {
        let id = ack.packet_id;
        let Some(inflight) = self.inflight.get_mut(&id) else { return Ok(()) };
        match (inflight.awaits, self.durability) {
            (Awaits::Pubcomp, Durability::Durable) => {
                inflight.awaits = Awaits::RecordOfPubcomp;
                self.progress.completed.push(id);
                Ok(())
            }
            (Awaits::Pubcomp, Durability::Ephemeral) => {
                self.inflight.remove(&id);
                Ok(())
            }
            (Awaits::RecordOfPubcomp, _) => Ok(()),
            (Awaits::Puback | Awaits::Pubrec | Awaits::RecordOfPubrec, _) => {
                Err(End::because(Reason::PROTOCOL_ERROR, "PUBCOMP before PUBREL"))
            }
        }
    }

    /// No other broker will send these.
    pub(super) fn passed_over_is_recorded(&mut self, recorded: &[Offset]) {
        for offset in recorded {
            self.passed_over.remove(offset);
        }
    }

    /// The holder has what the client acknowledged.
    pub(super) fn recorded(
        &mut self,
        received: &[PacketId],
        completed: &[PacketId],
        out: &mut Output,
    ) -> Result<(), End> {
        for id in received {
            let Some(inflight) = self.inflight.get_mut(id) else { continue };
            if inflight.awaits == Awaits::RecordOfPubrec {
                inflight.awaits = Awaits::Pubcomp;
                self.pubrel(*id, Reason::SUCCESS, out)?;
            }
        }
        for id in completed {
            if self.inflight.get(id).is_some_and(|of| of.awaits == Awaits::RecordOfPubcomp) {
                self.inflight.remove(id);
            }
        }
        Ok(())
    }
}

/// What is left of a message's life, at least one second: it is not expired [MQTT-3.3.2-6].
fn seconds_left(left_ms: u64) -> u32 {
    u32::try_from(left_ms.div_ceil(1_000).max(1)).unwrap_or(u32::MAX)
}
