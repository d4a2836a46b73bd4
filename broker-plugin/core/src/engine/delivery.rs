//! A message on its way to one connection.

use std::sync::{Arc, OnceLock};

use ha_types::session::SubscriptionId;
use ha_types::{Message, Qos};

use crate::codec::{EncodedPublish, Version};

/// Versions and QoS levels.
const FORMS: usize = 9;

/// A live message for one connection: matched, with what its subscriptions say.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The message.
    pub message: Arc<Message>,
    /// Shared by all recipients of the message when there are several.
    pub encodings: Option<Arc<Encodings>>,
    /// The lower of published and granted.
    pub qos: Qos,
    /// Retain flag to send.
    pub retain: bool,
    /// Of all matching subscriptions that have one.
    pub subscription_ids: SubscriptionIds,
}

/// Subscription identifiers of one delivery: rarely any, mostly one. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SubscriptionIds {
    /// No matching subscription has one.
    #[default]
    None,
    /// One has.
    One(SubscriptionId),
    /// Several have.
    Many(Arc<[SubscriptionId]>),
}

impl SubscriptionIds {
    /// In their order.
    #[must_use]
    pub fn as_slice(&self) -> &[SubscriptionId] {
        match self {
            Self::None => &[],
            Self::One(id) => std::slice::from_ref(id),
            Self::Many(ids) => ids,
        }
    }
}

impl From<&[SubscriptionId]> for SubscriptionIds {
    fn from(ids: &[SubscriptionId]) -> Self {
        match ids {
            [] => Self::None,
            &[id] => Self::One(id),
            ids => Self::Many(ids.into()),
        }
    }
}

/// The frames of one message, each made when its first recipient needs it.
#[derive(Debug, Default)]
pub struct Encodings {
    frames: [OnceLock<Box<EncodedPublish>>; FORMS],
}

impl Encodings {
    /// The frame for recipients of this version and QoS. Not for a message that expires: its frame
    /// says how much is left.
    pub(super) fn frame(&self, version: Version, qos: Qos, message: &Message) -> &EncodedPublish {
        let version_at = match version {
            Version::V31 => 0,
            Version::V311 => 1,
            Version::V5 => 2,
        };
        let slot = &self.frames[version_at * 3 + usize::from(qos.level())];
        slot.get_or_init(|| Box::new(EncodedPublish::new(version, qos, message, None)))
    }
}
