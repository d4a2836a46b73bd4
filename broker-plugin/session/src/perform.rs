//! Does what a connection requests.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use broker_core::engine::Request;
use broker_core::host::HostPublish;
use ha_types::session::{Ask, PacketId, SessionKey, Tell};
use ha_types::{ClusterMillis, Message, Qos};

use crate::answers::Answers;
use crate::exchange::Exchange;
use crate::keeper::{Keeper, Reach, Reserving, Room};
use crate::reached::Reached;

/// Requests of one connection, in order, as far as the plugin lets them through.
#[derive(Default)]
pub(crate) struct Performer {
    /// A publish that the plugin has no room for, and what came after it.
    waiting: VecDeque<Request>,
    room: Option<Reserving>,
    answers: Answers,
    /// Recipients of this turn.
    pub(crate) reached: Reached,
}

/// Whether the plugin was given a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Given {
    ToPlugin,
    ToNobody,
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
        let publish = |request: &Request| publish_of(exchange, request);
        let first = self.waiting.front().and_then(publish);
        let room = match &first {
            Some(publish) => {
                let make = || exchange.keeper.reserve(publish);
                ready!(self.room.get_or_insert_with(make).as_mut().poll(context))
            }
            None => Room::Nowhere,
        };
        self.room = None;
        let given = put(first, room);
        if let Some(first) = self.waiting.pop_front() {
            self.local(exchange, first, given, own);
        }
        let mut rest: Vec<_> = self.waiting.drain(..).collect();
        self.perform(exchange, &mut rest, own);
        Poll::Ready(())
    }

    fn one(&mut self, exchange: &Exchange, request: Request, own: &mut Vec<Own>) {
        let publish = publish_of(exchange, &request);
        let room = match &publish {
            Some(publish) => match exchange.keeper.try_reserve(publish) {
                Some(room) => room,
                None => return self.waiting.push_back(request),
            },
            None => Room::Nowhere,
        };
        self.local(exchange, request, put(publish, room), own);
    }

    /// The client is told this.
    pub(crate) fn told(&mut self, tell: &Tell, own: &mut Vec<Own>) {
        if let Tell::Published { packet_id, .. } = tell {
            self.answers.answered(*packet_id, |due| own.push(Own::Tell(due)));
        }
    }

    /// After the plugin has it, or does not need it.
    fn local(&mut self, exchange: &Exchange, request: Request, given: Given, own: &mut Vec<Own>) {
        match request {
            Request::Authenticate(credentials) => own.push(Own::Authenticate(credentials)),
            Request::Close => own.push(Own::Close),
            Request::Publish(message) => {
                exchange.deliver_live(&message, &mut self.reached);
                exchange.show(&message);
            }
            Request::Ask(Ask::Publish { session, packet_id, message }) => {
                self.publish(exchange, ((session, packet_id), given), message, own);
            }
            Request::Ask(ask) => exchange.ask(ask),
        }
    }

    /// At QoS 2 whoever holds the session has it first: nothing is delivered that it does not know.
    /// From the state behind the plugin it comes back, before its answer.
    fn publish(
        &mut self,
        exchange: &Exchange,
        ((session, packet_id), given): ((SessionKey, PacketId), Given),
        message: Arc<Message>,
        own: &mut Vec<Own>,
    ) {
        let answer = Tell::Published { session, packet_id, outcome: Ok(()) };
        match (&exchange.keeper, message.qos) {
            (Keeper::State(..), Qos::ExactlyOnce) => (),
            (Keeper::State(_, reach), _) => {
                exchange.deliver_live(&message, &mut self.reached);
                match (reach, given) {
                    (Reach::Cluster, _) => (),
                    (Reach::Alone(_), Given::ToPlugin) => self.answers.awaits(packet_id),
                    (Reach::Alone(_), Given::ToNobody) => {
                        own.extend(self.answers.give(answer).map(Own::Tell));
                    }
                }
            }
            (Keeper::Here(_), Qos::ExactlyOnce) => {
                if exchange.publish_once(session, packet_id, &message) {
                    exchange.deliver_live(&message, &mut self.reached);
                }
            }
            (Keeper::Here(here), _) => {
                exchange.deliver_live(&message, &mut self.reached);
                if here.wants(message.qos) {
                    exchange.ask(Ask::Publish { session, packet_id, message });
                } else {
                    own.push(Own::Tell(answer));
                }
            }
        }
    }
}

fn put(publish: Option<HostPublish>, room: Room) -> Given {
    let Some(publish) = publish else { return Given::ToNobody };
    room.put(publish);
    Given::ToPlugin
}

/// Whether it may go before publishes that wait.
fn bypasses(request: &Request) -> bool {
    match request {
        Request::Ask(Ask::Progress { .. } | Ask::Fetch { .. }) | Request::Authenticate(_) => true,
        Request::Ask(
            Ask::Open(_)
            | Ask::Claim { .. }
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

/// What the plugin needs of a request.
fn publish_of(exchange: &Exchange, request: &Request) -> Option<HostPublish> {
    let (message, whose) = match request {
        Request::Publish(message) => (message, None),
        Request::Ask(Ask::Publish { session, packet_id, message }) => {
            (message, Some((*session, *packet_id)))
        }
        Request::Ask(_) | Request::Authenticate(_) | Request::Close => return None,
    };
    let is_wanted = exchange.keeper.plugin_wants(message);
    is_wanted.then(|| for_plugin(exchange.clock.moment().cluster, message, whose))
}

/// As it is told to other brokers.
pub(crate) fn for_plugin(
    now: ClusterMillis,
    message: &Message,
    exchange: Option<(SessionKey, PacketId)>,
) -> HostPublish {
    let left = |at: ClusterMillis| at.0.saturating_sub(now.0).div_ceil(1_000).max(1);
    HostPublish {
        topic: message.topic.clone(),
        payload: message.payload.clone(),
        properties: message.properties.clone(),
        qos: message.qos,
        retain: message.retain,
        expires_in_s: message.expires_at.map(|at| u32::try_from(left(at)).unwrap_or(u32::MAX)),
        session: message.publisher.session,
        exchange,
    }
}
