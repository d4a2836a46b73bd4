//! Who is connected, which sessions live, which wills wait. Pure: time and events are arguments,
//! effects are results.
//!
//! One per host, behind one lock. A client id has at most one connection: a newer one asks the
//! older to end and claims again when it has. So the router never sees a takeover, and what the
//! older connection still does cannot touch the newer: [`Generation`] tells them apart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use broker_core::codec::{NEVER_EXPIRES, PacketId, Will};
use ha_types::{Millis, SessionId};

use crate::front::subscriptions::{Remembered, Subscriptions};
use crate::router::link::LinkPlan;
use crate::slots::{Slot, Slots};

/// Which connection of a client id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation(u64);

/// What a session remembers; owned by its connection, and by the registry in between.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) slot: Slot,
    pub(crate) subscriptions: Subscriptions,
    /// QoS 2 packet ids that the client has not released.
    pub(crate) received: BTreeSet<PacketId>,
}

/// What the host must do, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Publish a Will Message as a message of this session.
    PublishWill(SessionId, Box<Will>),
    /// Tell the plugin.
    SessionEnded(SessionId),
}

/// What a CONNECT asks for.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) client_id: Arc<str>,
    pub(crate) clean_start: bool,
    /// Zero: the session ends with the connection.
    pub(crate) session_expiry_s: u32,
}

/// A granted claim.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) generation: Generation,
    pub(crate) session: Session,
    pub(crate) plan: LinkPlan,
    /// Of sessions that the claim ended, wills included.
    pub(crate) effects: Vec<Effect>,
}

/// Why a claim is not granted.
#[derive(Debug)]
pub(crate) enum NotClaimed<Connection> {
    /// Connected: end this connection, then claim again.
    Occupied(Connection),
    /// As many connections as allowed.
    Busy,
    /// As many durable sessions as allowed.
    QuotaExceeded,
}

/// How a connection ended.
#[derive(Debug)]
pub(crate) struct Release {
    pub(crate) client_id: Arc<str>,
    pub(crate) generation: Generation,
    pub(crate) session: Session,
    pub(crate) session_expiry_s: u32,
    /// `None`: there is none, or DISCONNECT took it away.
    pub(crate) will: Option<Box<Will>>,
}

/// Maxima of the configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RegistryLimits {
    pub(crate) connections_max: usize,
    pub(crate) sessions_max: usize,
}

#[derive(Debug)]
enum Client<Connection> {
    Connected {
        generation: Generation,
        connection: Connection,
        remembered: Remembered,
    },
    Away {
        session: Session,
        will: Option<(Millis, Box<Will>)>,
        /// `None`: never.
        ends: Option<Millis>,
    },
}

impl<Connection> Client<Connection> {
    fn is_durable(&self) -> bool {
        match self {
            Self::Connected { remembered, .. } => *remembered == Remembered::Beyond,
            Self::Away { .. } => true,
        }
    }

    fn deadline(&self) -> Option<Millis> {
        match self {
            Self::Connected { .. } => None,
            Self::Away { will, ends, .. } => will.iter().map(|&(at, _)| at).chain(*ends).min(),
        }
    }
}

/// All clients of the host. `Connection`: how to end one.
#[derive(Debug)]
pub(crate) struct Registry<Connection> {
    limits: RegistryLimits,
    clients: BTreeMap<Arc<str>, Client<Connection>>,
    /// When which client that is away is due.
    deadlines: BTreeSet<(Millis, Arc<str>)>,
    slots: Slots,
    connected: usize,
    durable: usize,
    last_session: u64,
    last_generation: u64,
}

impl<Connection: Clone> Registry<Connection> {
    pub(crate) fn new(limits: RegistryLimits) -> Self {
        Self {
            limits,
            clients: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            slots: Slots::default(),
            connected: 0,
            durable: 0,
            last_session: 0,
            last_generation: 0,
        }
    }

