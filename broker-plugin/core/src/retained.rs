//! The broker's copy of the retained messages.
//!
//! Complete after ha-server has sent all of them between RetainedBegin and RetainedSynced. What a
//! client publishes here is shown at once, provisionally, and gets its place in the cluster's order
//! from ha-server.

use std::collections::BTreeSet;
use std::sync::Arc;

use ha_types::link::{RetainedChange, Upstream};
use ha_types::{
    Message, RetainedStore, RetainedVersion, ServerIncarnation, TopicName, retained::Refused,
};

/// Topics uploaded at a time.
const PAGE: usize = 256;

#[derive(Clone, Debug)]
pub(crate) struct Copy {
    pub(crate) store: RetainedStore,
    /// The ha-server run whose complete copy this is; `None`: never complete.
    pub(crate) of: Option<ServerIncarnation>,
    /// Topics mentioned since RetainedBegin; `None`: no transfer runs.
    mentioned: Option<BTreeSet<TopicName>>,
    upload: Upload,
    /// Last version given by this broker when it works alone.
    own_version: RetainedVersion,
}

#[derive(Clone, Debug)]
enum Upload {
    None,
    /// Sent up to this topic.
    After(Option<TopicName>),
}

impl Copy {
    pub(crate) fn new(store: RetainedStore) -> Self {
        let own_version = RetainedVersion(0);
        Self { store, of: None, mentioned: None, upload: Upload::None, own_version }
    }

    /// A client's retained message or clear, not yet ordered by ha-server.
    pub(crate) fn publish(&mut self, message: &Message) -> Result<(), Refused> {
        self.store.set_provisional(&Arc::new(message.detached()))
    }

    /// The same without ha-server: ordered here.
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
    }

    /// All was sent: what was not mentioned does not exist.
    pub(crate) fn synced(&mut self, version: RetainedVersion, server: ServerIncarnation) {
        let Some(mentioned) = self.mentioned.take() else { return };
        self.store.keep_only(version, |topic| mentioned.contains(topic));
        self.of = Some(server);
    }

    /// The stream is gone: nothing of a transfer goes on.
    pub(crate) fn stop(&mut self) {
        self.mentioned = None;
        self.upload = Upload::None;
    }

    pub(crate) fn start_upload(&mut self) {
        self.upload = Upload::After(None);
    }

    /// The next page of the copy, [`Upstream::RetainedCopyEnd`] last; empty when nothing is to be
    /// uploaded.
    pub(crate) fn next_page(&mut self) -> Vec<Upstream> {
        let Upload::After(after) = &self.upload else { return Vec::new() };
        let change = |(topic, known): (&TopicName, &ha_types::Retained)| RetainedChange {
            topic: topic.clone(),
            version: known.version,
            message: known.message.clone(),
        };
        let page: Vec<_> =
            self.store.ordered_after(after.as_ref()).take(PAGE).map(change).collect();
        match page.last() {
            Some(last) => {
                self.upload = Upload::After(Some(last.topic.clone()));
                page.into_iter().map(Upstream::RetainedCopy).collect()
            }
            None => {
                self.upload = Upload::None;
                vec![Upstream::RetainedCopyEnd]
            }
        }
    }
}
