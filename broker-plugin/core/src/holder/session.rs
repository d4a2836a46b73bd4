//! What is kept of one client.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ha_types::session::{
    ConnectionId, Lifetime, NewWill, PacketId, SessionEpoch, SessionKey, SubscribeOptions,
};
use ha_types::{Millis, SessionId, Subscription};

use super::queue::Queue;
use crate::overtaken::Overtaken;

/// One session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) epoch: SessionEpoch,
    pub(super) client_id: Arc<str>,
    /// `None`: the client is away.
    pub(super) owner: Option<ConnectionId>,
    pub(super) durability: Durability,
    pub(super) lifetime: Lifetime,
    pub(super) subscriptions: BTreeMap<Subscription, SubscribeOptions>,
    pub(super) queue: Queue,
    /// QoS 2 publishes of the client between PUBREC and PUBCOMP.
    pub(super) inbound: BTreeSet<PacketId>,
    pub(super) will: Option<NewWill>,
    /// When a will that waits is due, and when the session ends.
    pub(super) will_at: Option<Millis>,
    pub(super) expires_at: Option<Millis>,
    /// Whether the plugin has heard of it.
    pub(super) is_announced: bool,
    /// SUBSCRIBEs that wait for what is retained, and what is queued meanwhile.
    pub(super) asked: u32,
    pub(super) overtaken: Overtaken,
}

/// Whether a session keeps messages. One that was resumed does so to its end, even when its last
/// connection wants it to end with itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    Ephemeral,
    Durable,
}

impl Session {
    pub(super) fn key(&self) -> SessionKey {
        SessionKey { id: self.id, epoch: self.epoch }
    }
}
