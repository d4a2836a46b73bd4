//! A holder on a bench: asks go in by hand, what it says comes back, time is a number.

mod outputs;
mod values;

use std::sync::Arc;

use broker_core::engine::Moment;
use broker_core::holder::{Holder, HolderConfig, Input, Output};
use broker_core::host::{Delivery, HostEvent};
use ha_types::session::{
    Ask, CloseCause, ConnectionId, Lifetime, Offset, Open, Opened, Progress, SessionKey,
    SubscribeOptions, Tell,
};
use ha_types::{ClusterMillis, Message, Millis, Ticket};

pub(crate) use outputs::{Outputs, text};
pub(crate) use values::*;

/// Cluster time at the bench's zero.
pub(crate) const CLUSTER_TIME: u64 = 1_000_000;

/// An engine's end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) connection: ConnectionId,
    pub(crate) session: SessionKey,
}

/// One holder and the time it is. Plays the plugin too, unless told not to.
pub(crate) struct Bench {
    pub(crate) holder: Holder,
    pub(crate) now: u64,
    next_connection: u64,
    next_ticket: u64,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(HolderConfig::default())
    }

    pub(crate) fn with(config: HolderConfig) -> Self {
        Self { holder: Holder::new(config), now: 0, next_connection: 1, next_ticket: 100 }
    }

    pub(crate) fn step(&mut self, input: Input) -> Outputs {
        let cluster = ClusterMillis(CLUSTER_TIME + self.now);
        let mut out = Vec::new();
        self.holder.step(Moment { now: Millis(self.now), cluster }, input, &mut out);
        self.holder.check_invariants();
        Outputs(out)
    }

    pub(crate) fn ask(&mut self, ask: Ask) -> Outputs {
        self.step(Input::Ask(ask))
    }

    /// Lets the time be `now`.
    pub(crate) fn at(&mut self, now: u64) -> Outputs {
        self.now = now;
        self.step(Input::Tick)
    }

    /// Of the next CONNECT.
    pub(crate) fn next_connection(&self) -> ConnectionId {
        ConnectionId(self.next_connection)
    }

    /// Sends a CONNECT on a new connection.
    pub(crate) fn open(&mut self, open: Open) -> (ConnectionId, Outputs) {
        let connection = ConnectionId(self.next_connection);
        self.next_connection += 1;
        (connection, self.ask(Ask::Open(Open { connection, ..open })))
    }

    /// Opens a session that nobody else has.
    pub(crate) fn connect(&mut self, open: Open) -> Link {
        self.connect_fully(open).0
    }

    /// The same, with all that the engine is told.
    pub(crate) fn connect_fully(&mut self, open: Open) -> (Link, Opened, Outputs) {
        let (connection, outputs) = self.open(open);
        let opened = outputs.opened(connection).unwrap();
        (Link { connection, session: opened.session }, opened, outputs)
    }

    /// Subscribes where nothing is retained, and looks at nothing.
    pub(crate) fn subscribe(&mut self, link: Link, options: &[SubscribeOptions]) -> Outputs {
        self.subscribe_with(link, options, &[])
    }

    /// Subscribes; each subscription finds these retained messages.
    pub(crate) fn subscribe_with(
        &mut self,
        link: Link,
        options: &[SubscribeOptions],
        retained: &[Delivery],
    ) -> Outputs {
        let mut outputs = self.subscribe_unanswered(link, options);
        if let Some((ticket, wanted)) = outputs.asked_plugin() {
            let retained = vec![retained.to_vec(); wanted.len()];
            outputs.0.extend(self.step(Input::Retained { ticket, retained }).0);
        }
        outputs
    }

    /// Subscribes; the plugin does not answer.
    pub(crate) fn subscribe_unanswered(
        &mut self,
        link: Link,
        options: &[SubscribeOptions],
    ) -> Outputs {
        self.next_ticket += 1;
        self.ask(Ask::Subscribe {
            session: link.session,
            ticket: Ticket(self.next_ticket),
            subscriptions: options.to_vec(),
        })
    }

    pub(crate) fn unsubscribe(&mut self, link: Link, filters: &[&str]) -> Outputs {
        self.next_ticket += 1;
        self.ask(Ask::Unsubscribe {
            session: link.session,
            ticket: Ticket(self.next_ticket),
            subscriptions: filters.iter().map(|text| subscription(text)).collect(),
        })
    }

    /// A client of this broker publishes at QoS 1 or 2.
    pub(crate) fn publish(&mut self, link: Link, packet_id: u16, message: Message) -> Outputs {
        let session = link.session;
        self.ask(Ask::Publish {
            session,
            packet_id: id(packet_id),
            message: Arc::new(Message { publisher: publisher(session.id), ..message }),
        })
    }

    /// A message of another broker, or of QoS 0.
    pub(crate) fn message(&mut self, message: Message) -> Outputs {
        self.step(Input::Message(Arc::new(message)))
    }

    pub(crate) fn progress(&mut self, link: Link, progress: Progress) -> Outputs {
        self.ask(Ask::Progress { session: link.session, progress })
    }

    /// PUBACK for these.
    pub(crate) fn acknowledge(&mut self, link: Link, offsets: &[Offset]) -> Outputs {
        self.progress(link, acknowledged(offsets))
    }

    pub(crate) fn close(&mut self, link: Link, cause: CloseCause) -> Outputs {
        self.close_with(link, cause, Progress::default(), None)
    }

    /// The client vanishes.
    pub(crate) fn lose(&mut self, link: Link) -> Outputs {
        self.close(link, CloseCause::Failure)
    }

    pub(crate) fn close_with(
        &mut self,
        link: Link,
        cause: CloseCause,
        progress: Progress,
        lifetime: Option<Lifetime>,
    ) -> Outputs {
        self.ask(Ask::Close { session: link.session, cause, progress, lifetime })
    }

    pub(crate) fn queued(&self) -> usize {
        self.holder.counts().queued
    }
}

/// Of [`Outputs::asked_plugin`].
pub(crate) type Wanted = Vec<broker_core::host::NewSubscription>;

impl Outputs {
    /// The last SUBSCRIBE for the plugin.
    pub(crate) fn asked_plugin(&self) -> Option<(Ticket, Wanted)> {
        self.0.iter().rev().find_map(|output| match output {
            Output::Plugin(HostEvent::Subscribe { ticket, subscriptions, .. }) => {
                Some((*ticket, subscriptions.clone()))
            }
            _ => None,
        })
    }

    pub(crate) fn opened(&self, connection: ConnectionId) -> Option<Opened> {
        self.tells(connection).into_iter().find_map(|tell| match tell {
            Tell::Opened(opened) => Some(opened.clone()),
            _ => None,
        })
    }
}
