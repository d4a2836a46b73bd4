//! Retained messages, ordered by version: the set that ha-server keeps, and each broker's copy.
//!
//! Every change has a [`RetainedVersion`] given by ha-server; the highest version of a topic wins,
//! whatever order changes arrive in, so copies converge. A clear leaves a *tombstone* with its
//! version, so that a copy that missed the clear cannot bring the message back; tombstones are
//! bounded and the oldest go first.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::sync::Arc;

use bytes::Bytes;

use crate::ids::{ClusterMillis, RetainedVersion};
use crate::message::Message;
use crate::topic::{Look, TopicFilter, TopicName};

/// Cleared topics that are remembered. 65,536 tombstones of a 100-byte topic are about 10 MB.
pub const TOMBSTONES_MAX: usize = 65_536;

/// What is known about one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retained {
    /// Version of the last ordered change.
    pub version: RetainedVersion,
    /// The retained message; `None`: cleared.
    pub message: Option<Arc<Message>>,
}

/// Why a change was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The topic already has this version or a higher one.
    #[error("a newer retained message is known")]
    Stale,
    /// The store holds as many messages, or bytes, as it may.
    #[error("the limit of retained messages is reached")]
    Full,
}

/// Retained messages by topic, bounded in number and bytes.
#[derive(Clone, Debug)]
pub struct RetainedStore {
    topics: BTreeMap<TopicName, Retained>,
    /// The cleared topics, oldest first.
    tombstones: BTreeSet<(RetainedVersion, TopicName)>,
    messages: usize,
    bytes: usize,
    messages_max: usize,
    bytes_max: usize,
    version: RetainedVersion,
}

