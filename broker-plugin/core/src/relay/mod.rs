//! Sessions that ha-server holds: what a broker remembers of them between an engine and ha-server
//! (ADR 0014). For a clustered broker what the [`holder`](crate::holder) is for one that is alone.
//!
//! Decides what is asked (again) under which number, which filters ha-server is told of, what an answer
//! means for live messages, and what of it an engine has had before. It keeps no messages and no
//! subscriptions' options beyond a SUBSCRIBE's answer. One per broker, part of the plugin.
//!
//! Bounded by the engines: connections times what one may have unanswered (a CONNECT, SUBSCRIBEs,
//! exchanges, one progress that waits).

mod asking;
mod asks;
mod given;
mod holding;
mod invariants;
mod needs;
mod provisional;
mod resuming;
mod telling;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ha_types::session::{CloseCause, ConnectionId, Open, Opened, SessionKey, SubscribeOptions};
use ha_types::{Subscription, Ticket, TopicFilter};

use self::asks::Asks;
use self::given::Given;
use self::holding::Holds;
use self::needs::FilterNeeds;
use self::provisional::Guest;
use crate::engine::Wants;
use crate::host::HostCommand;
use crate::plugin::Output;

pub(crate) use self::needs::Change;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Relay {
    pub(crate) asks: Asks,
    pub(crate) needs: FilterNeeds,
    /// CONNECTs that wait for their session.
    opening: BTreeMap<ConnectionId, Open>,
    /// Those whose connection is over, and may be opened all the same: they are closed then, because of this.
    unwanted: BTreeMap<ConnectionId, CloseCause>,
    holds: Holds,
    /// Those that are served without a leader, and have no session yet.
    guests: BTreeMap<ConnectionId, Guest>,
    /// What engines know sessions of former guests by, and ha-server.
    adopted: BTreeMap<SessionKey, SessionKey>,
    /// Guests are among them, each under its provisional key.
    sessions: BTreeMap<SessionKey, Seat>,
    /// The newest session of each client here.
    by_client: BTreeMap<Arc<str>, SessionKey>,
}

/// A session that a connection of this broker has.
#[derive(Debug)]
struct Seat {
    connection: ConnectionId,
    client_id: Arc<str>,
    /// Under which key its engine has it, if under another.
    known_as: Option<SessionKey>,
    receive_maximum: u16,
    /// Which live messages it gets.
    wants: Wants,
    given: Given,
    /// Its plain subscriptions.
    filters: BTreeSet<TopicFilter>,
    /// SUBSCRIBEs that wait for their answer.
    subscribing: BTreeMap<Ticket, Vec<SubscribeOptions>>,
    unsubscribing: BTreeMap<Ticket, Vec<Subscription>>,
}

impl Relay {
    /// The connection that has this session.
    pub(crate) fn connection(&self, session: SessionKey) -> Option<ConnectionId> {
        self.sessions.get(&session).map(|seat| seat.connection)
    }

    /// The session is not this broker's any more. Returns its connection, what its engine knows it by, and what its
    /// filters change.
    fn leave(&mut self, session: SessionKey) -> Option<(ConnectionId, SessionKey, Vec<Change>)> {
        let seat = self.sessions.remove(&session)?;
        let known_as = seat.known_as.unwrap_or(session);
        self.adopted.remove(&known_as);
        if self.by_client.get(&seat.client_id) == Some(&session) {
            self.by_client.remove(&seat.client_id);
        }
        let needs = seat.needs();
        let waiting = seat.subscribing.values().flatten().filter_map(plain);
        let filters = seat.filters.iter().chain(waiting);
        let changes = filters.filter_map(|filter| self.needs.release(filter, needs)).collect();
        Some((seat.connection, known_as, changes))
    }

    fn sit(&mut self, session: SessionKey, seat: Seat) {
        self.by_client.insert(Arc::clone(&seat.client_id), session);
        self.sessions.insert(session, seat);
    }
}

impl Seat {
    fn new(open: &Open, opened: &Opened) -> Self {
        Self {
            connection: open.connection,
            client_id: Arc::clone(&open.client_id),
            known_as: None,
            receive_maximum: open.receive_maximum,
            wants: Wants::of(open.lifetime, opened.is_present),
            given: Given::new(opened),
            filters: opened.subscriptions.iter().filter_map(plain).cloned().collect(),
            subscribing: BTreeMap::new(),
            unsubscribing: BTreeMap::new(),
        }
    }
}

/// What is announced and routed: shared subscriptions have queues only.
fn plain(options: &SubscribeOptions) -> Option<&TopicFilter> {
    match &options.subscription {
        Subscription::Plain(filter) => Some(filter),
        Subscription::Shared(_) => None,
    }
}

fn host(command: HostCommand) -> Output {
    Output::Host(command)
}
