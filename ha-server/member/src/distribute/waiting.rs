//! Streams that came while nobody is known to lead, with what they said first.
//!
//! An election takes less time than a broker that is sent away takes to come back, and it would look
//! for the leader in vain meanwhile: so its Hello waits. Bounded by the open streams: one input each.

use std::collections::BTreeMap;
use std::time::Duration;

use ha_core::{Input, StreamId};
use ha_types::link::Upstream;
use tokio::time::Instant;

/// How long a Hello may wait. Brokers wait 1 s for the answer.
const WAIT_MAX: Duration = Duration::from_millis(700);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    streams: BTreeMap<StreamId, (Instant, Vec<Upstream>)>,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// False: it waits already. Whoever says more before it is answered is no broker of ours.
    pub(super) fn insert(&mut self, stream: StreamId, said: Vec<Upstream>) -> bool {
        let until = Instant::now() + WAIT_MAX;
        self.streams.insert(stream, (until, said)).is_none()
    }

    pub(super) fn remove(&mut self, stream: StreamId) {
        self.streams.remove(&stream);
    }

    /// What they said, for the leader that this server has become.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Input> + use<> {
        let streams = std::mem::take(&mut self.streams);
        streams.into_iter().map(|(stream, (_, said))| Input::Received(stream, said))
    }

    /// All, because it is known who leads.
    pub(super) fn take_streams(&mut self) -> Vec<StreamId> {
        std::mem::take(&mut self.streams).into_keys().collect()
    }

    /// Those that have waited too long.
    pub(super) fn take_overdue(&mut self) -> Vec<StreamId> {
        let now = Instant::now();
        self.streams
            .extract_if(.., |_, (until, _)| *until <= now)
            .map(|(stream, _)| stream)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn stream_waits_once_and_not_for_ever() {
        let mut waiting = Waiting::default();
        assert!(waiting.insert(StreamId(1), Vec::new()));
        assert!(!waiting.insert(StreamId(1), Vec::new()));
        tokio::time::advance(WAIT_MAX / 2).await;
        assert!(waiting.insert(StreamId(2), Vec::new()));
        tokio::time::advance(WAIT_MAX / 2).await;
        assert_eq!(waiting.take_overdue(), [StreamId(1)]);
        assert_eq!(waiting.take_streams(), [StreamId(2)]);
        assert!(waiting.is_empty());
    }
}
