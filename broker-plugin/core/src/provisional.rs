//! Retained messages that clients of this broker published and ha-server has not ordered yet.
//!
//! A client sees at once what it published. One message per topic, the last. It goes when ha-server
//! has said what came of it, by the result of its publish or by an ordered change of its topic; one
//! of which nothing will be said goes with the next complete transfer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ha_types::retained::Refused;
use ha_types::{ClusterMillis, Message, PublishNumber, TopicFilter, TopicName};

/// What becomes of a message on its way to ha-server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The result of this number will tell; without one, the next change of the topic.
    OnItsWay(Option<PublishNumber>),
    /// Dropped, or gone with its stream, or its result is.
    Lost,
}

#[derive(Clone, Debug)]
struct Entry {
    /// With an empty payload: a clear.
    message: Arc<Message>,
    fate: Fate,
}

/// Bounded in topics, clears included, and bytes.
#[derive(Clone, Debug)]
pub(crate) struct Provisional {
    topics: BTreeMap<TopicName, Entry>,
    bytes: usize,
    topics_max: usize,
    bytes_max: usize,
}

impl Provisional {
    pub(crate) fn new(topics_max: usize, bytes_max: usize) -> Self {
        Self { topics: BTreeMap::new(), bytes: 0, topics_max, bytes_max }
    }

    /// Shows a message, or hides with an empty one what is below. When there is no room, what was
    /// shown before stays.
    pub(crate) fn put(&mut self, message: &Message, fate: Fate) -> Result<(), Refused> {
        let old = self.topics.get(&message.topic).map(|old| old.message.size());
        let bytes = self.bytes - old.unwrap_or(0) + message.size();
        let topics = self.topics.len() + usize::from(old.is_none());
        if topics > self.topics_max || bytes > self.bytes_max {
            return Err(Refused::Full);
        }
        let message = Arc::new(message.detached());
        self.bytes = bytes;
        self.topics.insert(message.topic.clone(), Entry { message, fate });
        Ok(())
    }

    /// A result came: what is below is as new.
    pub(crate) fn answered(&mut self, topic: &TopicName, number: PublishNumber) {
        self.remove_if(topic, |fate| fate == Fate::OnItsWay(Some(number)));
    }

    /// The topic was changed by ha-server: nothing else will come of what has no number.
    pub(crate) fn ordered(&mut self, topic: &TopicName) {
        self.remove_if(topic, |fate| !matches!(fate, Fate::OnItsWay(Some(_))));
    }

    /// A new stream: only these publishes are still on their way.
    pub(crate) fn lose_all_but(&mut self, sent: &BTreeSet<(&TopicName, Option<PublishNumber>)>) {
        for (topic, entry) in &mut self.topics {
            match entry.fate {
                Fate::OnItsWay(number) if sent.contains(&(topic, number)) => (),
                Fate::OnItsWay(_) | Fate::Lost => entry.fate = Fate::Lost,
            }
        }
    }

    /// A transfer is complete: it told what came of the lost ones.
    pub(crate) fn remove_lost(&mut self) {
        let lost = self.topics.extract_if(.., |_, entry| entry.fate == Fate::Lost);
        self.bytes -= lost.map(|(_, entry)| entry.message.size()).sum::<usize>();
    }

    /// Whether the ordered message of this topic is not to be shown.
    pub(crate) fn hides(&self, topic: &TopicName) -> bool {
        self.topics.contains_key(topic)
    }

    pub(crate) fn matching<'a>(
        &'a self,
        filter: &'a TopicFilter,
        now: ClusterMillis,
    ) -> impl Iterator<Item = &'a Arc<Message>> {
        let messages = self.topics.values().map(|entry| &entry.message);
        let shown = move |m: &&Arc<Message>| !m.payload.is_empty() && !m.is_expired(now);
        messages.filter(shown).filter(|message| filter.matches(&message.topic))
    }

    /// Panics when an invariant is broken.
    pub(crate) fn check_invariants(&self) {
        let sizes = self.topics.values().map(|entry| entry.message.size());
        assert_eq!(self.bytes, sizes.sum::<usize>(), "bytes agree with the messages");
        assert!(self.topics.len() <= self.topics_max && self.bytes <= self.bytes_max);
    }

    fn remove_if(&mut self, topic: &TopicName, is_gone: impl Fn(Fate) -> bool) {
        if self.topics.get(topic).is_some_and(|entry| is_gone(entry.fate)) {
            let entry = self.topics.remove(topic).expect("just found");
            self.bytes -= entry.message.size();
        }
    }
}
