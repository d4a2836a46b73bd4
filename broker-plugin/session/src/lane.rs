//! The way of a clustered broker's clients to the plugin: publishes and asks in one order.
//!
//! Asks are few, as many as engines may have unanswered, and always find room. Publishes need credit,
//! which the plugin's side gives back when ha-server has them: so clients wait, and acknowledgements do
//! not. Nobody waits here for what the plugin gives back: neither side can stop the other.

use std::sync::Arc;

use broker_core::host::HostPublish;
use ha_types::session::Ask;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, mpsc};

/// What goes to ha-server for a client.
#[derive(Debug)]
pub enum Traffic {
    /// Of any QoS.
    Publish(HostPublish),
    /// Never [`Ask::Publish`].
    Ask(Ask),
}

/// The host's side.
#[derive(Clone, Debug)]
pub struct Lane {
    items: mpsc::UnboundedSender<Traffic>,
    credit: Arc<Semaphore>,
    weight_max: u32,
}

/// The plugin's side.
#[derive(Debug)]
pub struct LaneEnd {
    items: mpsc::UnboundedReceiver<Traffic>,
    credit: Arc<Semaphore>,
    weight_max: u32,
    /// Credit of the publishes that were received and not given back.
    taken: usize,
}

/// A lane for publishes of so much weight ([`HostPublish::weight`]) that ha-server does not have. A
/// publish that weighs more takes all of it.
#[must_use]
pub fn lane(weight_max: usize) -> (Lane, LaneEnd) {
    let (items, received) = mpsc::unbounded_channel();
    let weight_max = u32::try_from(weight_max.clamp(1, Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
    let credit = Arc::new(Semaphore::new(weight_max as usize));
    let end = LaneEnd { items: received, credit: Arc::clone(&credit), weight_max, taken: 0 };
    (Lane { items, credit, weight_max }, end)
}

impl Lane {
    /// Always finds room.
    pub(crate) fn ask(&self, ask: Ask) {
        // Without a plugin the broker is at its end.
        let _ = self.items.send(Traffic::Ask(ask));
    }

    /// Credit for a publish; `None`: the plugin has enough.
    pub(crate) fn try_reserve(&self, publish: &HostPublish) -> Option<Credit> {
        let weight = capped(publish, self.weight_max);
        match Arc::clone(&self.credit).try_acquire_many_owned(weight) {
            Ok(permit) => Some(Credit(Some(permit))),
            Err(TryAcquireError::NoPermits) => None,
            Err(TryAcquireError::Closed) => Some(Credit(None)),
        }
    }

    /// Waits for credit.
    pub(crate) async fn reserve(self, weight: u32) -> Credit {
        Credit(self.credit.acquire_many_owned(weight).await.ok())
    }

    pub(crate) fn weight(&self, publish: &HostPublish) -> u32 {
        capped(publish, self.weight_max)
    }

    /// Credit is for this publish.
    pub(crate) fn publish(&self, credit: Credit, publish: HostPublish) {
        if let Some(permit) = credit.0 {
            permit.forget();
        }
        let _ = self.items.send(Traffic::Publish(publish));
    }
}

/// Of one publish; empty when there is no plugin.
#[derive(Debug)]
pub(crate) struct Credit(Option<OwnedSemaphorePermit>);

impl LaneEnd {
    /// Receives at most `at_most` items, in order, at least one. Zero: the host is gone.
    pub async fn recv_many(&mut self, items: &mut Vec<Traffic>, at_most: usize) -> usize {
        let before = items.len();
        let received = self.items.recv_many(items, at_most).await;
        for item in &items[before..] {
            if let Traffic::Publish(publish) = item {
                self.taken += capped(publish, self.weight_max) as usize;
            }
        }
        received
    }

    /// Publishes that were received weigh so much by now: gives back what that is less.
    pub fn held(&mut self, weight: usize) {
        let free = self.taken.saturating_sub(weight);
        self.credit.add_permits(free);
        self.taken -= free;
    }

    /// Whether nothing waits to be received.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Items that wait to be received.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }
}

impl Drop for LaneEnd {
    fn drop(&mut self) {
        // Who waits for credit waits in vain.
        self.credit.close();
    }
}

fn capped(publish: &HostPublish, weight_max: u32) -> u32 {
    u32::try_from(publish.weight()).unwrap_or(u32::MAX).min(weight_max)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ha_types::{Qos, SessionId, TopicName};

    use super::*;

    fn publish(bytes: usize) -> HostPublish {
        HostPublish {
            topic: TopicName::parse(Bytes::from_static(b"t")).unwrap(),
            payload: vec![0; bytes].into(),
            properties: Bytes::new(),
            qos: Qos::AtLeastOnce,
            retain: false,
            expires_in_s: None,
            session: SessionId(1),
            exchange: None,
        }
    }

    #[tokio::test]
    async fn publishes_wait_for_credit_and_asks_do_not() {
        let (lane, mut end) = lane(2);
        for _ in 0..2 {
            let credit = lane.try_reserve(&publish(0)).unwrap();
            lane.publish(credit, publish(0));
        }
        assert!(lane.try_reserve(&publish(0)).is_none());
        let ask = Ask::Fetch {
            session: ha_types::session::SessionKey {
                id: SessionId(1),
                epoch: ha_types::session::SessionEpoch(1),
            },
            after: None,
            messages_max: 1,
            bytes_max: 1,
        };
        lane.ask(ask);
        let mut items = Vec::new();
        assert_eq!(end.recv_many(&mut items, 8).await, 3);
        assert!(matches!(items[2], Traffic::Ask(_)), "in order");
        end.held(2);
        assert!(lane.try_reserve(&publish(0)).is_none(), "ha-server has none of them");
        end.held(1);
        assert!(lane.try_reserve(&publish(0)).is_some());
    }

    #[tokio::test]
    async fn publish_that_weighs_more_than_all_takes_all() {
        let (lane, mut end) = lane(2);
        let credit = lane.try_reserve(&publish(10_000)).unwrap();
        lane.publish(credit, publish(10_000));
        assert!(lane.try_reserve(&publish(0)).is_none());
        end.recv_many(&mut Vec::new(), 8).await;
        end.held(publish(10_000).weight());
        assert!(lane.try_reserve(&publish(0)).is_none());
        end.held(0);
        assert!(lane.try_reserve(&publish(10_000)).is_some());
    }

    #[tokio::test]
    async fn nobody_waits_for_a_plugin_that_is_gone() {
        let (lane, end) = lane(1);
        let first = lane.try_reserve(&publish(0));
        let waiting = tokio::spawn(lane.clone().reserve(1));
        drop(end);
        assert!(waiting.await.unwrap().0.is_none());
        assert!(lane.try_reserve(&publish(0)).is_some());
        drop(first);
    }
}
