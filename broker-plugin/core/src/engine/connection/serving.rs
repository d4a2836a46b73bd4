//! A connection that has its session.

use ha_types::session::{
    Ask, CloseCause, Granted, Lifetime, Offset, Opened, Page, Progress, Queued, Record,
    RecordStage, RefuseReason, SessionKey, Tell,
};
use ha_types::{Millis, Ticket};

use super::ending::End;
use super::feed::Feed;
use super::inflow::Inflow;
use super::leaving::Leaving;
use super::outflow::{Durability, Outflow, Sending};
use super::subscribing::Subscribing;
use super::waiting::Waiting;
use super::{Moment, Surroundings};
use crate::access::Identity;
use crate::codec::{Disconnect, FromClient, FromServer, Reason, Recipient, Text};
use crate::engine::delivery::Delivery;
use crate::engine::limits::Limits;
use crate::engine::output::{Output, Request};

/// What is known when a connection gets its session.
pub(super) struct Beginning {
    pub(super) identity: Identity,
    pub(super) recipient: Recipient,
    pub(super) session_expiry_s: u32,
    pub(super) keep_alive_ms: Option<u64>,
    pub(super) window: u16,
    pub(super) aliases: u16,
    pub(super) method: Option<Text>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Serving {
    pub(super) identity: Identity,
    pub(super) session: SessionKey,
    pub(super) recipient: Recipient,
    session_expiry_s: u32,
    /// One and a half times the Keep Alive [MQTT-3.1.2-22]; `None`: not enforced.
    keep_alive_ms: Option<u64>,
    /// When the client was last heard of, or not listened to.
    heard_at: Millis,
    pub(super) inflow: Inflow,
    pub(super) outflow: Outflow,
    pub(super) subscribing: Subscribing,
    feed: Feed,
    /// Of enhanced authentication.
    pub(super) method: Option<Text>,
    /// Whether an authentication goes on; other packets go on as well.
    pub(super) reauthenticating: bool,
    /// The client has to go elsewhere.
    pub(super) leaving: Option<Leaving>,
}

impl Serving {
    pub(super) fn new(
        beginning: Beginning,
        opened: Opened,
        at: Moment,
        limits: &Limits,
    ) -> (Self, Vec<Record>) {
        let Beginning { identity, recipient, session_expiry_s, keep_alive_ms, .. } = beginning;
        // A session that was resumed stays durable to its end, also when this connection is its last.
        let durability = match (session_expiry_s, opened.is_present) {
            (0, false) => Durability::Ephemeral,
            _ => Durability::Durable,
        };
        let serving = Self {
            identity,
            session: opened.session,
            recipient,
            session_expiry_s,
            keep_alive_ms,
            heard_at: at.now,
            inflow: Inflow::new(recipient, at.now, limits, opened.inbound),
            outflow: Outflow::new(recipient, durability, beginning.window, beginning.aliases),
            subscribing: Subscribing::new(recipient),
            feed: Feed::new(opened.backlog),
            method: beginning.method,
            reauthenticating: false,
            leaving: None,
        };
        (serving, opened.records)
    }