    /// Connections and durable sessions.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.connected, self.durable)
    }

    /// Every connection.
    pub(crate) fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.clients.values().filter_map(|client| match client {
            Client::Connected { connection, .. } => Some(connection),
            Client::Away { .. } => None,
        })
    }

    /// Gives the client id to a new connection.
    pub(crate) fn claim(
        &mut self,
        now: Millis,
        claim: &Claim,
        connection: Connection,
    ) -> Result<Claimed, NotClaimed<Connection>> {
        if let Some(Client::Connected { connection, .. }) = self.clients.get(&claim.client_id) {
            return Err(NotClaimed::Occupied(connection.clone()));
        }
        let mut effects = self.tick(now);
        self.check_limits(claim)?;
        let previous = self.remove(&claim.client_id);
        let (session, resumed) = self.session_for(claim, previous, &mut effects);
        let wants_more = claim.session_expiry_s > 0;
        let remembered =
            if wants_more || resumed { Remembered::Beyond } else { Remembered::Connection };
        let plan = match (resumed, remembered) {
            (true, _) => LinkPlan::Resume,
            (false, Remembered::Beyond) => LinkPlan::NewDurable,
            (false, Remembered::Connection) => LinkPlan::Ephemeral,
        };
        self.last_generation += 1;
        let generation = Generation(self.last_generation);
        let client = Client::Connected { generation, connection, remembered };
        self.insert(Arc::clone(&claim.client_id), client);
        Ok(Claimed { generation, session, plan, effects })
    }

    /// Takes the client id back from a connection that has ended.
    pub(crate) fn release(&mut self, now: Millis, release: Release) -> Vec<Effect> {
        let current = self.clients.get(&release.client_id);
        let is_current = matches!(current,
            Some(Client::Connected { generation, .. }) if *generation == release.generation);
        assert!(is_current, "a client id is given again only after its release");
        self.remove(&release.client_id);
        let expiry_s = release.session_expiry_s;
        let delay_s = release.will.as_ref().map_or(0, |will| will.delay_s).min(expiry_s);
        let mut effects = Vec::new();
        let will = match release.will {
            Some(will) if delay_s == 0 => {
                effects.push(Effect::PublishWill(release.session.id, will));
                None
            }
            will => will.map(|will| (after(now, delay_s), will)),
        };
        if expiry_s == 0 {
            effects.extend(self.end(release.session, will.map(|(_, will)| will)));
            return effects;
        }
        let ends = (expiry_s != NEVER_EXPIRES).then(|| after(now, expiry_s));
        self.insert(release.client_id, Client::Away { session: release.session, will, ends });
        effects
    }

    /// When [`Registry::tick`] is due.
    pub(crate) fn deadline(&self) -> Option<Millis> {
        self.deadlines.first().map(|&(at, _)| at)
    }

    /// Publishes the wills and ends the sessions whose time has come.
    pub(crate) fn tick(&mut self, now: Millis) -> Vec<Effect> {
        let mut effects = Vec::new();
        while self.deadline().is_some_and(|at| at <= now)
            && let Some((_, client_id)) = self.deadlines.first().cloned()
        {
            let Some(Client::Away { session, will, ends }) = self.remove(&client_id) else {
                unreachable!("only clients that are away have deadlines");
            };
            if ends.is_some_and(|at| at <= now) {
                effects.extend(self.end(session, will.map(|(_, will)| will)));
                continue;
            }
            let (due, later) = match will {
                Some((at, will)) if at <= now => (Some(will), None),
                will => (None, will),
            };
            effects.extend(due.map(|will| Effect::PublishWill(session.id, will)));
            self.insert(client_id, Client::Away { session, will: later, ends });
        }
        effects
    }

    /// Ends the sessions of all clients that are away, because the host ends.
    pub(crate) fn end_all(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        for (_, client) in std::mem::take(&mut self.clients) {
            if let Client::Away { session, will, .. } = client {
                effects.extend(self.end(session, will.map(|(_, will)| will)));
            }
        }
        self.deadlines.clear();
        (self.connected, self.durable) = (0, 0);
        effects
    }

    fn check_limits(&self, claim: &Claim) -> Result<(), NotClaimed<Connection>> {
        if self.connected >= self.limits.connections_max {
            return Err(NotClaimed::Busy);
        }
        let is_known = self.clients.contains_key(&claim.client_id);
        let is_full = self.durable >= self.limits.sessions_max;
        if claim.session_expiry_s > 0 && is_full && !is_known {
            return Err(NotClaimed::QuotaExceeded);
        }
        Ok(())
    }

    /// The session to go on with, and whether it is the previous one.
    fn session_for(
        &mut self,
        claim: &Claim,
        previous: Option<Client<Connection>>,
        effects: &mut Vec<Effect>,
    ) -> (Session, bool) {
        match previous {
            Some(Client::Away { session, .. }) if !claim.clean_start => return (session, true),
            Some(Client::Away { session, will, .. }) => {
                effects.extend(self.end(session, will.map(|(_, will)| will)));
            }
            Some(Client::Connected { .. }) | None => (),
        }
        self.last_session += 1;
        let session = Session {
            id: SessionId(self.last_session),
            slot: self.slots.take(),
            subscriptions: Subscriptions::default(),
            received: BTreeSet::new(),
        };
        (session, false)
    }

    /// A session's end publishes the will that waited [MQTT-3.1.3-9].
    fn end(&mut self, session: Session, will: Option<Box<Will>>) -> Vec<Effect> {
        let id = session.id;
        self.slots.give_back(session.slot);
        let will = will.map(|will| Effect::PublishWill(id, will));
        will.into_iter().chain([Effect::SessionEnded(id)]).collect()
    }

    fn insert(&mut self, client_id: Arc<str>, client: Client<Connection>) {
        self.connected += usize::from(matches!(client, Client::Connected { .. }));
        self.durable += usize::from(client.is_durable());
        let deadline = client.deadline().map(|at| (at, Arc::clone(&client_id)));
        self.deadlines.extend(deadline);
        self.clients.insert(client_id, client);
    }

    fn remove(&mut self, client_id: &Arc<str>) -> Option<Client<Connection>> {
        let client = self.clients.remove(client_id)?;
        self.connected -= usize::from(matches!(client, Client::Connected { .. }));
        self.durable -= usize::from(client.is_durable());
        if let Some(at) = client.deadline() {
            self.deadlines.remove(&(at, Arc::clone(client_id)));
        }
        Some(client)
    }
}

fn after(now: Millis, seconds: u32) -> Millis {
    now.plus(u64::from(seconds) * 1_000)
}

#[cfg(test)]
mod tests;
