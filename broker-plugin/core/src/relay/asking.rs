//! What engines ask: remembered as far as it has to be, and sent in its turn.

use std::collections::BTreeSet;

use ha_types::Ticket;
use ha_types::session::{Ask, ConnectionId, RefuseReason, SessionKey, SubscribeOptions, Tell};

use super::{Change, Relay, host, plain};
use crate::engine::Wants;
use crate::holder::RouteChange;
use crate::host::HostCommand;
use crate::link::Link;
use crate::plugin::{Event, Output, Plugin};

impl Plugin {
    /// An engine asks. What concerns a session that this broker does not have is dropped: its
    /// connection was told so, or closed it itself.
    pub(crate) fn ask(&mut self, mut ask: Ask, out: &mut Vec<Output>) {
        if matches!(self.link, Link::Alone) {
            return;
        }
        if let Some(session) = ask.session_mut().filter(|session| session.is_provisional()) {
            match self.relay.adopted.get(session) {
                Some(adopted) => *session = *adopted,
                None => return self.ask_of_guest(ask, out),
            }
        }
        let is_known = match &ask {
            Ask::Open(open) => {
                self.relay.opening.insert(open.connection, open.clone());
                self.relay.holds.came(self.now, open.connection);
                true
            }
            Ask::Subscribe { session, ticket, subscriptions } => {
                self.subscribing(*session, *ticket, subscriptions, out)
            }
            Ask::Close { session, .. } => self.leave_session(*session, out).is_some(),
            // Publishes come as such, and engines claim nothing.
            Ask::Publish { .. } | Ask::Claim { .. } => false,
            Ask::Unsubscribe { .. }
            | Ask::Release { .. }
            | Ask::Fetch { .. }
            | Ask::Progress { .. } => self.relay.note(&ask),
        };
        if is_known && !self.is_merged(&ask) {
            self.relay.asks.push(ask, &mut self.turns);
        }
        self.pump(out);
    }

    /// ha-server is told of the filters first: what is published after its answer must come.
    pub(super) fn subscribing(
        &mut self,
        session: SessionKey,
        ticket: Ticket,
        subscriptions: &[SubscribeOptions],
        out: &mut Vec<Output>,
    ) -> bool {
        if self.relay.connection(session).is_none() {
            return false;
        }
        if !self.relay.has_room_for(subscriptions, self.config.filters_max) {
            out.push(Output::Note(Event::FiltersFull));
            let granted = vec![Err(RefuseReason::QuotaExceeded); subscriptions.len()];
            self.pass(session, Tell::Subscribed { session, ticket, granted }, out);
            return false;
        }
        let changes = self.relay.subscribing(session, ticket, subscriptions);
        self.announce_changes(changes, out);
        true
    }

    /// While there is no leader, one progress of each session waits.
    fn is_merged(&mut self, ask: &Ask) -> bool {
        let Ask::Progress { session, .. } = ask else { return false };
        self.relay.asks.merge(*session, ask)
    }

    /// The session is not this broker's any more: nothing live comes for it, and nothing is needed. Returns its
    /// connection, and what its engine knows it by.
    pub(super) fn leave_session(
        &mut self,
        session: SessionKey,
        out: &mut Vec<Output>,
    ) -> Option<(ConnectionId, SessionKey)> {
        let (connection, known_as, changes) = self.relay.leave(session)?;
        out.push(host(HostCommand::Route(RouteChange::RemoveAll { connection })));
        self.announce_changes(changes, out);
        Some((connection, known_as))
    }
}

impl Relay {
    /// Whether at most `max` distinct filters are needed then. Sessions that are resumed bring theirs
    /// in any case.
    fn has_room_for(&self, subscriptions: &[SubscribeOptions], max: usize) -> bool {
        let filters = subscriptions.iter().filter_map(plain);
        let new: BTreeSet<_> = filters.filter(|filter| !self.needs.has(filter)).collect();
        new.is_empty() || self.needs.len() + new.len() <= max
    }

    fn subscribing(
        &mut self,
        session: SessionKey,
        ticket: Ticket,
        subscriptions: &[SubscribeOptions],
    ) -> Vec<Change> {
        let Some(seat) = self.sessions.get_mut(&session) else { return Vec::new() };
        let needs = seat.needs();
        seat.subscribing.insert(ticket, subscriptions.to_vec());
        let filters = subscriptions.iter().filter_map(plain);
        filters.filter_map(|filter| self.needs.add(filter, needs)).collect()
    }

    /// False: the session is not this broker's.
    pub(super) fn note(&mut self, ask: &Ask) -> bool {
        let (Ask::Unsubscribe { session, .. }
        | Ask::Release { session, .. }
        | Ask::Progress { session, .. }
        | Ask::Fetch { session, .. }) = ask
        else {
            return false;
        };
        let Some(seat) = self.sessions.get_mut(session) else { return false };
        match ask {
            Ask::Unsubscribe { ticket, subscriptions, .. } => {
                seat.unsubscribing.insert(*ticket, subscriptions.clone());
            }
            Ask::Fetch { after, .. } => seat.given.take_back(*after),
            _ => (),
        }
        true
    }
}

impl Wants {
    /// Of a session by how long it lasts and whether it existed: what was durable stays so.
    pub(super) fn of(lifetime: ha_types::session::Lifetime, is_present: bool) -> Self {
        match (lifetime, is_present) {
            (ha_types::session::Lifetime::Connection, false) => Self::All,
            _ => Self::QosZero,
        }
    }
}