    fn sending<'a>(
        identity: &'a Identity,
        at: Moment,
        around: &'a Surroundings<'a>,
        out: &'a mut Output,
    ) -> Sending<'a> {
        Sending { at, around, who: identity, out }
    }

    /// Sends again what an earlier connection may have sent [MQTT-4.4.0-1].
    pub(super) fn resume(
        &mut self,
        records: Vec<Record>,
        at: Moment,
        around: &Surroundings<'_>,
        out: &mut Output,
    ) -> Result<(), End> {
        for record in records {
            match record.stage {
                RecordStage::Received => self.outflow.resume_at_pubrel(record.packet_id, out)?,
                RecordStage::Sent(queued) => {
                    let queued = Queued { record: Some(record.packet_id), ..queued };
                    let waiting = Waiting::queued(queued, self.outflow.durability).again();
                    let mut to = Self::sending(&self.identity, at, around, out);
                    self.outflow.offer(waiting, &mut to)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn wants_input(&self, at: Moment, around: &Surroundings<'_>, out: &Output) -> bool {
        self.leaving.as_ref().is_none_or(Leaving::reads)
            && self.inflow.wants_input(at.now, around.limits)
            && self.subscribing.has_room(around)
            // A client that asks and asks, and reads no answer.
            && out.bytes.len() <= around.limits.queue_bytes_max.saturating_mul(2)
    }

    pub(super) fn waiting(&self) -> usize {
        self.outflow.waiting()
    }

    pub(super) fn deadline(&self, at: Moment, around: &Surroundings<'_>) -> Option<Millis> {
        let silence = self.keep_alive_ms.map(|ms| self.heard_at.plus(ms));
        let paused = self.inflow.paused(at.now, around.limits);
        let leaving = self.leaving.as_ref().map(Leaving::deadline);
        silence.into_iter().chain(paused).chain(leaving).min()
    }

    /// [MQTT-3.1.2-22]
    pub(super) fn tick(
        &mut self,
        at: Moment,
        around: &Surroundings<'_>,
        out: &Output,
    ) -> Result<(), End> {
        if !self.wants_input(at, around, out) {
            // What we do not read cannot be held against the client.
            self.heard_at = at.now;
        }
        match self.keep_alive_ms {
            Some(ms) if at.now >= self.heard_at.plus(ms) => {
                let why = "nothing was received for one and a half times the keep alive";
                Err(End::because(Reason::KEEP_ALIVE_TIMEOUT, why))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn packet(
        &mut self,
        packet: FromClient,
        at: Moment,
        around: &Surroundings<'_>,
        out: &mut Output,
    ) -> Result<(), End> {
        self.heard_at = at.now;
        match packet {
            FromClient::Publish(publish) => {
                let from = (&self.identity, self.session);
                self.inflow.publish(publish, from, at, around, out)
            }
            FromClient::Puback(ack) => {
                self.feed.unblock();
                self.outflow.puback(&ack)
            }
            FromClient::Pubrec(ack) => self.outflow.pubrec(&ack, out),
            FromClient::Pubrel(ack) => self.inflow.pubrel(&ack, self.session, out),
            FromClient::Pubcomp(ack) => self.outflow.pubcomp(&ack),
            FromClient::Subscribe(subscribe) => {
                let from = (&self.identity, self.session);
                self.subscribing.subscribe(subscribe, from, around, out)
            }
            FromClient::Unsubscribe(unsubscribe) => {
                self.subscribing.unsubscribe(unsubscribe, self.session, out)
            }
            FromClient::Pingreq => {
                FromServer::Pingresp.encode(&self.recipient, &mut out.bytes)?;
                Ok(())
            }
            FromClient::Disconnect(disconnect) => {
                Err(self.disconnected(&disconnect, around.limits))
            }
            FromClient::Auth(auth) => self.reauthenticate(auth, out),
        }
    }

    /// [MQTT-3.1.2-10], [MQTT-3.14.4-3]
    fn disconnected(&self, disconnect: &Disconnect, limits: &Limits) -> End {
        if self.session_expiry_s == 0 && disconnect.session_expiry_s.is_some_and(|s| s > 0) {
            // 5.0 §3.14.2.2.2
            let why = "DISCONNECT cannot make a session last that ends with its connection";
            return End::because(Reason::PROTOCOL_ERROR, why);
        }
        let (cause, word) = match disconnect.reason {
            Reason::SUCCESS => (CloseCause::Disconnect, "the client disconnected"),
            _ => (CloseCause::Failure, "the client disconnected and wants its will"),
        };
        End { lifetime: last_lifetime(disconnect, limits), ..End::silent(cause, word) }
    }

    pub(super) fn deliver(
        &mut self,
        delivery: Delivery,
        at: Moment,
        around: &Surroundings<'_>,
        out: &mut Output,
    ) -> Result<(), End> {
        self.subscribing.delivered(&delivery.message);
        let mut to = Self::sending(&self.identity, at, around, out);
        self.outflow.offer(Waiting::from(delivery), &mut to)
    }

    pub(super) fn tell(
        &mut self,
        tell: Tell,
        at: Moment,
        around: &Surroundings<'_>,
        out: &mut Output,
    ) -> Result<(), End> {
        match tell {
            Tell::Published { session, packet_id, outcome } if session == self.session => {
                self.inflow.published(packet_id, outcome, out)
            }
            Tell::Released { session, packet_id } if session == self.session => {
                self.inflow.released(packet_id, out)
            }
            Tell::Subscribed { session, ticket, granted } if session == self.session => {
                self.subscribed(ticket, granted, at, around, out)
            }
            Tell::Unsubscribed { session, ticket, existed } if session == self.session => {
                self.subscribing.unsubscribed(ticket, &existed, out)
            }
            Tell::Deliver { session, queued } if session == self.session => {
                self.flow(queued, at, around, out)
            }
            Tell::Page { session, page } if session == self.session => {
                self.page(page, at, around, out)
            }
            Tell::Recorded { session, received, completed, passed_over }
                if session == self.session =>
            {
                self.feed.unblock();
                self.outflow.passed_over_is_recorded(&passed_over);
                self.outflow.recorded(&received, &completed, out)
            }
            Tell::Evict { session, why } if session == self.session => Err(End::evicted(why)),
            Tell::Fenced { session } if session == self.session => Err(End::taken_over(None)),
            // Of an earlier session of this client, or of an open that was answered already.
            _ => Ok(()),
        }
    }

    fn subscribed(
        &mut self,
        ticket: Ticket,
        mut granted: Vec<Result<Granted, RefuseReason>>,
        at: Moment,
        around: &Surroundings<'_>,
        out: &mut Output,
    ) -> Result<(), End> {
        self.subscribing.subscribed(ticket, &mut granted, out)?;
        for granted in granted.into_iter().flatten() {
            for unqueued in granted.unqueued {
                let mut to = Self::sending(&self.identity, at, around, out);
                self.outflow.offer(Waiting::from(unqueued), &mut to)?;
            }
            for queued in granted.retained {
                self.flow(queued, at, around, out)?;
            }
        }
        Ok(())
    }

    /// A message of the live flow, or a retained one at the end of the queue.
    fn flow(
        &mut self,
        queued: Queued,
        at: Moment,
        around: &Surroundings<'_>,
        out: &mut Output,
    ) -> Result<(), End> {
        let durability = self.outflow.durability;
        if durability == Durability::Durable && queued.offset != Offset::NONE {
            let room = self.outflow.room(around);
            if !self.feed.takes(queued.offset, room) {
                return Ok(());
            }
        }
        let mut to = Self::sending(&self.identity, at, around, out);
        self.outflow.offer(Waiting::queued(queued, durability), &mut to)
    }

    fn page(
        &mut self,
        page: Page,
        at: Moment,
        around: &Surroundings<'_>,
        out: &mut Output,
    ) -> Result<(), End> {
        let durability = self.outflow.durability;
        let last = page.messages.last().map(|queued| queued.offset);
        self.feed.paged(page.end, last);
        for queued in page.messages {
            let mut to = Self::sending(&self.identity, at, around, out);
            self.outflow.offer(Waiting::queued(queued, durability), &mut to)?;
        }
        Ok(())
    }

    /// After a batch of steps: sends what can be sent, reports what was acknowledged, asks for more.
    pub(super) fn settle(
        &mut self,
        at: Moment,
        around: &Surroundings<'_>,
        out: &mut Output,
    ) -> Result<(), End> {
        let mut to = Self::sending(&self.identity, at, around, out);
        self.outflow.pump(&mut to)?;
        if self.has_left(at) {
            // What was acknowledged goes with the end.
            return Err(End::going_away(around.limits));
        }
        let session = self.session;
        if self.outflow.progress != Progress::default() {
            let progress = std::mem::take(&mut self.outflow.progress);
            out.requests.push(Request::Ask(Ask::Progress { session, progress }));
        }
        if self.leaving.is_some() {
            return Ok(());
        }
        if let Some(after) = self.feed.fetch(self.outflow.waiting(), self.outflow.room(around)) {
            let bytes = around.limits.queue_bytes_max;
            out.requests.push(Request::Ask(Ask::Fetch {
                session,
                after,
                messages_max: self.outflow.room(around).max(1),
                bytes_max: bytes.saturating_sub(self.outflow.waiting_bytes()).max(1),
            }));
        }
        Ok(())
    }

    /// The last thing that the holder hears from this connection.
    pub(super) fn close(self, cause: CloseCause, lifetime: Option<Lifetime>, out: &mut Output) {
        let Self { session, outflow, .. } = self;
        let close = Ask::Close { session, cause, progress: outflow.progress, lifetime };
        out.requests.push(Request::Ask(close));
    }
}

/// What DISCONNECT makes of how long the session lasts: no longer than a CONNECT could.
fn last_lifetime(disconnect: &Disconnect, limits: &Limits) -> Option<Lifetime> {
    let asked = disconnect.session_expiry_s?;
    Some(Lifetime::from_expiry_interval(asked.min(limits.session_expiry_max_s)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Remarks;

    #[test]
    fn disconnect_cannot_make_a_session_last_longer_than_the_limit() {
        let limits = Limits { session_expiry_max_s: 60, ..Limits::default() };
        for (asked, lifetime) in [
            (None, None),
            (Some(0), Some(Lifetime::Connection)),
            (Some(60), Some(Lifetime::Seconds(60))),
            (Some(61), Some(Lifetime::Seconds(60))),
            (Some(u32::MAX), Some(Lifetime::Seconds(60))),
        ] {
            let disconnect = Disconnect {
                reason: Reason::SUCCESS,
                session_expiry_s: asked,
                server_reference: None,
                remarks: Remarks::default(),
            };
            assert_eq!(last_lifetime(&disconnect, &limits), lifetime);
        }
    }
}
