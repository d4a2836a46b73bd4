//! Who holds the sessions of this broker's clients: this process, or ha-server.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use broker_core::host::HostPublish;
use ha_types::Message;
use tokio::sync::mpsc::OwnedPermit;
use tokio::sync::mpsc::error::TrySendError;

use crate::here::Here;
use crate::lane::{Credit, Lane};

/// See the module.
#[derive(Debug)]
pub(crate) enum Keeper {
    /// The plugin keeps the retained messages only.
    Here(Arc<Here>),
    /// The plugin gets everything, and says what comes of it.
    Cluster(Lane),
}

/// Room for one publish at the plugin.
pub(crate) enum Room {
    Here(OwnedPermit<HostPublish>),
    Cluster(Lane, Credit),
    /// The plugin is gone, and the process with it soon.
    Nowhere,
}

pub(crate) type Reserving = Pin<Box<dyn Future<Output = Room> + Send>>;

impl Keeper {
    /// Whether the plugin needs a message of a client.
    pub(crate) fn plugin_wants(&self, message: &Message) -> bool {
        match self {
            Self::Here(_) => message.retain,
            Self::Cluster(_) => true,
        }
    }

    /// `None`: there is no room now.
    pub(crate) fn try_reserve(&self, publish: &HostPublish) -> Option<Room> {
        match self {
            Self::Here(here) => match here.publishes.clone().try_reserve_owned() {
                Ok(permit) => Some(Room::Here(permit)),
                Err(TrySendError::Full(_)) => None,
                Err(TrySendError::Closed(_)) => Some(Room::Nowhere),
            },
            Self::Cluster(lane) => {
                lane.try_reserve(publish).map(|credit| Room::Cluster(lane.clone(), credit))
            }
        }
    }

    /// Waits for room.
    pub(crate) fn reserve(&self, publish: &HostPublish) -> Reserving {
        match self {
            Self::Here(here) => {
                let reserving = here.publishes.clone().reserve_owned();
                Box::pin(async { reserving.await.map_or(Room::Nowhere, Room::Here) })
            }
            Self::Cluster(lane) => {
                let (lane, weight) = (lane.clone(), lane.weight(publish));
                Box::pin(async move { Room::Cluster(lane.clone(), lane.reserve(weight).await) })
            }
        }
    }
}

impl Room {
    pub(crate) fn put(self, publish: HostPublish) {
        match self {
            Self::Here(permit) => drop(permit.send(publish)),
            Self::Cluster(lane, credit) => lane.publish(credit, publish),
            Self::Nowhere => (),
        }
    }
}
