//! The numbers of sessions.

use std::fmt;
use std::num::{NonZeroU16, NonZeroU32};

use crate::ids::SessionId;

/// What a Variable Byte Integer can hold (5.0 §1.5.5).
const SUBSCRIPTION_ID_MAX: u32 = 268_435_455;

/// A connection of the engine, while its CONNECT is not answered yet. Never reused by a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Fencing token of a session's owner. Grows with each open; a lower one is always stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionEpoch(pub u64);

/// A session as its current owner knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey {
    /// Which session.
    pub id: SessionId,
    /// Under which ownership.
    pub epoch: SessionEpoch,
}

/// Session ids from here on are a broker's own, for clients that it serves while nobody leads. Nobody else
/// hears of them.
const PROVISIONAL_FROM: u64 = 1 << 63;

impl SessionKey {
    /// What a broker knows the session of this connection by until a leader has given it another.
    #[must_use]
    pub fn provisional(connection: ConnectionId) -> Self {
        let id = SessionId(PROVISIONAL_FROM | connection.0);
        Self { id, epoch: SessionEpoch::default() }
    }

    /// Whether no leader has given it.
    #[must_use]
    pub fn is_provisional(self) -> bool {
        self.id.0 >= PROVISIONAL_FROM
    }
}

/// Place of a message among those that a session may get. Offsets of one session only grow, and
/// every message of it has its own; messages stored once for many sessions have the same in each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset {
    /// Place among the messages that are stored for all.
    pub message: u64,
    /// Zero, or the place among the messages that this session alone has after that one: those that
    /// were retained when it subscribed.
    pub private: u32,
}

/// A packet identifier: 1 to 65,535 (MQTT 5.0 §2.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketId(NonZeroU16);

impl PacketId {
    /// `None` for 0, which is no packet identifier [MQTT-2.2.1-3].
    #[must_use]
    pub fn new(number: u16) -> Option<Self> {
        NonZeroU16::new(number).map(Self)
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
        NonZeroU32::new(id).filter(|id| id.get() <= SUBSCRIPTION_ID_MAX).map(Self)
    }

    /// 1 to 268,435,455.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for PacketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Offset {
    /// Of a message that is stored for all.
    #[must_use]
    pub fn new(message: u64) -> Self {
        Self { message, private: 0 }
    }

    /// Of a message of QoS 0 that is in no queue: it is delivered at once, and nobody hears of it again.
    pub const NONE: Self = Self { message: 0, private: 0 };

    /// Offsets of messages that are stored for all have the same packet id again after so many.
    pub const ROUND: u16 = 65_535;

    /// The private offset after this message whose delivery has this packet id, if there is one below
    /// [`Offset::ROUND`].
    #[must_use]
    pub fn private_with(message: u64, packet_id: PacketId) -> Option<Self> {
        let round = u64::from(Self::ROUND);
        let private = (u64::from(packet_id.get() - 1) + round - message % round) % round;
        let private = u32::try_from(private).expect("below the round");
        (private > 0).then_some(Self { message, private })
    }

    /// The packet id of a delivery at this offset: any broker that takes a session over computes the
    /// one that the client knows, without stored state.
    ///
    /// Several offsets have the same: the later waits until the earlier is acknowledged.
    #[must_use]
    pub fn packet_id(self) -> PacketId {
        let round = u64::from(Self::ROUND);
        let round = (self.message % round + u64::from(self.private)) % round;
        let number = u16::try_from(round).expect("below 65,535") + 1;
        PacketId::new(number).expect("at least 1")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packet_ids_of_offsets_go_round_from_65535_to_1() {
        assert_eq!(Offset::new(0).packet_id().get(), 1);
        assert_eq!(Offset::new(65_534).packet_id().get(), 65_535);
        assert_eq!(Offset::new(65_535).packet_id().get(), 1);
        assert_eq!(Offset::new(u64::MAX).packet_id(), Offset::new(u64::MAX - 65_535).packet_id());
    }

    #[test]
    fn private_offsets_come_after_their_message_and_before_the_next() {
        let private = |private| Offset { private, ..Offset::new(7) };
        assert!(Offset::new(7) < private(1) && private(1) < private(2));
        assert!(private(u32::MAX) < Offset::new(8));
        assert_eq!(private(1).packet_id(), Offset::new(8).packet_id());
        assert!(Offset { message: u64::MAX, private: u32::MAX }.packet_id().get() > 0);
    }

    #[test]
    fn private_offset_is_found_by_its_packet_id() {
        for message in [0, 7, 65_534, 65_535, u64::MAX] {
            for private in [1, 2, 65_533, 65_534] {
                let offset = Offset { message, private };
                let found = Offset::private_with(message, offset.packet_id());
                assert_eq!(found, Some(offset));
            }
            assert_eq!(Offset::private_with(message, Offset::new(message).packet_id()), None);
        }
    }

    /// [MQTT-2.2.1-3]
    #[test]
    fn zero_is_no_packet_id() {
        assert_eq!(PacketId::new(0), None);
    }

    #[test]
    fn subscription_id_has_28_bits_and_is_not_zero() {
        assert_eq!(SubscriptionId::new(0), None);
        assert_eq!(SubscriptionId::new(268_435_455).map(SubscriptionId::get), Some(268_435_455));
        assert_eq!(SubscriptionId::new(268_435_456), None);
    }
}
