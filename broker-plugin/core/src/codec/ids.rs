//! Numbers that are never zero on the wire.

use std::num::{NonZeroU16, NonZeroU32};

use super::limits::VARIABLE_MAX;

/// Packet Identifier (§2.2.1): one exchange in flight, in one direction, of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketId(NonZeroU16);

impl PacketId {
    /// `None` for zero [MQTT-2.2.1-3].
    #[must_use]
    pub fn new(id: u16) -> Option<Self> {
        NonZeroU16::new(id).map(Self)
    }

    /// 1 to 65,535.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0.get()
    }
}

/// Topic Alias (5.0 §3.3.2.3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicAlias(NonZeroU16);

impl TopicAlias {
    /// `None` for zero [MQTT-3.3.2-8].
    #[must_use]
    pub fn new(alias: u16) -> Option<Self> {
        NonZeroU16::new(alias).map(Self)
    }

    /// 1 to 65,535.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0.get()
    }
}

/// Subscription Identifier (5.0 §3.8.2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(NonZeroU32);

impl SubscriptionId {
    /// `None` for zero and for what a Variable Byte Integer cannot hold.
    #[must_use]
    pub fn new(id: u32) -> Option<Self> {
        let fits = usize::try_from(id).is_ok_and(|id| id <= VARIABLE_MAX);
        NonZeroU32::new(id).filter(|_| fits).map(Self)
    }

    /// 1 to 268,435,455.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_id_is_zero() {
        assert_eq!(PacketId::new(0), None);
        assert_eq!(TopicAlias::new(0), None);
        assert_eq!(SubscriptionId::new(0), None);
    }

    #[test]
    fn subscription_id_has_28_bits() {
        assert_eq!(SubscriptionId::new(268_435_455).map(SubscriptionId::get), Some(268_435_455));
        assert_eq!(SubscriptionId::new(268_435_456), None);
    }
}