impl RetainedStore {
    /// An empty store for at most `messages_max` messages of together `bytes_max` bytes.
    #[must_use]
    pub fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self {
            topics: BTreeMap::new(),
            tombstones: BTreeSet::new(),
            messages: 0,
            bytes: 0,
            messages_max,
            bytes_max,
            version: RetainedVersion(0),
        }
    }

    /// Number of retained messages; tombstones do not count.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages
    }

    /// Whether there is no retained message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// What is known about one topic.
    #[must_use]
    pub fn get(&self, topic: &TopicName) -> Option<&Retained> {
        self.topics.get(topic)
    }

    /// Bytes of all retained messages, as [`Message::size`] counts them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The highest version that this store has seen.
    #[must_use]
    pub fn version(&self) -> RetainedVersion {
        self.version
    }

    /// Takes an ordered change: a message, or `None` for a clear.
    ///
    /// # Errors
    /// [`Refused::Stale`] when the topic has this version already
    /// or a higher one; [`Refused::Full`] when there is no room. Neither changes anything but
    /// [`version`](Self::version).
    pub fn apply(
        &mut self,
        topic: &TopicName,
        version: RetainedVersion,
        message: Option<Arc<Message>>,
    ) -> Result<(), Refused> {
        self.version = self.version.max(version);
        if self.topics.get(topic).is_some_and(|known| known.version >= version) {
            return Err(Refused::Stale);
        }
        self.put(topic, Retained { version, message })
    }

    /// The messages whose topics match `filter` and that are not expired at `now`, by topic.
    pub fn matching<'a>(
        &'a self,
        filter: &'a TopicFilter,
        now: ClusterMillis,
    ) -> impl Iterator<Item = &'a Arc<Message>> {
        // Sought texts are names, unless they are too long to be one: then the next name is looked at.
        let from = |text: &str| TopicName::parse(Bytes::copy_from_slice(text.as_bytes())).ok();
        let mut range = match from(filter.literal_prefix()) {
            Some(start) => self.topics.range(start..),
            None => self.topics.range(..),
        };
        let found = iter::from_fn(move || {
            loop {
                let (topic, known) = range.next()?;
                match filter.look(topic) {
                    Look::Matches => return Some(known),
                    Look::Next => (),
                    Look::From(text) => {
                        if let Some(start) = from(&text) {
                            range = self.topics.range(start..);
                        }
                    }
                    Look::End => return None,
                }
            }
        });
        let found = found.filter_map(|known| known.message.as_ref());
        found.filter(move |message| !message.is_expired(now))
    }

    /// Everything with a version, tombstones included, from the topic after `after` on.
    pub fn ordered_after(
        &self,
        after: Option<&TopicName>,
    ) -> impl Iterator<Item = (&TopicName, &Retained)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let start = after.map_or(Unbounded, Excluded);
        self.topics.range::<TopicName, _>((start, Unbounded))
    }

    /// Removes what was ordered at or before `upto` and is not in `keep`, without tombstones: what
    /// a complete transfer that began at `upto` did not mention. Returns the topics that had a
    /// message.
    pub fn keep_only(
        &mut self,
        upto: RetainedVersion,
        keep: impl Fn(&TopicName) -> bool,
    ) -> Vec<TopicName> {
        let gone: Vec<_> = self
            .topics
            .iter()
            .filter(|(topic, known)| known.version <= upto && !keep(topic))
            .map(|(topic, known)| (topic.clone(), known.message.is_some()))
            .collect();
        for (topic, _) in &gone {
            self.remove(topic);
        }
        gone.into_iter().filter(|(_, had_message)| *had_message).map(|(topic, _)| topic).collect()
    }

    /// Removes the messages that are expired at `now`, leaving no tombstones: every copy drops
    /// them by itself. Returns their topics, in order.
    pub fn remove_expired(&mut self, now: ClusterMillis) -> Vec<TopicName> {
        let expired = |known: &Retained| known.message.as_ref().is_some_and(|m| m.is_expired(now));
        let topics: Vec<_> = self
            .topics
            .iter()
            .filter(|(_, known)| expired(known))
            .map(|(t, _)| t.clone())
            .collect();
        topics.iter().for_each(|topic| self.remove(topic));
        topics
    }

    fn put(&mut self, topic: &TopicName, new: Retained) -> Result<(), Refused> {
        let size = |retained: &Retained| retained.message.as_ref().map_or(0, |m| m.size());
        let old = self.topics.get(topic);
        let old_count = old.map_or(0, |known| usize::from(known.message.is_some()));
        let messages = self.messages - old_count + usize::from(new.message.is_some());
        let bytes = self.bytes - old.map_or(0, size) + size(&new);
        let grows = messages > self.messages || bytes > self.bytes;
        if grows && (messages > self.messages_max || bytes > self.bytes_max) {
            return Err(Refused::Full);
        }
        self.remove(topic);
        (self.messages, self.bytes) = (messages, bytes);
        if new.message.is_none() {
            self.tombstones.insert((new.version, topic.clone()));
        }
        self.topics.insert(topic.clone(), new);
        self.drop_oldest_tombstones();
        Ok(())
    }

    fn remove(&mut self, topic: &TopicName) {
        let Some(known) = self.topics.remove(topic) else { return };
        match known.message {
            Some(message) => {
                self.messages -= 1;
                self.bytes -= message.size();
            }
            None => {
                self.tombstones.remove(&(known.version, topic.clone()));
            }
        }
    }

    fn drop_oldest_tombstones(&mut self) {
        while self.tombstones.len() > TOMBSTONES_MAX {
            let (_, topic) = self.tombstones.pop_first().expect("not empty");
            self.topics.remove(&topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::message::{Publisher, Qos};

    fn topic(text: &str) -> TopicName {
        TopicName::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    fn message(at: &str, payload: &'static str) -> Arc<Message> {
        Arc::new(Message {
            topic: topic(at),
            payload: Bytes::from_static(payload.as_bytes()),
            properties: Bytes::new(),
            qos: Qos::AtMostOnce,
            retain: true,
            expires_at: None,
            publisher: Publisher::default(),
        })
    }

    fn shown(store: &RetainedStore, filter: &str) -> Vec<String> {
        let filter = TopicFilter::parse(filter.as_bytes()).unwrap();
        let text = |m: &Arc<Message>| String::from_utf8(m.payload.to_vec()).unwrap();
        store.matching(&filter, ClusterMillis(0)).map(text).collect()
    }

    #[test]
    fn highest_version_wins_in_whatever_order_changes_arrive() {
        let mut store = RetainedStore::new(10, 1_000);
        store.apply(&topic("a"), RetainedVersion(2), Some(message("a", "new"))).unwrap();
        let late = store.apply(&topic("a"), RetainedVersion(1), Some(message("a", "old")));
        assert_eq!(late, Err(Refused::Stale));
        assert_eq!(shown(&store, "a"), ["new"]);
    }

    #[test]
    fn clear_is_remembered_against_an_older_copy() {
        let mut store = RetainedStore::new(10, 1_000);
        store.apply(&topic("a"), RetainedVersion(5), None).unwrap();
        let old = store.apply(&topic("a"), RetainedVersion(4), Some(message("a", "old")));
        assert_eq!(old, Err(Refused::Stale));
        assert_eq!((store.len(), shown(&store, "#").len()), (0, 0));
    }

    #[test]
    fn full_store_refuses_a_new_topic_and_takes_a_change_of_a_known_one() {
        let mut store = RetainedStore::new(1, 1_000);
        store.apply(&topic("a"), RetainedVersion(1), Some(message("a", "x"))).unwrap();
        let second = store.apply(&topic("b"), RetainedVersion(2), Some(message("b", "x")));
        assert_eq!(second, Err(Refused::Full));
        store.apply(&topic("a"), RetainedVersion(3), Some(message("a", "y"))).unwrap();
        store.apply(&topic("a"), RetainedVersion(4), None).unwrap();
        assert_eq!((store.len(), store.bytes()), (0, 0));
    }

    #[test]
    fn bytes_are_bounded_as_well() {
        let mut store = RetainedStore::new(10, 4);
        store.apply(&topic("a"), RetainedVersion(1), Some(message("a", "123"))).unwrap();
        let larger = store.apply(&topic("a"), RetainedVersion(2), Some(message("a", "1234")));
        assert_eq!(larger, Err(Refused::Full));
        assert_eq!(store.bytes(), 4);
    }

    #[test]
    fn complete_transfer_removes_what_it_did_not_mention() {
        let mut store = RetainedStore::new(10, 1_000);
        store.apply(&topic("old"), RetainedVersion(1), Some(message("old", "x"))).unwrap();
        store.apply(&topic("kept"), RetainedVersion(2), Some(message("kept", "x"))).unwrap();
        store.apply(&topic("newer"), RetainedVersion(9), Some(message("newer", "x"))).unwrap();
        let gone = store.keep_only(RetainedVersion(5), |t| t.as_str() == "kept");
        assert_eq!(gone, [topic("old")]);
        assert_eq!(store.len(), 2);
    }

    #[test]
    fn wildcard_in_the_middle_finds_only_matching_topics() {
        let mut store = RetainedStore::new(10, 1_000);
        for (version, at) in (1..).zip(["a", "a/1/x", "a/2/x", "a/2/y", "ab", "b"]) {
            store.apply(&topic(at), RetainedVersion(version), Some(message(at, "m"))).unwrap();
        }
        assert_eq!(shown(&store, "a/+/x").len(), 2);
        assert_eq!(shown(&store, "a/#").len(), 4);
        assert_eq!(shown(&store, "#").len(), 6);
    }

    #[test]
    fn tombstones_are_bounded_and_the_oldest_go_first() {
        let mut store = RetainedStore::new(10, 1_000);
        for version in 0..=TOMBSTONES_MAX as u64 {
            store
                .apply(&topic(&format!("t/{version}")), RetainedVersion(version + 1), None)
                .unwrap();
        }
        assert_eq!(store.topics.len(), TOMBSTONES_MAX);
        assert!(!store.topics.contains_key(&topic("t/0")));
    }
}
