//! An ha-server that does what ADR 0014 says, with streams that lose what is on its way.

use std::collections::{BTreeMap, VecDeque};

use ha_types::link::{Downstream, PublishOutcome, Upstream, Welcome};
use ha_types::session::{
    Ask, ConnectionId, Granted, Offset, Opened, PageEnd, RefuseReason, SessionEpoch, SessionKey,
    Tell,
};
use ha_types::{AskNumber, BrokerEpoch, PublishNumber, Qos, RetainedVersion, SessionId};

use super::common::{opened, queued};
use crate::common::welcome;

/// Offsets of a new session begin after this one.
pub(super) const BEGINNING: u64 = 5;

/// One session of the replicated state.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: ConnectionId,
    /// The last offset of its queue.
    pub(super) last: u64,
    /// Whether this stream's leader knows how far it was given.
    is_live: bool,
}

/// What outlives streams, and what is on its way on the present one.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) epoch: u64,
    asked: u64,
    taken: u64,
    /// Whether a publish of this epoch was taken: the first may have any number above.
    has_taken: bool,
    last_on_stream: Option<u64>,
    next_session: u64,
    pub(super) sessions: BTreeMap<SessionKey, Session>,
    pub(super) up: VecDeque<Upstream>,
    pub(super) down: VecDeque<Downstream>,
    /// Asks that were done, in words, by session; acknowledged offsets one by one.
    pub(super) done: Vec<(SessionKey, String)>,
    /// Payloads, once for each publish.
    pub(super) published: Vec<String>,
}

impl Model {
    pub(super) fn new() -> Self {
        Self {
            epoch: 1,
            asked: 0,
            taken: 0,
            has_taken: false,
            last_on_stream: None,
            next_session: 1,
            sessions: BTreeMap::new(),
            up: VecDeque::new(),
            down: VecDeque::new(),
            done: Vec::new(),
            published: Vec::new(),
        }
    }

    /// The stream breaks: what is on its way is lost.
    pub(super) fn break_stream(&mut self) {
        self.up.clear();
        self.down.clear();
        self.last_on_stream = None;
        self.sessions.values_mut().for_each(|session| session.is_live = false);
    }

    /// The broker's lease ends.
    pub(super) fn lose(&mut self) {
        self.break_stream();
        self.sessions.clear();
        (self.asked, self.has_taken) = (0, false);
        self.epoch += 1;
    }

    /// Takes the next item that is on its way.
    pub(super) fn step(&mut self) {
        match self.up.pop_front() {
            Some(Upstream::Hello(_)) => {
                let welcome = Welcome {
                    epoch: BrokerEpoch(self.epoch),
                    taken_upto: PublishNumber(self.taken),
                    asked_upto: AskNumber(self.asked),
                    lease_ms: 1 << 40,
                    heartbeat_ms: 1 << 40,
                    ..welcome()
                };
                self.down.push_back(Downstream::Welcome(welcome));
            }
            Some(Upstream::Ask { number, ask }) => self.ask(number.0, ask),
            Some(Upstream::Publish { number: Some(number), message, .. }) => {
                if number.0 > self.taken {
                    let is_next = number.0 == self.taken + 1;
                    assert!(is_next || !self.has_taken, "numbers are dense");
                    (self.taken, self.has_taken) = (number.0, true);
                    self.published.push(String::from_utf8_lossy(&message.payload).into());
                }
                let (outcome, retained) = (PublishOutcome::Accepted, RetainedVersion(0));
                self.down.push_back(Downstream::PublishResult { number, outcome, retained });
            }
            Some(Upstream::Resume(resume)) => {
                let after = resume.given_upto.map_or(0, |offset| offset.message);
                match self.sessions.get_mut(&resume.session) {
                    Some(session) => {
                        session.is_live = true;
                        self.give(resume.session, after);
                    }
                    None => self.tell(resume.connection, Tell::Fenced { session: resume.session }),
                }
            }
            _ => (),
        }
    }

    /// A message for a session.
    pub(super) fn enqueue(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        session.last += 1;
        if session.is_live {
            let last = session.last;
            self.give(key, last - 1);
        }
    }

    fn give(&mut self, key: SessionKey, after: u64) {
        let Session { connection, last, .. } = self.sessions[&key];
        for offset in after + 1..=last {
            let Tell::Deliver { queued, .. } = queued(0, offset) else { unreachable!() };
            self.tell(connection, Tell::Deliver { session: key, queued });
        }
    }

    fn tell(&mut self, connection: ConnectionId, tell: Tell) {
        self.down.push_back(Downstream::Tell { connection, tell });
    }

    fn ask(&mut self, number: u64, ask: Ask) {
        assert!(self.last_on_stream.is_none_or(|last| number > last), "asks come in order");
        self.last_on_stream = Some(number);
        let is_new = number > self.asked;
        if is_new {
            assert_eq!(number, self.asked + 1, "asks are dense");
            self.asked = number;
        }
        self.answer(is_new, ask);
        let upto = AskNumber(self.asked);
        self.down.push_back(Downstream::Asked { upto });
    }

    fn answer(&mut self, is_new: bool, ask: Ask) {
        let key = match &ask {
            Ask::Open(open) => return self.open(is_new, open.connection),
            Ask::Claim { open, .. } => return self.claim(is_new, open.connection),
            Ask::Subscribe { session, .. }
            | Ask::Progress { session, .. }
            | Ask::Close { session, .. } => *session,
            other => panic!("{other:?}"),
        };
        let Some(session) = self.sessions.get(&key) else {
            assert!(!is_new, "{ask:?} of a session that ended");
            return;
        };
        let connection = session.connection;
        match ask {
            Ask::Subscribe { ticket, .. } => {
                if is_new {
                    self.done.push((key, format!("subscribe {ticket}")));
                }
                let granted = Granted { qos: Qos::AtLeastOnce, retained: vec![], unqueued: vec![] };
                let granted = vec![Ok(granted)];
                self.tell(connection, Tell::Subscribed { session: key, ticket, granted });
            }
            Ask::Progress { progress, .. } => {
                assert!(is_new, "it has no answer");
                let words = |offset: &Offset| (key, format!("acknowledge {}", offset.message));
                self.done.extend(progress.acknowledged.iter().map(words));
            }
            _ => {
                assert!(is_new, "it has no answer");
                self.done.push((key, "close".into()));
                self.sessions.remove(&key);
            }
        }
    }

    /// Every other claim is refused, as if its client were connected elsewhere.
    fn claim(&mut self, is_new: bool, connection: ConnectionId) {
        let is_refused = is_new && connection.0.is_multiple_of(2);
        self.open(is_new && !is_refused, connection);
        if !self.sessions.values().any(|session| session.connection == connection) {
            let reason = RefuseReason::Unavailable;
            self.tell(connection, Tell::OpenRefused { connection, reason });
        }
    }

    fn open(&mut self, is_new: bool, connection: ConnectionId) {
        if is_new {
            let id = SessionId(self.next_session);
            let key = SessionKey { id, epoch: SessionEpoch(1) };
            self.next_session += 1;
            let session = Session { connection, last: BEGINNING, is_live: true };
            self.sessions.insert(key, session);
        }
        let of = self.sessions.iter().find(|(_, session)| session.connection == connection);
        let Some((&key, _)) = of else { return };
        let backlog = PageEnd::Live(Offset::new(BEGINNING));
        self.tell(
            connection,
            Tell::Opened(Opened { session: key, backlog, ..opened(connection.0) }),
        );
        self.sessions.get_mut(&key).unwrap().is_live = true;
        self.give(key, BEGINNING);
    }
}
