//! Clients that are served while nobody leads (DESIGN.md, section 5).
//!
//! A CONNECT that has waited `CONNECT_HOLD` for a leader is served all the same when its session would end with its
//! connection: a *guest*. It has a session of this broker's own, under a key that no leader gives, which its engine
//! keeps. Its subscriptions are granted here and get what this broker's clients publish; its publishes of QoS 1 and 2
//! wait. The CONNECT waits on as a claim. When a leader has granted it, what was subscribed is asked, and publishes
//! go up under ha-server's key: its own key is for its engine alone then. A guest whose claim is refused has another
//! connection elsewhere, which is older or newer: nobody knows, and the other one stays.
//!
//! Its will is registered with the claim. One that ends before has none.

use std::collections::BTreeMap;

use ha_types::session::{
    Ask, CloseCause, Eviction, Granted, Lifetime, Offset, Open, Opened, PageEnd, RefuseReason,
    SessionEpoch, SessionKey, SubscribeOptions, Tell,
};
use ha_types::{SessionId, Subscription, Ticket};

use super::given::Given;
use super::{Relay, Seat};
use crate::plugin::{Output, Plugin};

/// Of the SUBSCRIBE that asks for all that a guest has subscribed to. No engine counts so far.
pub(super) const ADOPTED: Ticket = Ticket(u64::MAX);

/// A client without a session at ha-server.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) open: Open,
    /// How much of the log the last leader had when it was heard last.
    pub(super) seen: u64,
    subscriptions: BTreeMap<Subscription, SubscribeOptions>,
}

impl Plugin {
    /// Whether the client of a CONNECT needs no leader. A broker that never had one knows nothing of its cluster.
    pub(super) fn serves_provisionally(&self, open: &Open) -> bool {
        let is_ephemeral = open.lifetime == Lifetime::Connection;
        is_ephemeral && self.config.serves_isolated && self.epoch.is_some()
    }

    /// The client is a guest from now on.
    pub(super) fn serve(&mut self, open: Open, out: &mut Vec<Output>) {
        let connection = open.connection;
        let session = SessionKey::provisional(connection);
        self.displace(&open, out);
        let opened = Opened {
            connection,
            session,
            is_present: false,
            subscriptions: Vec::new(),
            inbound: Vec::new(),
            records: Vec::new(),
            backlog: PageEnd::Live(Offset::NONE),
        };
        self.relay.sit(session, Seat::new(&open, &opened));
        let (seen, subscriptions) = (self.seen, BTreeMap::new());
        self.relay.guests.insert(connection, Guest { open, seen, subscriptions });
        self.pass(session, Tell::Opened(opened), out);
    }

    /// [MQTT-3.1.4-3]: an older connection of the client here ends, as a leader would have it.
    fn displace(&mut self, open: &Open, out: &mut Vec<Output>) {
        let Some(&older) = self.relay.by_client.get(&open.client_id) else { return };
        match self.relay.remove_guest(older) {
            Some(guest) => {
                self.relay.unwanted.insert(guest.open.connection, CloseCause::Disconnect);
                self.fenced(older, out);
            }
            None => {
                let evict = Tell::Evict { session: older, why: Eviction::TakenOver };
                self.pass(older, evict, out);
            }
        }
    }

    /// What the engine of a guest asks is answered here, until it is asked of ha-server.
    pub(super) fn ask_of_guest(&mut self, mut ask: Ask, out: &mut Vec<Output>) {
        let Some(&mut session) = ask.session_mut() else { return };
        match ask {
            Ask::Subscribe { ticket, subscriptions, .. } => {
                self.grant(session, ticket, subscriptions, out);
            }
            Ask::Unsubscribe { ticket, ref subscriptions, .. } => {
                let Some(guest) = self.relay.guest_of(session) else { return };
                let mut remove = |of| guest.subscriptions.remove(of).is_some();
                let existed = subscriptions.iter().map(&mut remove).collect();
                self.relay.note(&ask);
                self.answer(session, Tell::Unsubscribed { session, ticket, existed }, out);
            }
            // It has no exchange that is open: none of its PUBLISHes was answered.
            Ask::Release { packet_id, .. } => {
                self.pass(session, Tell::Released { session, packet_id }, out);
            }
            Ask::Close { cause, .. } => self.close_guest(session, cause, out),
            // There is no queue.
            Ask::Fetch { .. } | Ask::Progress { .. } => (),
            Ask::Open(_) | Ask::Claim { .. } | Ask::Publish { .. } => (),
        }
    }

