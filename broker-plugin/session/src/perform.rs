//! Does what a connection requests.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use broker_core::engine::Request;
use broker_core::host::HostPublish;
use ha_types::session::{Ask, PacketId, SessionKey, Tell};
use ha_types::{ClusterMillis, Message, Qos};
use tokio::sync::mpsc::OwnedPermit;
use tokio::sync::mpsc::error::{SendError, TrySendError};

use crate::exchange::Exchange;
use crate::mailbox::Mailbox;

type Permit = Pin<Box<dyn Future<Output = Result<OwnedPermit<HostPublish>, SendError<()>>> + Send>>;

/// Requests of one connection, in order, as far as the plugin lets them through.
#[derive(Default)]
pub(crate) struct Performer {
    /// A publish that the plugin has no room for, and what came after it.
    waiting: VecDeque<Request>,
    permit: Option<Permit>,
    /// Recipients that are worth a pause.
    pub(crate) behind: Vec<Arc<Mailbox>>,
}

/// What the task must do itself.
pub(crate) enum Own {
    Authenticate(Box<broker_core::engine::Credentials>),
    Tell(Tell),
    Close,
}

impl std::fmt::Debug for Performer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Performer").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

impl Performer {
    /// Whether a publish waits for the plugin. Then the client is not read from.
    pub(crate) fn is_blocked(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Performs `requests`, or keeps those that must wait.
    pub(crate) fn perform(
        &mut self,
        exchange: &Exchange,
        requests: &mut Vec<Request>,
        own: &mut Vec<Own>,
    ) {
        for request in requests.drain(..) {
            // Acknowledgements never wait behind messages.
            if self.is_blocked() && !bypasses(&request) {
                self.waiting.push_back(request);
            } else {
                self.one(exchange, request, own);
            }
        }
    }

    /// Ready when the plugin has room again; then the requests that waited are performed.
    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
        exchange: &Exchange,
        own: &mut Vec<Own>,
    ) -> Poll<()> {
        let make = || -> Permit { Box::pin(exchange.publishes.clone().reserve_owned()) };
        let permit = ready!(self.permit.get_or_insert_with(make).as_mut().poll(context));
        self.permit = None;
        // Without a plugin the broker is at its end, and nobody is left to be waited for.
        if let (Ok(permit), Some(message)) = (permit, self.waiting.front().and_then(published)) {
            permit.send(for_plugin(exchange.clock.moment().cluster, message));
        }
        if let Some(first) = self.waiting.pop_front() {
            self.local(exchange, first, own);
        }
        let mut rest: Vec<_> = self.waiting.drain(..).collect();
        self.perform(exchange, &mut rest, own);
        Poll::Ready(())
    }

    fn one(&mut self, exchange: &Exchange, request: Request, own: &mut Vec<Own>) {
        if let Some(message) = published(&request)
            && exchange.plugin_wants(message)
            && !hand_over(exchange, message)
        {
            self.waiting.push_back(request);
            return;
        }
        self.local(exchange, request, own);
    }

    /// After the plugin has it, or does not need it.
    fn local(&mut self, exchange: &Exchange, request: Request, own: &mut Vec<Own>) {
        match request {
            Request::Authenticate(credentials) => own.push(Own::Authenticate(credentials)),
            Request::Close => own.push(Own::Close),
            Request::Publish(message) => {
                exchange.deliver_live(&message, &mut self.behind);
                if exchange.holder_wants(Qos::AtMostOnce) {
                    exchange.hold(broker_core::holder::Input::Message(message));
                }
            }
            Request::Ask(Ask::Publish { session, packet_id, message }) => {
                self.publish(exchange, (session, packet_id), message, own);
            }
            Request::Ask(ask) => exchange.ask(ask),
        }
    }

    /// At QoS 2 the holder has it first: nothing is delivered that it does not know.
    fn publish(
        &mut self,
        exchange: &Exchange,
        of: (SessionKey, PacketId),
        message: Arc<Message>,
        own: &mut Vec<Own>,
    ) {
        let (session, packet_id) = of;
        let ask = |message| Ask::Publish { session, packet_id, message };
        if message.qos == Qos::ExactlyOnce {
            if exchange.publish_once(session, packet_id, &message) {
                exchange.deliver_live(&message, &mut self.behind);
            }
            return;
        }
        exchange.deliver_live(&message, &mut self.behind);
        if exchange.holder_wants(message.qos) {
            exchange.ask(ask(message));
        } else {
            own.push(Own::Tell(Tell::Published { session, packet_id, outcome: Ok(()) }));
        }
    }
}

/// Whether it may go before publishes that wait.
fn bypasses(request: &Request) -> bool {
    match request {
        Request::Ask(Ask::Progress { .. } | Ask::Fetch { .. }) | Request::Authenticate(_) => true,
        Request::Ask(
            Ask::Open(_)
            | Ask::Subscribe { .. }
            | Ask::Unsubscribe { .. }
            | Ask::Publish { .. }
            | Ask::Release { .. }
            | Ask::Close { .. },
        )
        | Request::Publish(_)
        | Request::Close => false,
    }
}

/// False when there is no room.
fn hand_over(exchange: &Exchange, message: &Message) -> bool {
    match exchange.publishes.try_reserve() {
        Ok(permit) => {
            permit.send(for_plugin(exchange.clock.moment().cluster, message));
            true
        }
        Err(TrySendError::Full(())) => false,
        // The plugin is gone, and the process with it soon.
        Err(TrySendError::Closed(())) => true,
    }
}

fn published(request: &Request) -> Option<&Message> {
    match request {
        Request::Publish(message) | Request::Ask(Ask::Publish { message, .. }) => Some(message),
        Request::Ask(_) | Request::Authenticate(_) | Request::Close => None,
    }
}

/// As it is told to other brokers.
pub(crate) fn for_plugin(now: ClusterMillis, message: &Message) -> HostPublish {
    let left = |at: ClusterMillis| at.0.saturating_sub(now.0).div_ceil(1_000).max(1);
    HostPublish {
        topic: message.topic.clone(),
        payload: message.payload.clone(),
        properties: message.properties.clone(),
        qos: message.qos,
        retain: message.retain,
        expires_in_s: message.expires_at.map(|at| u32::try_from(left(at)).unwrap_or(u32::MAX)),
        session: message.publisher.session,
    }
}
