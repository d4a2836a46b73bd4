//! What ha-server answers and tells: what it means for live messages, then on to the engine.
//!
//! An answer may come again, on a new stream; an engine hears it once.

use ha_types::session::{
    Ask, CloseCause, ConnectionId, Granted, Offset, Opened, PacketId, Page, Progress, RefuseReason,
    SessionKey, SubscribeOptions, Tell,
};
use ha_types::{AskNumber, Subscription, Ticket};

use super::given::Given;
use super::provisional::ADOPTED;
use super::{Change, Relay, Seat, host, plain};
use crate::engine::Route;
use crate::holder::RouteChange;
use crate::host::HostCommand;
use crate::plugin::{Output, Plugin};

impl Plugin {
    pub(crate) fn told(&mut self, connection: ConnectionId, tell: Tell, out: &mut Vec<Output>) {
        match tell {
            Tell::Opened(opened) => self.opened(connection, opened, out),
            Tell::OpenRefused { .. } => {
                self.relay.unwanted.remove(&connection);
                if self.relay.guests.remove(&connection).is_some() {
                    self.fenced(SessionKey::provisional(connection), out);
                }
                if self.relay.opening.remove(&connection).is_some() {
                    out.push(host(HostCommand::Tell(connection, tell)));
                }
                self.pump(out);
            }
            Tell::Subscribed { session, ticket, ref granted } => {
                if let Some(changes) = self.relay.subscribed(session, ticket, granted, out) {
                    let is_refused = ticket == ADOPTED && granted.iter().any(Result::is_err);
                    self.pass(session, tell, out);
                    self.announce_changes(changes, out);
                    if is_refused {
                        self.let_go(session, out);
                    }
                }
            }
            Tell::Unsubscribed { session, ticket, .. } => {
                if let Some(changes) = self.relay.unsubscribed(session, ticket, out) {
                    self.pass(session, tell, out);
                    self.announce_changes(changes, out);
                }
            }
            Tell::Deliver { session, ref queued } => {
                let is_new =
                    |given: &mut Given| queued.offset == Offset::NONE || given.takes(queued.offset);
                if self.relay.given(session).is_some_and(is_new) {
                    self.pass(session, tell, out);
                }
            }
            Tell::Page { session, page: Page { ref messages, end } } => {
                let last = messages.last().map(|queued| queued.offset);
                if self.relay.given(session).is_some_and(|given| given.paged(end, last)) {
                    self.pass(session, tell, out);
                }
            }
            Tell::Fenced { session } => self.fenced(session, out),
            Tell::Published { session, .. }
            | Tell::Released { session, .. }
            | Tell::Recorded { session, .. }
            | Tell::Evict { session, .. } => self.pass(session, tell, out),
        }
    }

    /// To the engine, which may know the session by another key.
    pub(super) fn pass(&mut self, session: SessionKey, mut tell: Tell, out: &mut Vec<Output>) {
        let Some(seat) = self.relay.sessions.get(&session) else { return };
        if let (Some(known_as), Some(key)) = (seat.known_as, tell.session_mut()) {
            *key = known_as;
        }
        out.push(host(HostCommand::Tell(seat.connection, tell)));
    }

    fn opened(&mut self, connection: ConnectionId, opened: Opened, out: &mut Vec<Output>) {
        if let Some(guest) = self.relay.guests.remove(&connection) {
            return self.adopt(guest, &opened, out);
        }
        let session = opened.session;
        let Some(open) = self.relay.opening.remove(&connection) else {
            let cause = self.relay.unwanted.remove(&connection);
            // The answer came before, or too late: the client was refused or is gone, and is told nothing more.
            if self.relay.connection(session) != Some(connection) {
                self.close_unwanted(session, cause.unwrap_or(CloseCause::Disconnect), out);
            }
            return self.pump(out);
        };
        // Nobody else has it.
        self.leave_session(session, out);
        let seat = Seat::new(&open, &opened);
        let needs = seat.needs();
        let added = seat.filters.iter().filter_map(|filter| self.relay.needs.add(filter, needs));
        let changes = added.collect();
        self.announce_changes(changes, out);
        let routes = opened.subscriptions.iter();
        out.extend(routes.filter_map(|options| seat.route(session, options)));
        self.relay.sit(session, seat);
        self.pass(session, Tell::Opened(opened), out);
        self.pump(out);
    }

