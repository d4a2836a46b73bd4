//! Brokers that are to let their clients go.
//!
//! The leader passes the order on and remembers nothing: the broker decides, and says in each heartbeat
//! what it does. So a new leader knows it as soon as the broker is back, and a broker that starts again
//! takes clients.

use ha_types::BrokerEpoch;
use ha_types::link::{Downstream, Duty};

use crate::distributor::Distributor;
use crate::interface::Output;

/// What an operator wants of a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainOrder {
    /// To let its clients go, so many in a second; `None`: as it is configured.
    Drain(Option<u32>),
    /// To take clients again.
    Undrain,
}

/// Why a broker was not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainRefusal {
    /// No broker has this name.
    Unknown,
    /// It has no stream at present.
    NotAttached,
    /// It has sent no heartbeat that says its duty: it is of an older version, or attached just now.
    TooOld,
}

impl Distributor {
    /// A heartbeat of the broker with this epoch said so.
    pub fn note_duty(&mut self, epoch: BrokerEpoch, duty: Duty) {
        if let Some(slot) = self.by_epoch.get(&epoch) {
            self.brokers.get_mut(slot).expect("found by its epoch").duty = duty;
        }
    }

    /// Tells a broker to let its clients go, or to take clients again. To tell it again does no harm.
    ///
    /// # Errors
    /// [`DrainRefusal`]: nothing was sent.
    pub fn order(
        &mut self,
        name: &str,
        order: DrainOrder,
        out: &mut Vec<Output>,
    ) -> Result<(), DrainRefusal> {
        let known = self.brokers.values().find(|broker| broker.name.as_str() == name);
        let broker = known.ok_or(DrainRefusal::Unknown)?;
        if broker.stream().is_none() {
            return Err(DrainRefusal::NotAttached);
        }
        if broker.duty == Duty::Unknown {
            return Err(DrainRefusal::TooOld);
        }
        let slot = broker.slot;
        let item = match order {
            DrainOrder::Drain(per_second) => Downstream::Drain { per_second },
            DrainOrder::Undrain => Downstream::Undrain,
        };
        self.send(slot, item, out);
        Ok(())
    }
}
