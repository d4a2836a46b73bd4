//! Retained messages that came too late: while a SUBSCRIBE waits for what is retained, something newer
//! of the same topic may be delivered.

use std::collections::BTreeMap;
use std::sync::Arc;

use ha_types::{Message, TopicName};

/// Topics that are remembered of one session. What is published on more while its SUBSCRIBE waits may
/// come before something older that was retained.
const TOPICS_MAX: usize = 1_024;

/// The newest messages with RETAIN that were delivered meanwhile, by topic. Empty while no
/// SUBSCRIBE waits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overtaken(BTreeMap<TopicName, Arc<Message>>);

impl Overtaken {
    /// A message was delivered.
    pub(crate) fn note(&mut self, message: &Arc<Message>) {
        if !message.retain {
            return;
        }
        if self.0.len() < TOPICS_MAX || self.0.contains_key(&message.topic) {
            self.0.insert(message.topic.clone(), Arc::clone(message));
        }
    }

    /// Whether something newer than `retained` was delivered. The same message is not newer: another
    /// subscription may have brought it.
    pub(crate) fn has(&self, retained: &Message) -> bool {
        self.0.get(&retained.topic).is_some_and(|newest| {
            (&newest.payload, &newest.properties) != (&retained.payload, &retained.properties)
        })
    }

    /// No SUBSCRIBE waits any more.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}
