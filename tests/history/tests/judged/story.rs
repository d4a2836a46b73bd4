//! Histories written as stories: one line, one event.

use ha_types::Qos;
use history::{
    Event, History, Kind, NEVER_EXPIRES, Present, Retain, RetainedWanted, Start, Step, Verdict,
    What,
};

pub(crate) const Q0: Qos = Qos::AtMostOnce;
pub(crate) const Q1: Qos = Qos::AtLeastOnce;
pub(crate) const Q2: Qos = Qos::ExactlyOnce;

type Deed = What<String>;

/// A history that is being written.
#[derive(Default)]
pub(crate) struct Story(History);

impl Story {
    /// `who` did or saw something on a connection.
    #[must_use]
    pub(crate) fn then(mut self, who: &str, connection: u32, what: Deed) -> Self {
        self.0.push_named(Event { who: who.into(), connection, what });
        self
    }

    /// CONNECT and CONNACK, for a session that never expires.
    #[must_use]
    pub(crate) fn connects(self, who: &str, connection: u32, session: Present) -> Self {
        let start = Start::Resume;
        self.then(who, connection, What::Connecting { start, expires_s: NEVER_EXPIRES }).then(
            who,
            connection,
            What::Connected { session },
        )
    }

    /// The same for a session that ends with its connection.
    #[must_use]
    pub(crate) fn connects_ephemeral(self, who: &str, connection: u32) -> Self {
        let start = Start::Clean;
        self.then(who, connection, What::Connecting { start, expires_s: 0 }).then(
            who,
            connection,
            What::Connected { session: Present::New },
        )
    }

    #[must_use]
    pub(crate) fn closed(self, who: &str, connection: u32) -> Self {
        self.then(who, connection, What::Closed)
    }

    /// The connection is lost and the session goes on, on the next one.
    #[must_use]
    pub(crate) fn reconnects(self, who: &str, old: u32) -> Self {
        self.closed(who, old).connects(who, old + 1, Present::Present)
    }

    /// SUBSCRIBE, with defaults.
    #[must_use]
    pub(crate) fn asks(self, who: &str, connection: u32, filter: &str, qos: Qos) -> Self {
        self.then(who, connection, subscribing(filter, qos))
    }

    /// SUBACK.
    #[must_use]
    pub(crate) fn granted(self, who: &str, connection: u32, filter: &str, qos: Qos) -> Self {
        self.then(who, connection, subscribed(filter, Some(qos)))
    }

    /// SUBSCRIBE and SUBACK.
    #[must_use]
    pub(crate) fn subscribes(self, who: &str, connection: u32, filter: &str, qos: Qos) -> Self {
        self.asks(who, connection, filter, qos).granted(who, connection, filter, qos)
    }

    #[must_use]
    pub(crate) fn publishes(
        self,
        who: &str,
        connection: u32,
        number: u32,
        topic: &str,
        qos: Qos,
    ) -> Self {
        self.then(who, connection, publishing(number, topic, qos))
    }

    /// PUBACK, or PUBREC for QoS 2.
    #[must_use]
    pub(crate) fn acked(self, who: &str, connection: u32, number: u32, qos: Qos) -> Self {
        let step = if qos == Q2 { Step::Pubrec } else { Step::Puback };
        self.then(who, connection, What::Acknowledged { number, step })
    }

    /// PUBLISH and its answer.
    #[must_use]
    pub(crate) fn publishes_acked(
        self,
        who: &str,
        on: u32,
        number: u32,
        topic: &str,
        qos: Qos,
    ) -> Self {
        self.publishes(who, on, number, topic, qos).acked(who, on, number, qos)
    }

    /// A delivery of `p`'s message, which is not acknowledged.
    #[must_use]
    pub(crate) fn gets(
        self,
        who: &str,
        connection: u32,
        number: u32,
        topic: &str,
        qos: Qos,
    ) -> Self {
        self.then(who, connection, delivered("p", number, topic, qos))
    }

    /// The same, and acknowledges it.
    #[must_use]
    pub(crate) fn gets_acked(self, who: &str, on: u32, number: u32, topic: &str, qos: Qos) -> Self {
        self.gets(who, on, number, topic, qos).acks(who, on, number, qos)
    }

