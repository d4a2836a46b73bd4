//! Retained messages by topic.

use ha_types::{ClusterMillis, Qos, TopicFilter, TopicName};

use super::super::ClusterState;
use super::{Filling, Listed, PageLimits};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetainedFind {
    /// A part of the topic; empty: any.
    Text(String),
    /// Topics that match.
    Filter(TopicFilter),
}

impl RetainedFind {
    /// What an operator means by this text: a topic filter if it is one with wildcards.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let filter = TopicFilter::parse(text.as_bytes()).ok().filter(TopicFilter::has_wildcards);
        filter.map_or_else(|| Self::Text(text.to_owned()), Self::Filter)
    }

    fn has(&self, topic: &TopicName) -> bool {
        match self {
            Self::Text(text) => topic.as_str().contains(text.as_str()),
            Self::Filter(filter) => filter.matches(topic),
        }
    }
}

/// One retained message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetainedView {
    /// Its topic.
    pub topic: TopicName,
    /// As published.
    pub qos: Qos,
    /// Of the payload.
    pub bytes: usize,
    /// When it expires; `None`: never.
    pub expires_at: Option<ClusterMillis>,
}

/// Bytes of a line beside its topic.
const LINE_BYTES: usize = 32;

impl ClusterState {
    /// Retained messages from the topic behind `after` on, without those that are expired at `now`.
    #[must_use]
    pub fn list_retained(
        &self,
        find: &RetainedFind,
        after: Option<&TopicName>,
        now: ClusterMillis,
        limits: PageLimits,
    ) -> Listed<RetainedView, TopicName> {
        let mut filling = Filling::new(limits);
        let mut last = None;
        for (topic, retained) in self.retained.ordered_after(after) {
            if let Some(last) = last.filter(|_| !filling.has_room()) {
                return filling.goes_on(TopicName::clone(last));
            }
            filling.look_at(1);
            last = Some(topic);
            let message = retained.message.as_ref().filter(|message| !message.is_expired(now));
            if let Some(message) = message.filter(|_| find.has(topic)) {
                let view = RetainedView {
                    topic: topic.clone(),
                    qos: message.qos,
                    bytes: message.payload.len(),
                    expires_at: message.expires_at,
                };
                filling.push(view, topic.as_bytes().len() + LINE_BYTES);
            }
        }
        filling.ends()
    }
}