    pub(super) fn close_unwanted(
        &mut self,
        session: SessionKey,
        cause: CloseCause,
        out: &mut Vec<Output>,
    ) {
        let progress = Progress::default();
        let close = Ask::Close { session, cause, progress, lifetime: None };
        self.relay.asks.push(close, &mut self.turns);
        self.pump(out);
    }

    /// The session has another owner.
    pub(crate) fn fenced(&mut self, session: SessionKey, out: &mut Vec<Output>) {
        if let Some((connection, session)) = self.leave_session(session, out) {
            out.push(host(HostCommand::Tell(connection, Tell::Fenced { session })));
        }
    }

    /// A publish of a session is answered.
    pub(crate) fn published(
        &mut self,
        (session, packet_id): (SessionKey, PacketId),
        outcome: Result<(), RefuseReason>,
        out: &mut Vec<Output>,
    ) {
        self.pass(session, Tell::Published { session, packet_id, outcome }, out);
    }

    /// ha-server has done all asks up to here.
    pub(crate) fn asked(&mut self, upto: AskNumber, out: &mut Vec<Output>) {
        if !self.relay.done(upto) {
            let last = self.relay.asks.last();
            self.detach(format!("asks up to {upto} are done, of only {last}"), out);
        }
    }
}

impl Relay {
    fn given(&mut self, session: SessionKey) -> Option<&mut Given> {
        self.sessions.get_mut(&session).map(|seat| &mut seat.given)
    }

    /// `None`: nobody waits for this answer.
    fn subscribed(
        &mut self,
        session: SessionKey,
        ticket: Ticket,
        granted: &[Result<Granted, RefuseReason>],
        out: &mut Vec<Output>,
    ) -> Option<Vec<Change>> {
        let seat = self.sessions.get_mut(&session)?;
        let asked = seat.subscribing.remove(&ticket)?;
        let (needs, mut changes) = (seat.needs(), Vec::new());
        for (options, answer) in asked.iter().zip(granted) {
            let Ok(granted) = answer else { continue };
            let options = SubscribeOptions { qos: granted.qos, ..options.clone() };
            out.extend(seat.route(session, &options));
            if let Some(filter) = plain(&options)
                && seat.filters.insert(filter.clone())
            {
                changes.extend(self.needs.add(filter, needs));
            }
        }
        let waited = asked.iter().filter_map(plain);
        changes.extend(waited.filter_map(|filter| self.needs.release(filter, needs)));
        Some(changes)
    }

    /// `None`: nobody waits for this answer.
    fn unsubscribed(
        &mut self,
        session: SessionKey,
        ticket: Ticket,
        out: &mut Vec<Output>,
    ) -> Option<Vec<Change>> {
        let seat = self.sessions.get_mut(&session)?;
        let asked = seat.unsubscribing.remove(&ticket)?;
        let (needs, connection) = (seat.needs(), seat.connection);
        let mut changes = Vec::new();
        for subscription in asked {
            let Subscription::Plain(filter) = subscription else { continue };
            if seat.filters.remove(&filter) {
                changes.extend(self.needs.release(&filter, needs));
                out.push(host(HostCommand::Route(RouteChange::Remove { connection, filter })));
            }
        }
        Some(changes)
    }
}

impl Seat {
    fn route(&self, session: SessionKey, options: &SubscribeOptions) -> Option<Output> {
        let (connection, filter) = (self.connection, plain(options)?.clone());
        let known_as = self.known_as.unwrap_or(session);
        let route = Route::new(known_as.id, options, options.qos, self.wants);
        Some(host(HostCommand::Route(RouteChange::Add { connection, filter, route })))
    }
}
