//! Who holds the sessions of this broker's clients: this host, or the replicated state behind the plugin.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use broker_core::holder::HolderCounts;
use broker_core::host::HostPublish;
use ha_types::{Message, Qos, TopicName};
use tokio::sync::mpsc::OwnedPermit;
use tokio::sync::mpsc::error::TrySendError;

use crate::here::Here;
use crate::lane::{Credit, Lane};

/// See the module.
#[derive(Debug)]
pub(crate) enum Keeper {
    /// The plugin keeps the retained messages only.
    Here(Arc<Here>),
    /// The plugin gets what others need, and says what comes of it.
    State(Lane, Reach),
}

/// How far the state behind the plugin reaches.
#[derive(Debug)]
pub(crate) enum Reach {
    /// Other brokers have it too: their clients may need any message.
    Cluster,
    /// This broker is alone with it: the state needs what it must keep or decide.
    Alone(Arc<dyn OwnState>),
}

/// The replicated state of a broker that is alone with it, in this process.
pub trait OwnState: std::fmt::Debug + Send + Sync {
    /// Whether the state needs a publish of QoS 0 or 1 to this topic that is not to be retained: to keep it
    /// for a session, or to give it to a member of a share group. True from before the SUBACK that
    /// promises it.
    fn concerns(&self, topic: &TopicName, qos: Qos) -> bool;

    /// Numbers for metrics, at most some seconds old.
    fn counts(&self) -> HolderCounts;
}

/// Room for one publish at the plugin.
pub(crate) enum Room {
    Here(OwnedPermit<HostPublish>),
    State(Lane, Credit),
    /// The plugin is gone, and the process with it soon.
    Nowhere,
}

pub(crate) type Reserving = Pin<Box<dyn Future<Output = Room> + Send>>;

impl Keeper {
    /// Whether the plugin needs a message of a client.
    pub(crate) fn plugin_wants(&self, message: &Message) -> bool {
        match self {
            Self::Here(_) => message.retain,
            Self::State(_, Reach::Cluster) => true,
            // Everybody else who needs it is connected here.
            Self::State(_, Reach::Alone(state)) => {
                message.retain
                    || message.qos == Qos::ExactlyOnce
                    || state.concerns(&message.topic, message.qos)
            }
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
            Self::State(lane, _) => {
                lane.try_reserve(publish).map(|credit| Room::State(lane.clone(), credit))
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
            Self::State(lane, _) => {
                let (lane, weight) = (lane.clone(), lane.weight(publish));
                Box::pin(async move { Room::State(lane.clone(), lane.reserve(weight).await) })
            }
        }
    }
}

impl Room {
    pub(crate) fn put(self, publish: HostPublish) {
        match self {
            Self::Here(permit) => drop(permit.send(publish)),
            Self::State(lane, credit) => lane.publish(credit, publish),
            Self::Nowhere => (),
        }
    }
}
