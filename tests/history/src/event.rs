//! What clients see of a cluster, as values.
//!
//! An event has no time of its own: its place among all events is the order of observation. What a
//! client sends is recorded *before* it is sent, what it receives *after* it was received. So when
//! an answer stands before a request in the history, the request was sent after the answer came.

use std::fmt;

use ha_types::Qos;
use serde::{Deserialize, Serialize};

/// A client, a topic, a filter or a process by its number in [`Names`](crate::Names).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(pub(crate) u32);

impl Name {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// The place of an event among all: 0 is the first that was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct At(pub u32);

impl At {
    /// After every event.
    pub(crate) const NEVER: Self = Self(u32::MAX);
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// A session that never expires; the MQTT value of Session Expiry Interval, in seconds.
pub const NEVER_EXPIRES: u32 = u32::MAX;

/// Something that somebody did or saw. `N` is [`Name`] in memory and `String` in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event<N = Name> {
    /// The client, by its MQTT client id; of a [`Fault`](What::Fault) the process.
    pub who: N,
    /// The client's connection; the numbers of one client grow with each CONNECT. 0 where there is
    /// none.
    pub connection: u32,
    /// What happened.
    pub what: What<N>,
}

/// What happened. "About to" events are recorded before the packet is sent, others after it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What<N = Name> {
    /// About to send CONNECT. What began with this ends with [`Closed`](Self::Closed), also when no
    /// answer came.
    Connecting {
        /// Clean Start, or Clean Session of 3.1.1.
        start: Start,
        /// Session Expiry Interval in seconds: 0 ends the session with the connection, as Clean
        /// Session 1 of 3.1.1 does; [`NEVER_EXPIRES`] for Clean Session 0.
        expires_s: u32,
    },
    /// CONNACK with success came.
    Connected {
        /// Its Session Present.
        session: Present,
    },
    /// About to send DISCONNECT.
    Closing {
        /// The Session Expiry Interval in it, if there is one.
        expires_s: Option<u32>,
    },
    /// The connection is gone, whoever ended it, and nothing more will be read from it.
    Closed,
    /// About to send SUBSCRIBE; one event for each filter in it.
    Subscribing {
        /// The filter, also of the form `$share/NAME/FILTER`.
        filter: N,
        /// The most that the client asks for.
        #[serde(with = "crate::line::level")]
        qos: Qos,
        /// Retain Handling.
        retained: RetainedWanted,
        /// No Local.
        no_local: bool,
        /// Retain As Published.
        as_published: bool,
    },
    /// SUBACK came; one event for each filter.
    Subscribed {
        /// The filter.
        filter: N,
        /// What was granted; `None` when it was refused.
        #[serde(with = "crate::line::granted")]
        granted: Option<Qos>,
    },
    /// About to send UNSUBSCRIBE; one event for each filter.
    Unsubscribing {
        /// The filter.
        filter: N,
    },
    /// About to send PUBLISH. A retry repeats the number. A will is recorded so with its CONNECT.
    Publishing {
        /// The publisher's number for the message: never used for another, best counted from 0.
        number: u32,
        /// Where to.
        topic: N,
        /// How.
        #[serde(with = "crate::line::level")]
        qos: Qos,
        /// RETAIN, and whether the payload is empty.
        retain: Retain,
        /// DUP.
        dup: bool,
        /// Message Expiry Interval in seconds.
        expires_s: Option<u32>,
    },
    /// PUBACK, PUBREC or PUBCOMP came with a reason below 0x80. Refusals are not recorded.
    Acknowledged {
        /// The number of the message.
        number: u32,
        /// Which packet.
        step: Step,
    },
    /// A PUBLISH came. Each packet is recorded, also when the client takes it for a repetition.
    Delivered {
        /// Who published the message.
        publisher: N,
        /// Its number at its publisher.
        number: u32,
        /// The topic in the packet.
        topic: N,
        /// The QoS in the packet.
        #[serde(with = "crate::line::level")]
        qos: Qos,
        /// DUP.
        dup: bool,
        /// RETAIN.
        retain: bool,
        /// 0 at QoS 0.
        packet_id: u16,
    },
    /// About to send PUBACK, PUBREC or PUBCOMP. A refusing PUBREC is recorded as PUBCOMP, because it
    /// ends the exchange.
    DeliveryAcknowledged {
        /// Of the delivery.
        packet_id: u16,
        /// Which packet.
        step: Step,
    },
    /// Everything that was acknowledged to anybody is expected to have arrived here: the publishers
    /// have stopped, and the client waited long enough. Only drained clients can have lost anything.
    Drained,
    /// The queue of this client's session may have overflowed: what was published before this event
    /// and is missing is excused.
    QueueFull,
    /// The process `who` was killed, restarted, stopped or cut off. Recorded before it is done.
    Fault,
    /// Declared before what it concerns: the history takes at most so many seconds. Without it,
    /// every message and session with a finite expiry is taken to have expired.
    LastsAtMost {
        /// A bound, in seconds of cluster time.
        seconds: u32,
    },
}

/// Whether a CONNECT asks for a new session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// What was before is discarded.
    Clean,
    /// An existing session goes on.
    Resume,
}

/// Session Present of a CONNACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Present {
    /// 1: the session goes on.
    Present,
    /// 0: it is new.
    New,
}

/// Retain Handling of a SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetainedWanted {
    /// 0, and always with 3.1.1.
    Always,
    /// 1: when the subscription did not exist.
    IfNew,
    /// 2.
    Never,
}

/// RETAIN of a published message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retain {
    /// RETAIN is 0.
    No,
    /// It becomes the retained message of its topic.
    Keep,
    /// Its payload is empty: it removes the retained message of its topic.
    Clear,
}

/// An acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words of MQTT")]
pub enum Step {
    Puback,
    Pubrec,
    Pubcomp,
}

impl<N> Event<N> {
    /// The same event with other names.
    pub fn rename<M>(self, mut to: impl FnMut(N) -> M) -> Event<M> {
        let who = to(self.who);
        Event { who, connection: self.connection, what: self.what.rename(to) }
    }
}

impl<N> What<N> {
    fn rename<M>(self, mut to: impl FnMut(N) -> M) -> What<M> {
        match self {
            Self::Connecting { start, expires_s } => What::Connecting { start, expires_s },
            Self::Connected { session } => What::Connected { session },
            Self::Closing { expires_s } => What::Closing { expires_s },
            Self::Closed => What::Closed,
            Self::Subscribing { filter, qos, retained, no_local, as_published } => {
                What::Subscribing { filter: to(filter), qos, retained, no_local, as_published }
            }
            Self::Subscribed { filter, granted } => {
                What::Subscribed { filter: to(filter), granted }
            }
            Self::Unsubscribing { filter } => What::Unsubscribing { filter: to(filter) },
            Self::Publishing { number, topic, qos, retain, dup, expires_s } => {
                What::Publishing { number, topic: to(topic), qos, retain, dup, expires_s }
            }
            Self::Acknowledged { number, step } => What::Acknowledged { number, step },
            Self::Delivered { publisher, number, topic, qos, dup, retain, packet_id } => {
                let (publisher, topic) = (to(publisher), to(topic));
                What::Delivered { publisher, number, topic, qos, dup, retain, packet_id }
            }
            Self::DeliveryAcknowledged { packet_id, step } => {
                What::DeliveryAcknowledged { packet_id, step }
            }
            Self::Drained => What::Drained,
            Self::QueueFull => What::QueueFull,
            Self::Fault => What::Fault,
            Self::LastsAtMost { seconds } => What::LastsAtMost { seconds },
        }
    }
}