    /// The client acknowledges a delivery of `p`'s message to the end.
    #[must_use]
    pub(crate) fn acks(self, who: &str, connection: u32, number: u32, qos: Qos) -> Self {
        let step = if qos == Q2 { Step::Pubcomp } else { Step::Puback };
        let packet_id = packet_id(number);
        self.then(who, connection, What::DeliveryAcknowledged { packet_id, step })
    }

    #[must_use]
    pub(crate) fn drained(self, who: &str, connection: u32) -> Self {
        self.then(who, connection, What::Drained)
    }

    #[must_use]
    pub(crate) fn fault(self, process: &str) -> Self {
        self.then(process, 0, What::Fault)
    }

    pub(crate) fn verdict(&self) -> Verdict {
        self.0.check()
    }

    pub(crate) fn history(self) -> History {
        self.0
    }

    #[track_caller]
    pub(crate) fn passes(self) -> Verdict {
        let verdict = self.verdict();
        assert!(verdict.is_clean(), "{verdict}");
        verdict
    }

    /// There is one violation, of this kind, and its proof is not empty.
    #[track_caller]
    pub(crate) fn fails_with(self, kind: Kind) -> Verdict {
        let verdict = self.verdict();
        assert_eq!(verdict.totals, [(kind, 1)], "{verdict}");
        assert!(!verdict.violations[0].proof.is_empty(), "{verdict}");
        verdict
    }
}

pub(crate) fn packet_id(number: u32) -> u16 {
    u16::try_from(number + 1).unwrap()
}

pub(crate) fn subscribing(filter: &str, qos: Qos) -> Deed {
    let (filter, retained) = (filter.into(), RetainedWanted::Always);
    What::Subscribing { filter, qos, retained, no_local: false, as_published: false }
}

pub(crate) fn subscribed(filter: &str, granted: Option<Qos>) -> Deed {
    What::Subscribed { filter: filter.into(), granted }
}

pub(crate) fn publishing(number: u32, topic: &str, qos: Qos) -> Deed {
    let (topic, retain, dup) = (topic.into(), Retain::No, false);
    What::Publishing { number, topic, qos, retain, dup, expires_s: None }
}

pub(crate) fn retained(number: u32, topic: &str, kept: Retain) -> Deed {
    let (topic, qos, dup) = (topic.into(), Q1, false);
    What::Publishing { number, topic, qos, retain: kept, dup, expires_s: None }
}

pub(crate) fn expiring(number: u32, topic: &str, seconds: u32) -> Deed {
    let (topic, qos, retain, dup) = (topic.into(), Q1, Retain::No, false);
    What::Publishing { number, topic, qos, retain, dup, expires_s: Some(seconds) }
}

pub(crate) fn delivered(publisher: &str, number: u32, topic: &str, qos: Qos) -> Deed {
    let (publisher, topic) = (publisher.into(), topic.into());
    let packet_id = if qos == Q0 { 0 } else { packet_id(number) };
    What::Delivered { publisher, number, topic, qos, dup: false, retain: false, packet_id }
}

/// With DUP.
pub(crate) fn again(what: Deed) -> Deed {
    match what {
        What::Delivered { publisher, number, topic, qos, retain, packet_id, .. } => {
            What::Delivered { publisher, number, topic, qos, dup: true, retain, packet_id }
        }
        What::Publishing { number, topic, qos, retain, expires_s, .. } => {
            What::Publishing { number, topic, qos, retain, dup: true, expires_s }
        }
        other => panic!("{other:?} has no DUP"),
    }
}

/// With RETAIN.
pub(crate) fn kept(what: Deed) -> Deed {
    match what {
        What::Delivered { publisher, number, topic, qos, dup, packet_id, .. } => {
            What::Delivered { publisher, number, topic, qos, dup, retain: true, packet_id }
        }
        other => panic!("{other:?} is no delivery"),
    }
}

/// `p` is connected, `s` has a durable session and is subscribed to `a` at this QoS.
pub(crate) fn subscribed_to_a(qos: Qos) -> Story {
    let story = Story::default().connects("p", 1, Present::New).connects("s", 1, Present::New);
    story.subscribes("s", 1, "a", qos)
}
