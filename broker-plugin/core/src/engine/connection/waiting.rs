//! A delivery that has not been sent, wherever it came from.

use std::sync::Arc;

use ha_types::session::{Offset, PacketId, Queued, Unqueued};
use ha_types::{Message, Qos};

use super::outflow::Durability;
use crate::engine::delivery::{Delivery, Encodings, SubscriptionIds};

/// A delivery that has not been sent.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) message: Arc<Message>,
    pub(super) encodings: Option<Arc<Encodings>>,
    pub(super) qos: Qos,
    pub(super) retain: bool,
    pub(super) dup: bool,
    pub(super) subscription_ids: SubscriptionIds,
    pub(super) offset: Option<Offset>,
    /// Of the holder's; an ephemeral session gets one when it is sent.
    pub(super) packet_id: Option<PacketId>,
    /// A retained message of a SUBSCRIBE that no queue of the holder has.
    pub(super) is_unqueued: bool,
}

impl From<Delivery> for Waiting {
    fn from(delivery: Delivery) -> Self {
        Self {
            message: delivery.message,
            encodings: delivery.encodings,
            qos: delivery.qos,
            retain: delivery.retain,
            dup: false,
            subscription_ids: delivery.subscription_ids,
            offset: None,
            packet_id: None,
            is_unqueued: false,
        }
    }
}

impl From<Unqueued> for Waiting {
    fn from(unqueued: Unqueued) -> Self {
        Self {
            message: unqueued.message,
            encodings: None,
            qos: unqueued.qos,
            retain: true,
            dup: false,
            subscription_ids: unqueued.subscription_id.as_slice().into(),
            offset: None,
            packet_id: None,
            is_unqueued: true,
        }
    }
}

impl Waiting {
    /// Of the holder's queue.
    pub(super) fn queued(queued: Queued, durability: Durability) -> Self {
        let id = || queued.record.unwrap_or_else(|| queued.offset.packet_id());
        let is_ours = durability == Durability::Ephemeral || queued.qos == Qos::AtMostOnce;
        Self {
            packet_id: (!is_ours).then(id),
            encodings: None,
            qos: queued.qos,
            retain: queued.retain,
            dup: false,
            subscription_ids: queued.subscription_ids.as_slice().into(),
            offset: Some(queued.offset).filter(|offset| *offset != Offset::NONE),
            is_unqueued: false,
            message: queued.message,
        }
    }

    /// Perhaps sent on an earlier connection [MQTT-3.3.1-1].
    pub(super) fn again(mut self) -> Self {
        self.dup = self.qos != Qos::AtMostOnce;
        self
    }
}
