//! The state of a broker that works alone and keeps what it acknowledges.

use std::sync::Arc;

use broker_core::holder::HolderCounts;
use ha_member::alone::{Alone, AloneConfig, AloneError};
use ha_member::{Durability, StateLimits};
use ha_types::{Qos, TopicName};
use session_host::OwnState;

use crate::config::{self, BrokerConfig, HostKind};
use crate::run::SOFTWARE;

/// Where the state lies and what it promises; `None`: there is none in this process.
pub(crate) fn durability(config: &BrokerConfig) -> Option<Durability> {
    let is_alone = config.host == HostKind::Session && config.ha_servers.is_empty();
    match config.durability {
        config::Durability::Fsync if is_alone => Some(Durability::Fsync),
        config::Durability::Memory if is_alone => Some(Durability::Memory),
        _ => None,
    }
}

/// Opens the state, if this broker has one.
///
/// # Errors
/// [`AloneError`]: it cannot be used; the broker must not run without it.
pub(crate) async fn open(config: &BrokerConfig) -> Result<Option<Arc<Alone>>, AloneError> {
    let Some(durability) = durability(config) else { return Ok(None) };
    let config = AloneConfig {
        data_dir: config.data_dir.clone(),
        durability,
        limits: limits(config),
        strategies: config.strategies.clone(),
        filters_max: config.filters_max,
        software: SOFTWARE.to_owned(),
    };
    Ok(Some(Arc::new(Alone::start(config).await?)))
}

fn limits(config: &BrokerConfig) -> StateLimits {
    StateLimits {
        sessions_max: config.sessions_max,
        subscriptions_max: config.subscriptions_max,
        queue_messages_max: config.queue_messages_max,
        queue_bytes_max: config.queue_bytes_max,
        filter_messages_max: config.filter_messages_max,
        store_bytes_max: config.store_bytes_max,
        retained_max: config.retained_max,
        retained_bytes_max: config.retained_bytes_max,
    }
}

/// What the host sees of it.
#[derive(Debug)]
pub(crate) struct Seen(pub(crate) Arc<Alone>);

impl OwnState for Seen {
    fn concerns(&self, topic: &TopicName, qos: Qos) -> bool {
        self.0.concerns(topic, qos)
    }

    fn counts(&self) -> HolderCounts {
        let counts = self.0.snapshot().counts;
        HolderCounts {
            sessions: counts.sessions,
            connected: 0,
            subscriptions: counts.subscriptions,
            queued: counts.messages,
            dropped: counts.dropped,
        }
    }
}
