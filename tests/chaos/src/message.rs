//! What publishers send, and how a subscriber knows it again.

use bytes::Bytes;
use ha_types::{Qos, TopicName};
use history::Retain;

use crate::random::Random;

/// An expiry interval of messages and sessions that no run outlives, in seconds.
pub const LONG_EXPIRY_S: u32 = 86_400;

/// Message Expiry Interval that a restart outlives, in seconds.
const SHORT_EXPIRY_S: u32 = 2;

/// Topics of each kind; every publisher sends to all of them.
const TOPICS: u64 = 4;

/// One message of a publisher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Counted from 0 at its publisher.
    pub number: u32,
    /// Where to.
    pub topic: TopicName,
    /// How.
    pub qos: Qos,
    /// RETAIN, and whether there is a payload.
    pub retain: Retain,
    /// Message Expiry Interval.
    pub expires_s: Option<u32>,
}

/// Which messages a publisher sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kinds {
    /// All that its version of MQTT has.
    WithExpiry,
    /// Without expiry: 3.1.1.
    WithoutExpiry,
}

impl Message {
    /// The next message of a publisher: most are live, one in six is retained, few remove.
    pub fn draw(random: &mut Random, number: u32, kinds: Kinds) -> Self {
        let topic = random.between(1, TOPICS);
        if random.once_in(6) {
            return Self::retained(random, number, topic, kinds);
        }
        let qos = random.pick(&[
            Qos::AtMostOnce,
            Qos::AtLeastOnce,
            Qos::AtLeastOnce,
            Qos::ExactlyOnce,
            Qos::ExactlyOnce,
        ]);
        let expires_s = match kinds {
            Kinds::WithExpiry if random.once_in(8) => Some(SHORT_EXPIRY_S),
            Kinds::WithExpiry if random.once_in(8) => Some(LONG_EXPIRY_S),
            Kinds::WithExpiry | Kinds::WithoutExpiry => None,
        };
        let topic = named(&format!("chaos/live/{topic}"));
        Self { number, topic, qos, retain: Retain::No, expires_s }
    }

    fn retained(random: &mut Random, number: u32, topic: u64, kinds: Kinds) -> Self {
        let retain = if random.once_in(10) { Retain::Clear } else { Retain::Keep };
        let qos = random.pick(&[Qos::AtLeastOnce, Qos::ExactlyOnce]);
        let lasts = kinds == Kinds::WithExpiry && retain == Retain::Keep && random.once_in(8);
        let topic = named(&format!("chaos/retained/{topic}"));
        Self { number, topic, qos, retain, expires_s: lasts.then_some(LONG_EXPIRY_S) }
    }

    /// Whether whoever subscribed to it must get it within any run.
    #[must_use]
    pub fn is_owed(&self) -> bool {
        self.qos > Qos::AtMostOnce
            && self.retain != Retain::Clear
            && self.expires_s.is_none_or(|expires_s| expires_s >= LONG_EXPIRY_S)
    }

    /// Its payload: publisher and number; empty when it removes.
    #[must_use]
    pub fn payload(&self, publisher: &str) -> Bytes {
        match self.retain {
            Retain::Clear => Bytes::new(),
            Retain::No | Retain::Keep => format!("{publisher} {}", self.number).into(),
        }
    }
}

fn named(topic: &str) -> TopicName {
    TopicName::parse(Bytes::copy_from_slice(topic.as_bytes())).expect("ours are valid")
}

/// Publisher and number of a payload; `None` when it is none of ours.
#[must_use]
pub fn stamp(payload: &[u8]) -> Option<(&str, u32)> {
    let (publisher, number) = std::str::from_utf8(payload).ok()?.split_once(' ')?;
    Some((publisher, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_says_who_published_it_and_its_number() {
        let message = Message::draw(&mut Random::new(1), 77, Kinds::WithoutExpiry);
        assert_eq!(stamp(&Message { retain: Retain::No, ..message }.payload("p")), Some(("p", 77)));
        for foreign in [&b""[..], b"p", b"p x", b"p -1", b"\xFF 1"] {
            assert_eq!(stamp(foreign), None, "{foreign:?}");
        }
    }

    #[test]
    fn publisher_sends_all_kinds_of_messages() {
        let mut random = Random::new(7);
        let all: Vec<_> =
            (0..500).map(|number| Message::draw(&mut random, number, Kinds::WithExpiry)).collect();
        for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
            assert!(all.iter().any(|message| message.qos == qos));
        }
        for retain in [Retain::No, Retain::Keep, Retain::Clear] {
            assert!(all.iter().any(|message| message.retain == retain));
        }
        for expires_s in [None, Some(SHORT_EXPIRY_S), Some(LONG_EXPIRY_S)] {
            assert!(all.iter().any(|message| message.expires_s == expires_s));
        }
        let mut random = Random::new(7);
        let mut old = (0..500).map(|n| Message::draw(&mut random, n, Kinds::WithoutExpiry));
        assert!(old.all(|message| message.expires_s.is_none()));
    }
}
