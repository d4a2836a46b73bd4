//! What is known of one client: its connections, its session, and what came to it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::event::{At, Name, Start};
use crate::published::MessageRef;
use crate::seen::{Place, Seen};
use crate::subscriptions::{Active, Grant, Watch};

/// Whether there is a session at the cluster, as far as the client can know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Existence {
    #[default]
    No,
    Maybe,
    Yes,
}

/// A connection that is not closed.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) number: u32,
    pub(crate) start: Start,
    pub(crate) expires_s: u32,
    pub(crate) connecting_at: At,
    pub(crate) connected_at: Option<At>,
    /// What the CONNECT found.
    pub(crate) found: Existence,
    /// The session it belongs to.
    pub(crate) session: u32,
    /// When the last request was sent that was answered.
    pub(crate) served_at: Option<At>,
    /// It was reported as served twice.
    pub(crate) is_reported: bool,
    /// PUBLISHes at QoS ≥ 1 that wait for an answer, by number.
    pub(crate) publishing: BTreeMap<u32, At>,
    /// SUBSCRIBEs that wait for an answer.
    pub(crate) subscribing: BTreeMap<Name, Asked>,
    /// Deliveries at QoS ≥ 1 that are not acknowledged.
    pub(crate) in_flight: BTreeMap<u16, MessageRef>,
}

/// A SUBSCRIBE that was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) at: At,
    pub(crate) no_local: bool,
    /// Whether it must see what is retained.
    pub(crate) sees_retained: bool,
}

impl Connection {
    pub(crate) fn place(&self) -> Place {
        Place { connection: self.number, session: self.session }
    }
}

/// A delivery at QoS 2 that is not completed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange {
    pub(crate) message: MessageRef,
    pub(crate) connection: u32,
}

/// The client's session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) existence: Existence,
    /// Counts the sessions of the client.
    pub(crate) number: u32,
    /// The earliest that it may have begun.
    pub(crate) began_at: At,
    pub(crate) expires_s: u32,
    pub(crate) active: BTreeMap<Name, Active>,
    /// Filters that may be subscribed to.
    pub(crate) known: BTreeSet<Name>,
    pub(crate) watches: Vec<Watch>,
    pub(crate) exchanges: BTreeMap<u16, Exchange>,
    pub(crate) queue_full_at: Option<At>,
}

impl Session {
    fn new(number: u32, began_at: At) -> Self {
        Self {
            existence: Existence::No,
            number,
            began_at,
            expires_s: 0,
            active: BTreeMap::new(),
            known: BTreeSet::new(),
            watches: Vec::new(),
            exchanges: BTreeMap::new(),
            queue_full_at: None,
        }
    }

    pub(crate) fn is_durable(&self) -> bool {
        self.expires_s > 0
    }
}

/// The connection that won, when there are several.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner {
    pub(crate) connecting_at: At,
    pub(crate) connected_at: At,
}

/// The last first delivery of a publisher's messages on a topic, for each QoS.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    pub(crate) latest: [Option<(At, MessageRef)>; 3],
    /// What the subscriptions of `version` allow.
    pub(crate) allowed: crate::subscriptions::Allowed,
    pub(crate) version: u32,
}

/// A retained message, or one that is retained, came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Receipt {
    pub(crate) at: At,
    /// When its publish was acknowledged.
    pub(crate) acknowledged_at: At,
}

/// One client. Its maps are bounded by what was observed of it.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) name: Name,
    pub(crate) connections: Vec<Connection>,
    pub(crate) last_connection: u32,
    pub(crate) owner: Option<Owner>,
    pub(crate) session: Session,
    pub(crate) grants: BTreeMap<Name, Grant>,
    /// Counts the changes of `grants`.
    pub(crate) version: u32,
    pub(crate) seen: Seen,
    /// Only looked up: the order of the maps is never seen.
    pub(crate) lanes: HashMap<(Name, Name), Lane>,
    /// How often messages came that came more than once, as new ones.
    pub(crate) copies: HashMap<MessageRef, u32>,
    /// The same of what came with RETAIN.
    pub(crate) retained_copies: HashMap<MessageRef, u32>,
    pub(crate) receipts: HashMap<Name, Vec<Receipt>>,
}

impl Client {
    pub(crate) fn new(name: Name) -> Self {
        Self {
            name,
            connections: Vec::new(),
            last_connection: 0,
            owner: None,
            session: Session::new(0, At(0)),
            grants: BTreeMap::new(),
            version: 1,
            seen: Seen::default(),
            lanes: HashMap::new(),
            copies: HashMap::new(),
            retained_copies: HashMap::new(),
            receipts: HashMap::new(),
        }
    }

    /// The place of an open connection that was accepted.
    pub(crate) fn connected(&self, number: u32) -> Option<usize> {
        let accepted = |c: &Connection| c.number == number && c.connected_at.is_some();
        self.connections.iter().position(accepted)
    }

    /// Replaces the session by a new one. What was seen is kept.
    pub(crate) fn begin_session(&mut self, at: At) {
        self.session = Session::new(self.session.number + 1, at);
        self.copies.clear();
        self.retained_copies.clear();
    }

    /// Notes that a message came that is, or was, retained.
    pub(crate) fn note_receipt(&mut self, topic: Name, receipt: Receipt) {
        let receipts = self.receipts.entry(topic).or_default();
        // One that came later and is newer makes earlier ones superfluous.
        let is_beaten = |last: &Receipt| last.acknowledged_at <= receipt.acknowledged_at;
        while receipts.last().is_some_and(is_beaten) {
            receipts.pop();
        }
        receipts.push(receipt);
    }

    /// The newest retained message that came after `since`, by when it was acknowledged.
    pub(crate) fn newest_receipt(&self, topic: Name, since: At) -> Option<At> {
        let receipts = self.receipts.get(&topic)?;
        receipts.iter().find(|receipt| receipt.at > since).map(|found| found.acknowledged_at)
    }
}
