//! The vocabulary of `ha_types`.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use ha_types::link::Origin;
use ha_types::session::{
    CloseCause, ConnectionId, Lifetime, NewWill, Offset, Open, PacketId, Progress, Refused,
    RetainHandling, SessionEpoch, SessionKey, Start, SubscribeOptions, SubscriptionId,
};
use ha_types::{
    AskNumber, BrokerEpoch, BrokerName, ClusterMillis, Incarnation, Message, PublishNumber,
    Publisher, Qos, RetainedVersion, SessionId, Subscription, TopicName,
};

use super::{Malformed, Wire, fields};
use crate::cluster::broker::Refusal;
use crate::cluster::strategy::{Strategies, Strategy};

macro_rules! counter {
    ($($name:ty),*) => {$(
        impl Wire for $name {
            fn write(&self, out: &mut BytesMut) {
                self.0.write(out);
            }

            fn read(input: &mut Bytes) -> Result<Self, Malformed> {
                u64::read(input).map(Self)
            }
        }
    )*};
}

counter!(
    AskNumber,
    BrokerEpoch,
    ClusterMillis,
    ConnectionId,
    Incarnation,
    PublishNumber,
    RetainedVersion,
    SessionEpoch,
    SessionId
);

/// Writes a choice without content as its number.
macro_rules! choice {
    ($name:ty { $($variant:ident = $number:literal),* $(,)? }) => {
        impl Wire for $name {
            fn write(&self, out: &mut BytesMut) {
                let number: u8 = match self {
                    $(Self::$variant => $number,)*
                };
                number.write(out);
            }

            fn read(input: &mut Bytes) -> Result<Self, Malformed> {
                match u8::read(input)? {
                    $($number => Ok(Self::$variant),)*
                    _ => Err(Malformed),
                }
            }
        }
    };
}

choice!(Qos { AtMostOnce = 0, AtLeastOnce = 1, ExactlyOnce = 2 });
choice!(Refusal { QuotaExceeded = 0, Fenced = 1, Repeat = 2 });
choice!(Start { Clean = 0, Resume = 1 });
choice!(CloseCause { Disconnect = 0, Failure = 1, Handover = 2 });
choice!(RetainHandling { AtSubscribe = 0, IfNew = 1, Never = 2 });

choice!(Strategy {
    RoundRobin = 0,
    LocalFirst = 1,
    LeastInFlight = 2,
    ByClient = 3,
    ByTopic = 4,
});

fields!(Offset { message, private });
fields!(Origin { broker, number });
fields!(SessionKey { id, epoch });
fields!(Publisher { session, epoch });
fields!(Message { topic, payload, properties, qos, retain, expires_at, publisher });
fields!(NewWill { message, expires_in_s, delay_s });
fields!(Open { connection, client_id, start, lifetime, will, receive_maximum });
fields!(SubscribeOptions {
    subscription,
    qos,
    no_local,
    retain_as_published,
    retain_handling,
    subscription_id,
});
fields!(Progress { acknowledged, received, completed, refused });

impl<T: Wire> Wire for Arc<T> {
    fn write(&self, out: &mut BytesMut) {
        T::write(self, out);
    }

    fn read(input: &mut Bytes) -> Result<Self, Malformed> {
        T::read(input).map(Self::new)
    }
}

/// In order, each name once: one meaning has one form.
impl Wire for Strategies {
    fn write(&self, out: &mut BytesMut) {
        self.otherwise.write(out);
        let by_name = self.by_name.iter().map(|(name, of)| (Arc::clone(name), *of));
        by_name.collect::<Vec<_>>().write(out);
    }

    fn read(input: &mut Bytes) -> Result<Self, Malformed> {
        let otherwise = Wire::read(input)?;
        let by_name: Vec<(Arc<str>, Strategy)> = Wire::read(input)?;
        if !by_name.is_sorted_by(|a, b| a.0 < b.0) {
            return Err(Malformed);
        }
        Ok(Self { otherwise, by_name: by_name.into_iter().collect() })
    }
}

impl<T: Wire> Wire for Box<T> {
    fn write(&self, out: &mut BytesMut) {
        T::write(self, out);
    }

    fn read(input: &mut Bytes) -> Result<Self, Malformed> {
        T::read(input).map(Self::new)
    }
}

fn write_text(text: &str, out: &mut BytesMut) {
    text.len().write(out);
    out.extend_from_slice(text.as_bytes());
}

impl Wire for Arc<str> {
    fn write(&self, out: &mut BytesMut) {
        write_text(self, out);
    }

    fn read(input: &mut Bytes) -> Result<Self, Malformed> {
        let bytes = Bytes::read(input)?;
        std::str::from_utf8(&bytes).map(Self::from).map_err(|_| Malformed)
    }
}

impl Wire for BrokerName {
    fn write(&self, out: &mut BytesMut) {
        write_text(self.as_str(), out);
    }

    fn read(input: &mut Bytes) -> Result<Self, Malformed> {
        Self::parse(&Arc::<str>::read(input)?).map_err(|_| Malformed)
    }
}

impl Wire for TopicName {
    fn write(&self, out: &mut BytesMut) {
        self.as_bytes().write(out);
    }

    fn read(input: &mut Bytes) -> Result<Self, Malformed> {
        Self::parse(Bytes::read(input)?).map_err(|_| Malformed)
    }
}

impl Wire for Subscription {
    fn write(&self, out: &mut BytesMut) {
        write_text(&self.to_string(), out);
    }

    fn read(input: &mut Bytes) -> Result<Self, Malformed> {
        Self::parse(&Bytes::read(input)?).map_err(|_| Malformed)
    }
}

impl Wire for PacketId {
    fn write(&self, out: &mut BytesMut) {
        self.get().write(out);
    }

    fn read(input: &mut Bytes) -> Result<Self, Malformed> {
        Self::new(u16::read(input)?).ok_or(Malformed)
    }
}

impl Wire for SubscriptionId {
    fn write(&self, out: &mut BytesMut) {
        self.get().write(out);
    }

    fn read(input: &mut Bytes) -> Result<Self, Malformed> {
        Self::new(u32::read(input)?).ok_or(Malformed)
    }
}

/// The two ends of the Session Expiry Interval have their meaning in MQTT 5.0 §3.1.2.11.2.
impl Wire for Lifetime {
    fn write(&self, out: &mut BytesMut) {
        match self {
            Self::Connection => 0,
            Self::Seconds(seconds) => *seconds,
            Self::Unlimited => u32::MAX,
        }
        .write(out);
    }

    fn read(input: &mut Bytes) -> Result<Self, Malformed> {
        u32::read(input).map(Self::from_expiry_interval)
    }
}

impl Wire for Refused {
    fn write(&self, out: &mut BytesMut) {
        match self {
            Self::Offset(offset) => (0_u8, *offset).write(out),
            Self::Record(packet_id) => (1_u8, *packet_id).write(out),
        }
    }

    fn read(input: &mut Bytes) -> Result<Self, Malformed> {
        match u8::read(input)? {
            0 => Wire::read(input).map(Self::Offset),
            1 => Wire::read(input).map(Self::Record),
            _ => Err(Malformed),
        }
    }
}
