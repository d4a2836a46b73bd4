//! One client, and the engine's end of its connection.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ha_types::session::{
    CloseCause, ConnectionId, Lifetime, Offset, Opened, PacketId, Progress, Queued, RecordStage,
};
use ha_types::{Qos, Subscription};

use crate::common::{Link, subscription};

/// Milliseconds that a session of [`Kind::Seconds`] outlives its connection.
const LASTS_MS: u64 = 2_000;

/// How long a session lasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    #[default]
    Ephemeral,
    Seconds,
    Forever,
}

impl Kind {
    pub(super) fn lifetime(self) -> Lifetime {
        match self {
            Self::Ephemeral => Lifetime::Connection,
            Self::Seconds => Lifetime::Seconds(2),
            Self::Forever => Lifetime::Unlimited,
        }
    }

    /// When a session ends whose connection ends now.
    fn ends_at(self, now: u64) -> Option<u64> {
        match self {
            Self::Ephemeral => Some(now),
            Self::Seconds => Some(now + LASTS_MS),
            Self::Forever => None,
        }
    }
}

/// What a CONNECT says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connect {
    pub(crate) is_clean: bool,
    pub(crate) kind: Kind,
    pub(crate) will_delay_s: Option<u32>,
}

/// A CONNECT that is not answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening {
    pub(super) connect: Connect,
    /// Its number and its delay in seconds.
    pub(super) will: Option<(u64, u32)>,
}

/// What a client has to answer.
#[derive(Debug)]
pub(super) enum Packet {
    Qos1(Offset, PacketId),
    Qos2(PacketId),
    Pubrel(PacketId),
}

/// The engine's end: gone with the connection.
#[derive(Debug, Default)]
pub(super) struct Engine {
    pub(super) sent: VecDeque<Packet>,
    pub(super) in_flight: BTreeSet<PacketId>,
    /// Numbers of QoS 1 messages whose PUBACK the holder does not know of.
    pub(super) unreported: BTreeMap<Offset, u64>,
    pub(super) progress: Progress,
}

impl Engine {
    pub(super) fn take_progress(&mut self) -> Progress {
        let progress = std::mem::take(&mut self.progress);
        for offset in &progress.acknowledged {
            self.unreported.remove(offset);
        }
        progress
    }

    pub(super) fn recorded(&mut self, received: &[PacketId], completed: &[PacketId]) {
        self.sent.extend(received.iter().map(|id| Packet::Pubrel(*id)));
        completed.iter().for_each(|id| assert!(self.in_flight.remove(id)));
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Client {
    pub(super) link: Option<Link>,
    pub(super) is_evicted: bool,
    pub(super) pending: Option<(ConnectionId, Opening)>,
    pub(super) engine: Engine,
    kind: Kind,
    will: Option<(u64, u32)>,
    /// Number, and when it must be published.
    pub(super) will_due: Option<(u64, u64)>,
    /// In this step its session ended by a clean start.
    pub(super) was_just_cleaned: bool,
    exists: bool,
    ends_at: Option<u64>,
    /// Whether what is published is queued for it.
    pub(super) is_durable: bool,
    pub(super) session: Session,
}

/// What lasts as long as the session, on both sides.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) subscriptions: BTreeMap<&'static str, u32>,
    /// Numbers and QoS of what must come, in order.
    pub(super) expected: Vec<(u64, Qos)>,
    /// Numbers of what the application got, in order.
    pub(super) seen: Vec<u64>,
    /// QoS 1 messages that may come again.
    pub(super) may_repeat: BTreeSet<u64>,
    /// Of QoS 2 messages between PUBREC and PUBREL.
    pub(super) received: BTreeSet<PacketId>,
    /// QoS 2 publishes before PUBREL.
    pub(super) unreleased: VecDeque<(PacketId, &'static str, u64)>,
}

impl Client {
    pub(super) fn has(&self, connection: ConnectionId) -> bool {
        let link = self.link.map(|link| link.connection);
        let pending = self.pending.map(|(pending, _)| pending);
        link == Some(connection) || pending == Some(connection)
    }

    pub(super) fn has_session(&self, now: u64) -> bool {
        self.exists && self.ends_at.is_none_or(|at| now < at)
    }

    /// The connection is gone.
    pub(super) fn disconnected(&mut self, now: u64, cause: CloseCause) {
        let engine = std::mem::take(&mut self.engine);
        self.session.may_repeat.extend(engine.unreported.values());
        (self.link, self.is_evicted) = (None, false);
        self.ends_at = self.kind.ends_at(now);
        let will = self.will.take().filter(|_| cause != CloseCause::Disconnect);
        self.will_due = will.map(|(number, delay_s)| {
            let due = now + u64::from(delay_s) * 1_000;
            (number, self.ends_at.map_or(due, |at| at.min(due)))
        });
        if self.ends_at == Some(now) {
            self.end();
        }
    }

    fn end(&mut self) {
        self.exists = false;
        self.session = Session::default();
    }

    /// Returns what must be sent again.
    pub(super) fn opened(&mut self, opened: Opened, now: u64) -> Vec<Queued> {
        assert_eq!(self.link, None, "a client identifier has one owner");
        let (connection, Opening { connect, will }) =
            self.pending.take().expect("it was asked for");
        assert_eq!(connection, opened.connection, "the newest gets it");
        let is_present = self.has_session(now) && !connect.is_clean;
        assert_eq!(opened.is_present, is_present);
        self.was_just_cleaned = connect.is_clean && self.has_session(now);
        // A resumed session's will is dropped, unless it is due in this very step.
        self.will_due = self.will_due.filter(|(_, due)| !is_present || *due == now);
        if !is_present {
            self.end();
            self.is_durable = connect.kind != Kind::Ephemeral;
        }
        (self.exists, self.ends_at) = (true, None);
        (self.kind, self.will) = (connect.kind, will);
        self.link = Some(Link { connection, session: opened.session });
        self.check_known(&opened);
        let mut again = Vec::new();
        for record in opened.records {
            match record.stage {
                RecordStage::Sent(queued) => again.push(queued),
                RecordStage::Received => {
                    assert!(self.engine.in_flight.insert(record.packet_id));
                    self.engine.sent.push_back(Packet::Pubrel(record.packet_id));
                }
            }
        }
        again
    }

    fn check_known(&self, opened: &Opened) {
        let known: BTreeSet<Subscription> =
            opened.subscriptions.iter().map(|options| options.subscription.clone()).collect();
        let expected = self.session.subscriptions.keys().map(|filter| subscription(filter));
        assert_eq!(known, expected.collect());
        let inbound: BTreeSet<PacketId> = opened.inbound.iter().copied().collect();
        assert_eq!(inbound, self.session.unreleased.iter().map(|(id, ..)| *id).collect());
    }
}

impl Client {
    pub(super) fn has_progress(&self) -> bool {
        self.engine.progress != Progress::default()
    }
}
