//! The broker's copy of the retained messages.
//!
//! Complete after ha-server has sent all of them between RetainedBegin and RetainedSynced. What a
//! client publishes here is shown at once, provisionally, and gets its place in the cluster's order
//! from ha-server; until then the ordered message stays below it.

use std::collections::BTreeSet;
use std::sync::Arc;

use ha_types::retained::Refused;
use ha_types::{ClusterMillis, Message, RetainedStore, RetainedVersion, TopicFilter, TopicName};

use crate::provisional::Provisional;

#[derive(Clone, Debug)]
pub(crate) struct Copy {
    /// What was ordered.
    pub(crate) store: RetainedStore,
    /// What was not yet; shown instead.
    pub(crate) provisional: Provisional,
    /// Whether it has ever been complete.
    pub(crate) was_complete: bool,
    /// Whether it was complete on this stream, and no transfer has begun since.
    pub(crate) is_complete: bool,
    /// Topics mentioned since RetainedBegin; `None`: no transfer runs.
    mentioned: Option<BTreeSet<TopicName>>,
    /// Last version given by this broker when it works alone.
    own_version: RetainedVersion,
}

impl Copy {
    /// An empty copy for at most `messages_max` messages of together `bytes_max` bytes, and as many
    /// that are not ordered yet.
    pub(crate) fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self {
            store: RetainedStore::new(messages_max, bytes_max),
            provisional: Provisional::new(messages_max, bytes_max),
            was_complete: false,
            is_complete: false,
            mentioned: None,
            own_version: RetainedVersion(0),
        }
    }

    /// The messages whose topics match `filter` and that are not expired at `now`.
    pub(crate) fn matching<'a>(
        &'a self,
        filter: &'a TopicFilter,
        now: ClusterMillis,
    ) -> impl Iterator<Item = &'a Arc<Message>> {
        let ordered = self.store.matching(filter, now);
        let ordered = ordered.filter(|message| !self.provisional.hides(&message.topic));
        ordered.chain(self.provisional.matching(filter, now))
    }

    /// A client's retained message or clear where there is no ha-server: ordered here.
    pub(crate) fn publish_alone(&mut self, message: &Message) -> Result<(), Refused> {
        self.own_version.0 += 1;
        self.take(&message.topic, self.own_version, Some(message))
    }

    /// An ordered change. Returns whether it was refused for lack of room.
    pub(crate) fn take(
        &mut self,
        topic: &TopicName,
        version: RetainedVersion,
        message: Option<&Message>,
    ) -> Result<(), Refused> {
        let topic = topic.detached();
        let message = message.filter(|message| !message.payload.is_empty());
        let message = message.map(|message| Arc::new(message.detached()));
        if let Some(mentioned) = &mut self.mentioned {
            mentioned.insert(topic.clone());
        }
        match self.store.apply(&topic, version, message) {
            Ok(()) | Err(Refused::Stale) => Ok(()),
            Err(Refused::Full) => Err(Refused::Full),
        }
    }

    pub(crate) fn begin(&mut self) {
        self.mentioned = Some(BTreeSet::new());
        self.is_complete = false;
    }

    /// All was sent: what was not mentioned does not exist. Returns whether a transfer ran.
    pub(crate) fn synced(&mut self, version: RetainedVersion) -> bool {
        let Some(mentioned) = self.mentioned.take() else { return false };
        self.store.keep_only(version, |topic| mentioned.contains(topic));
        self.provisional.remove_lost();
        self.was_complete = true;
        self.is_complete = true;
        true
    }

    /// The stream is gone: nothing of a transfer goes on.
    pub(crate) fn stop(&mut self) {
        self.is_complete = false;
        self.mentioned = None;
    }

    /// Whether a transfer runs.
    pub(crate) fn is_busy(&self) -> bool {
        self.mentioned.is_some()
    }
}
