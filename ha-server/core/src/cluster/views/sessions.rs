//! Sessions by client identifier.

use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use ha_types::session::{Lifetime, SessionKey};
use ha_types::{BrokerName, ClusterMillis};

use super::super::ClusterState;
use super::super::session::{Durability, Session};
use super::{Filling, Listed, PageLimits};

/// Which sessions are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Connected or not.
    All,
    /// Those with a connection.
    Connected,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct SessionFind<'a> {
    /// A part of the client identifier; empty: any.
    pub text: &'a str,
    /// Connected to the broker of this name; `None`: to any, or none.
    pub broker: Option<&'a str>,
    /// Whether those without a connection are listed too.
    pub which: Which,
}

/// One session as of the last batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// Of its client.
    pub client_id: Arc<str>,
    /// The session, and how often it was opened.
    pub session: SessionKey,
    /// To which broker its client is connected; `None`: it is away.
    pub broker: Option<BrokerName>,
    /// Whether messages wait for it while it is away.
    pub is_durable: bool,
    /// How long it outlives its connection.
    pub lifetime: Lifetime,
    /// When it ends, while its client is away; `None`: never, or not yet known.
    pub ends_at: Option<ClusterMillis>,
    /// How many.
    pub subscriptions: usize,
    /// Messages that are kept for it and are in no exchange, those that were sent and not acknowledged
    /// included. Above 1,000 perhaps too many: where its filters overlap, or it acknowledged out
    /// of order, one may be counted twice.
    pub waiting: usize,
    /// QoS 2 exchanges in either direction that are not over.
    pub exchanges: usize,
    /// Whether a will is registered that was not published.
    pub has_will: bool,
}

/// Messages of one session that are counted one by one.
const COUNTED_MAX: usize = 1_000;

/// Bytes of a line beside its texts.
const LINE_BYTES: usize = 64;

impl ClusterState {
    /// Sessions from the one behind the client identifier `after` on; `None`: from the first.
    #[must_use]
    pub fn list_sessions(
        &self,
        find: SessionFind<'_>,
        after: Option<&str>,
        limits: PageLimits,
    ) -> Listed<SessionView, Arc<str>> {
        let mut filling = Filling::new(limits);
        let mut last = None;
        for (client_id, id) in
            self.by_client.range::<str, _>((after.map_or(Unbounded, Excluded), Unbounded))
        {
            if let Some(last) = last.filter(|_| !filling.has_room()) {
                return filling.goes_on(Arc::clone(last));
            }
            filling.look_at(1);
            last = Some(client_id);
            let session = self.sessions.get(id).filter(|_| client_id.contains(find.text));
            if let Some(view) = session.and_then(|session| self.session_view(session, find)) {
                filling.look_at(view.subscriptions + view.waiting.min(COUNTED_MAX));
                filling.push(view, client_id.len() + LINE_BYTES);
            }
        }
        filling.ends()
    }

    /// `None`: it is not asked for.
    fn session_view(&self, session: &Session, find: SessionFind<'_>) -> Option<SessionView> {
        let broker = session.owner.and_then(|owner| self.brokers.get(&owner.broker));
        let broker = broker.filter(|broker| broker.is_alive).map(|broker| &broker.name);
        let is_wanted = match find.broker {
            Some(name) => broker.is_some_and(|broker| broker.as_str() == name),
            None => find.which == Which::All || broker.is_some(),
        };
        is_wanted.then(|| SessionView {
            client_id: Arc::clone(&session.client_id),
            session: session.key(),
            broker: broker.cloned(),
            is_durable: session.durability == Durability::Durable,
            lifetime: session.lifetime,
            ends_at: session.ends_at,
            subscriptions: session.subscriptions.len(),
            waiting: self.waiting(session),
            exchanges: session.records.len() + session.inbound.len(),
            has_will: session.will.is_some(),
        })
    }

    fn waiting(&self, session: &Session) -> usize {
        let (at_most, _) = self.indexes.at_most_pending(session);
        let queued = match at_most {
            0..=COUNTED_MAX => self.indexes.pending(session, session.acked.upto).count(),
            _ => at_most,
        };
        let shared = session.shared.values().filter(|shared| shared.kept.is_some()).count();
        queued + session.private.len() + shared
    }
}
