//! SUBSCRIBE and UNSUBSCRIBE: first the plugin, then the router, then the client.

use std::time::Duration;

use broker_core::access::Action;
use broker_core::codec::{
    FromServer, PacketId, Reason, Remarks, Suback, Subscribe, Unsuback, Unsubscribe,
};
use broker_core::host::{Delivery, HostEvent};
use bytes::BytesMut;
use ha_types::TopicFilter;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Connection, Pause, Subscribing, router_packets};
use crate::front::ending::End;
use crate::front::subscriptions::Terms;
use crate::router::envelope::Tell;
use crate::router::injector::{Answer, Waiter};

/// How long a SUBSCRIBE waits for the cluster before it goes on without retained messages.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(5);

impl Connection {
    pub(super) fn take_subscribe(&mut self, packet: &Subscribe) -> Result<(), End> {
        let mut terms = Terms {
            remembered: self.remembered,
            subscriptions_max: self.shared.config.subscriptions_max,
            refusal: |filter: &TopicFilter| self.refusal(filter),
        };
        let mut next = self.subscriptions.clone();
        let accepted = next.subscribe(packet, &mut terms);
        let (sender, answer) = oneshot::channel();
        let awaits_router = !accepted.changes.is_empty();
        let changes = router_packets(accepted.changes, Tell::Front);
        let waiter = Waiter { link: self.link.clone(), changes, answer: sender };
        let ticket = self.shared.subscribing.register(waiter);
        self.subscribing = Some(Subscribing {
            answer,
            give_up_at: Instant::now() + SUBSCRIBE_TIMEOUT,
            ticket,
            packet_id: packet.packet_id,
            reasons: accepted.reasons,
            granted: accepted.granted,
            next,
            awaits_router,
        });
        self.pause = Some(Pause::Telling(HostEvent::Subscribe {
            ticket,
            session: self.session,
            subscriptions: accepted.new,
        }));
        Ok(())
    }

    /// A filter that is refused here takes no room in the router.
    fn refusal(&self, filter: &TopicFilter) -> Option<Reason> {
        if !self.allows(Action::Subscribe(filter.as_str())) {
            return Some(Reason::NOT_AUTHORIZED);
        }
        (!self.shared.has_room_for(filter)).then_some(Reason::QUOTA_EXCEEDED)
    }

    fn suback(
        &self,
        packet_id: PacketId,
        reasons: Vec<Reason>,
        out: &mut BytesMut,
    ) -> Result<(), End> {
        let suback = Suback { packet_id, reasons, remarks: Remarks::default() };
        self.answer(&FromServer::Suback(suback), out)
    }

    /// The cluster has answered.
    pub(crate) fn answered(
        &mut self,
        mut asked: Subscribing,
        answer: Answer,
        out: &mut BytesMut,
    ) -> Result<(), End> {
        match answer {
            Answer::Subscribed(retained) if asked.awaits_router && !self.router_confirmed => {
                self.pause = Some(Pause::Confirming(asked, retained));
                Ok(())
            }
            Answer::Subscribed(retained) => self.subscribed(asked, retained, out),
            Answer::Refused => {
                let taken = asked.reasons.iter_mut().filter(|reason| !reason.is_failure());
                taken.for_each(|reason| *reason = Reason::QUOTA_EXCEEDED);
                self.suback(asked.packet_id, asked.reasons, out)
            }
        }
    }

    /// The router's SUBACK: what is published from now on is delivered.
    pub(crate) fn router_confirmed(&mut self, out: &mut BytesMut) -> Result<(), End> {
        match self.pause.take() {
            Some(Pause::Confirming(asked, retained)) => self.subscribed(asked, retained, out),
            pause => {
                self.pause = pause;
                self.router_confirmed = true;
                Ok(())
            }
        }
    }

    /// The cluster knows the subscriptions, and the router too: SUBACK, then retained messages.
    fn subscribed(
        &mut self,
        asked: Subscribing,
        retained: Vec<Vec<Delivery>>,
        out: &mut BytesMut,
    ) -> Result<(), End> {
        let Subscribing { packet_id, reasons, granted, next, .. } = asked;
        self.subscriptions = next;
        self.router_confirmed = false;
        self.suback(packet_id, reasons, out)?;
        for (granted, deliveries) in granted.into_iter().zip(retained) {
            for delivery in deliveries {
                self.deliver_retained(granted, &delivery);
            }
        }
        self.write_outputs(out)
    }

    /// The cluster did not answer in time. The subscription begins here and now.
    pub(crate) fn give_up_waiting(
        &mut self,
        mut asked: Subscribing,
        out: &mut BytesMut,
    ) -> Result<(), End> {
        if let Some(waiter) = self.shared.subscribing.take(asked.ticket) {
            self.link.push(waiter.changes)?;
        }
        tracing::warn!("a SUBSCRIBE goes on without retained messages: no answer in 5 s");
        // An answer that came at this very moment is as good.
        let answer = asked.answer.try_recv().unwrap_or(Answer::Subscribed(Vec::new()));
        self.answered(asked, answer, out)
    }

    /// Forgets a SUBSCRIBE that the connection does not live to see answered.
    pub(crate) fn forget_subscribing(&mut self) {
        let asked = match self.pause.take() {
            Some(Pause::Subscribing(asked) | Pause::Confirming(asked, _)) => Some(asked),
            _ => self.subscribing.take(),
        };
        let Some(mut asked) = asked else { return };
        let is_waiting = self.shared.subscribing.take(asked.ticket).is_some();
        if !is_waiting && !matches!(asked.answer.try_recv(), Ok(Answer::Refused)) {
            // The router has been told: a durable session keeps what it may not have heard of.
            self.subscriptions = asked.next;
        }
    }

    pub(super) fn take_unsubscribe(
        &mut self,
        packet: &Unsubscribe,
        out: &mut BytesMut,
    ) -> Result<(), End> {
        let removed = self.subscriptions.unsubscribe(&packet.filters);
        self.link.push(router_packets(removed.changes, Tell::Nobody))?;
        let (packet_id, remarks) = (packet.packet_id, Remarks::default());
        let unsuback = Unsuback { packet_id, reasons: removed.reasons, remarks };
        self.answer(&FromServer::Unsuback(unsuback), out)?;
        if !removed.subscriptions.is_empty() {
            self.pause = Some(Pause::Telling(HostEvent::Unsubscribe {
                session: self.session,
                subscriptions: removed.subscriptions,
            }));
        }
        Ok(())
    }
}
