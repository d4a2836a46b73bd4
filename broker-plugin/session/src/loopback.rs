//! A client of the host's own, that proves that messages are delivered.

use std::sync::Arc;

use broker_core::engine::{Route, Wants};
use broker_core::holder::RouteChange;
use bytes::Bytes;
use ha_types::session::ConnectionId;
use ha_types::{Message, Publisher, Qos, SessionId, TopicFilter, TopicName};

use crate::exchange::Exchange;
use crate::mailbox::{Letter, Mailbox};
use crate::reached::Reached;

/// No socket has this number.
const NOBODY: ConnectionId = ConnectionId(0);

/// Subscribes to a topic that nobody guesses, and which never leaves the host.
#[derive(Debug)]
pub(crate) struct Loopback {
    mailbox: Arc<Mailbox>,
    topic: TopicName,
}

impl Loopback {
    /// `random` makes the topic.
    pub(crate) fn subscribe(exchange: &Exchange, random: u128) -> Self {
        let topic: Bytes = format!("$LOOPBACK/{random:032x}").into();
        let filter = TopicFilter::parse(&topic).expect("a topic without wildcards");
        let topic = TopicName::parse(topic).expect("a topic without wildcards");
        let mailbox = Arc::new(Mailbox::new(NOBODY));
        let route = Route {
            session: SessionId(0),
            subscription_id: None,
            qos: Qos::AtMostOnce,
            no_local: false,
            retain_as_published: false,
            wants: Wants::All,
        };
        exchange.enter(&mailbox);
        exchange.reroute(RouteChange::Add { connection: NOBODY, filter, route });
        // The routes know the way; it is not one of the clients.
        exchange.leave(NOBODY);
        Self { mailbox, topic }
    }

    /// Publishes a message to itself. False: it did not come.
    pub(crate) fn works(&self, exchange: &Exchange) -> bool {
        let message = Arc::new(Message {
            topic: self.topic.clone(),
            payload: Bytes::new(),
            properties: Bytes::new(),
            qos: Qos::AtMostOnce,
            retain: false,
            expires_at: None,
            publisher: Publisher::default(),
        });
        exchange.deliver_live(&message, &mut Reached::all_awake());
        let mut letters = Vec::new();
        self.mailbox.take(&mut letters);
        let is_it = |letter: &Letter| matches!(letter, Letter::Deliver(came) if Arc::ptr_eq(&came.message, &message));
        letters.iter().any(is_it)
    }
}