    fn grant(
        &mut self,
        session: SessionKey,
        ticket: Ticket,
        subscriptions: Vec<SubscribeOptions>,
        out: &mut Vec<Output>,
    ) {
        let Some(guest) = self.relay.guest_of(session) else { return };
        let count = guest.subscriptions.len() + subscriptions.len();
        let granted = |qos| Granted { qos, retained: Vec::new(), unqueued: Vec::new() };
        // Also of shared ones, which are no filters that this broker needs.
        if count > self.config.filters_max {
            let granted = vec![Err(RefuseReason::QuotaExceeded); subscriptions.len()];
            return self.pass(session, Tell::Subscribed { session, ticket, granted }, out);
        }
        if self.subscribing(session, ticket, &subscriptions, out)
            && let Some(guest) = self.relay.guest_of(session)
        {
            let granted = subscriptions.iter().map(|of| Ok(granted(of.qos))).collect();
            let by_subscription = subscriptions.into_iter().map(|of| (of.subscription.clone(), of));
            guest.subscriptions.extend(by_subscription);
            self.answer(session, Tell::Subscribed { session, ticket, granted }, out);
        }
    }

    /// As if ha-server had said it.
    fn answer(&mut self, session: SessionKey, tell: Tell, out: &mut Vec<Output>) {
        if let Some(connection) = self.relay.connection(session) {
            self.told(connection, tell, out);
        }
    }

    /// Its connection is gone. With a leader its claim is on the way, and its will with it.
    fn close_guest(&mut self, session: SessionKey, cause: CloseCause, out: &mut Vec<Output>) {
        let Some(guest) = self.relay.remove_guest(session) else { return };
        let is_registered = self.link.attached().is_some();
        let cause = if is_registered { cause } else { CloseCause::Disconnect };
        self.relay.unwanted.insert(guest.open.connection, cause);
        self.leave_session(session, out);
        self.pump(out);
    }

    /// A leader has granted the claim.
    pub(super) fn adopt(&mut self, guest: Guest, opened: &Opened, out: &mut Vec<Output>) {
        let (known_as, session) = (SessionKey::provisional(opened.connection), opened.session);
        if opened.is_present {
            // The client was told that there is none.
            self.fenced(known_as, out);
            return self.close_unwanted(session, CloseCause::Disconnect, out);
        }
        let Some(seat) = self.relay.sessions.remove(&known_as) else { return };
        let given = Given::new(opened);
        self.relay.sit(session, Seat { known_as: Some(known_as), given, ..seat });
        self.relay.adopted.insert(known_as, session);
        self.outbox.adopt(known_as, session);
        let subscriptions: Vec<_> = guest.subscriptions.into_values().collect();
        if !subscriptions.is_empty() {
            self.ask(Ask::Subscribe { session, ticket: ADOPTED, subscriptions }, out);
        }
        self.pump(out);
    }

    /// What it has been granted here ha-server does not grant: it begins anew.
    pub(super) fn let_go(&mut self, session: SessionKey, out: &mut Vec<Output>) {
        self.fenced(session, out);
        self.close_unwanted(session, CloseCause::Failure, out);
    }
}

impl Relay {
    fn guest_of(&mut self, session: SessionKey) -> Option<&mut Guest> {
        let connection = self.sessions.get(&session)?.connection;
        self.guests.get_mut(&connection)
    }

    fn remove_guest(&mut self, session: SessionKey) -> Option<Guest> {
        let connection = self.sessions.get(&session)?.connection;
        self.guests.remove(&connection)
    }

    /// Whether its publishes wait for a leader's answer to its claim.
    pub(crate) fn is_guest(&self, session: SessionKey) -> bool {
        let seat = self.sessions.get(&session).filter(|_| session.is_provisional());
        seat.is_some_and(|seat| self.guests.contains_key(&seat.connection))
    }

    /// What ha-server knows a session by.
    pub(crate) fn adopted(&self, session: SessionKey) -> SessionKey {
        self.adopted.get(&session).copied().unwrap_or(session)
    }

    /// The same of a session that is known by its id alone.
    pub(crate) fn adopted_id(&self, id: SessionId) -> SessionId {
        self.adopted(SessionKey { id, epoch: SessionEpoch::default() }).id
    }

    /// What its engine knows a session by.
    pub(crate) fn known_as(&self, session: SessionKey) -> SessionKey {
        self.sessions.get(&session).and_then(|seat| seat.known_as).unwrap_or(session)
    }
}
