//! All messages that were published, by publisher and by topic.

use std::collections::BTreeMap;

use ha_types::Qos;

use crate::event::{At, Name, Retain};

/// No Message Expiry Interval.
const NO_EXPIRY: u32 = u32::MAX;

/// A message by its place among those of its publisher, in the order of their first attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MessageRef {
    pub(crate) publisher: Name,
    pub(crate) index: u32,
}

/// What is known of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message {
    pub(crate) number: u32,
    pub(crate) topic: Name,
    /// The first attempt to publish it.
    pub(crate) first_at: At,
    /// The last one.
    pub(crate) last_at: At,
    /// The first acknowledgement, or never.
    pub(crate) acknowledged_at: At,
    expires_s: u32,
    /// How many messages its attempts make for MQTT: a retry of QoS 1 is a new one.
    pub(crate) copies: u16,
    pub(crate) qos: Qos,
    pub(crate) retain: Retain,
}

impl Message {
    pub(crate) fn is_acknowledged(&self) -> bool {
        self.acknowledged_at != At::NEVER
    }

    /// In seconds.
    pub(crate) fn expiry(&self) -> Option<u32> {
        (self.expires_s != NO_EXPIRY).then_some(self.expires_s)
    }
}

/// One attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    pub(crate) number: u32,
    pub(crate) topic: Name,
    pub(crate) qos: Qos,
    pub(crate) retain: Retain,
    pub(crate) expires_s: Option<u32>,
}

/// What an attempt is, if it is not the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// A message of its own.
    Copy,
    /// The same exchange of QoS 2.
    SameExchange,
}

#[derive(Debug, Default)]
struct Publisher {
    messages: Vec<Message>,
    /// The places of messages whose number is not what counting from the first would give.
    irregular: BTreeMap<u32, u32>,
}

impl Publisher {
    fn counted(&self, number: u32) -> Option<u32> {
        let first = self.messages.first()?.number;
        number.checked_sub(first)
    }

    fn index(&self, number: u32) -> Option<u32> {
        let counted = self.counted(number).filter(|&counted| {
            self.messages.get(counted as usize).is_some_and(|found| found.number == number)
        });
        counted.or_else(|| self.irregular.get(&number).copied())
    }
}

/// The messages of a topic, in the order of their first attempts.
#[derive(Debug, Default)]
pub(crate) struct Topic {
    pub(crate) all: Vec<MessageRef>,
    /// Those that change what is retained.
    pub(crate) retained: Vec<MessageRef>,
}

/// All messages. 28 bytes each, and 8 in its topic (16 when retained).
#[derive(Debug)]
pub(crate) struct Published {
    publishers: Vec<Publisher>,
    topics: Vec<Topic>,
    used_topics: Vec<Name>,
}

impl Published {
    /// For so many names.
    pub(crate) fn new(names: usize) -> Self {
        let publishers = std::iter::repeat_with(Publisher::default).take(names).collect();
        let topics = std::iter::repeat_with(Topic::default).take(names).collect();
        Self { publishers, topics, used_topics: Vec::new() }
    }

    pub(crate) fn find(&self, publisher: Name, number: u32) -> Option<MessageRef> {
        let index = self.publishers[publisher.index()].index(number)?;
        Some(MessageRef { publisher, index })
    }

    pub(crate) fn message(&self, message: MessageRef) -> &Message {
        &self.publishers[message.publisher.index()].messages[message.index as usize]
    }

    fn message_mut(&mut self, message: MessageRef) -> &mut Message {
        &mut self.publishers[message.publisher.index()].messages[message.index as usize]
    }

    /// Topics that somebody published to.
    pub(crate) fn used_topics(&self) -> &[Name] {
        &self.used_topics
    }

    pub(crate) fn topic(&self, topic: Name) -> &Topic {
        &self.topics[topic.index()]
    }

    /// The messages of a topic whose first attempt came after `since`.
    pub(crate) fn since(&self, topic: Name, since: At) -> &[MessageRef] {
        let all = &self.topic(topic).all;
        let first = all.partition_point(|&message| self.message(message).first_at <= since);
        &all[first..]
    }

    /// The first attempt of a message.
    pub(crate) fn add(&mut self, publisher: Name, at: At, attempt: Attempt) -> MessageRef {
        let Attempt { number, topic, qos, retain, expires_s } = attempt;
        let known = &mut self.publishers[publisher.index()];
        let index = u32::try_from(known.messages.len()).expect("no more than events");
        if index > 0 && known.counted(number) != Some(index) {
            known.irregular.insert(number, index);
        }
        let expires_s = expires_s.unwrap_or(NO_EXPIRY);
        let (first_at, last_at, acknowledged_at) = (at, at, At::NEVER);
        let copies = 1;
        known.messages.push(Message {
            number,
            topic,
            first_at,
            last_at,
            acknowledged_at,
            expires_s,
            copies,
            qos,
            retain,
        });
        let message = MessageRef { publisher, index };
        self.file(topic, message, retain);
        message
    }

    fn file(&mut self, topic: Name, message: MessageRef, retain: Retain) {
        let of = &mut self.topics[topic.index()];
        if of.all.is_empty() {
            self.used_topics.push(topic);
        }
        of.all.push(message);
        if retain != Retain::No {
            of.retained.push(message);
        }
    }

    /// Another attempt.
    pub(crate) fn retry(&mut self, message: MessageRef, at: At, retry: Retry) {
        let message = self.message_mut(message);
        message.last_at = at;
        if retry == Retry::Copy {
            message.copies = message.copies.saturating_add(1);
        }
    }

    /// Whether a message had changed what is retained by then, or never will. One of QoS 0 has no
    /// acknowledgement, and may wait on its way; a later one of its publisher does not overtake it.
    pub(crate) fn is_settled(&self, reference: MessageRef, by: At) -> bool {
        let messages = &self.publishers[reference.publisher.index()].messages;
        let from = &messages[reference.index as usize..];
        match from[0].qos {
            Qos::AtMostOnce => from.iter().any(|later| later.acknowledged_at < by),
            Qos::AtLeastOnce | Qos::ExactlyOnce => from[0].acknowledged_at < by,
        }
    }

    /// An acknowledgement; says whether it is the first.
    pub(crate) fn acknowledge(&mut self, message: MessageRef, at: At) -> bool {
        let message = self.message_mut(message);
        let is_first = !message.is_acknowledged();
        message.acknowledged_at = message.acknowledged_at.min(at);
        is_first
    }
}
