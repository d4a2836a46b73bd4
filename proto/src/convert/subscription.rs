//! What is subscribed to.

use bytes::Bytes;
use ha_types::Subscription;
use ha_types::session::{RetainHandling, SubscribeOptions};

use super::ProtocolError;
use super::message::qos_from;
use super::session::{subscription_id_from, subscription_id_into};
use crate::v1;

pub(super) fn subscription_from(wire: &Bytes) -> Result<Subscription, ProtocolError> {
    Ok(Subscription::parse(wire)?)
}

pub(super) fn subscription_into(subscription: &Subscription) -> Bytes {
    match subscription {
        Subscription::Plain(filter) => Bytes::copy_from_slice(filter.as_str().as_bytes()),
        Subscription::Shared(shared) => {
            format!("$share/{}/{}", shared.share_name, shared.filter.as_str()).into()
        }
    }
}

pub(super) fn options_from(wire: &v1::SubscribeOptions) -> Result<SubscribeOptions, ProtocolError> {
    Ok(SubscribeOptions {
        subscription: subscription_from(&wire.filter)?,
        qos: qos_from(wire.qos)?,
        no_local: wire.no_local,
        retain_as_published: wire.retain_as_published,
        retain_handling: match wire.retain_handling {
            0 => RetainHandling::AtSubscribe,
            1 => RetainHandling::IfNew,
            2 => RetainHandling::Never,
            other => return Err(ProtocolError::out_of_range("retain_handling", other)),
        },
        subscription_id: subscription_id_from(wire.subscription_id)?,
    })
}

pub(super) fn options_into(options: &SubscribeOptions) -> v1::SubscribeOptions {
    v1::SubscribeOptions {
        filter: subscription_into(&options.subscription),
        qos: options.qos.level().into(),
        no_local: options.no_local,
        retain_as_published: options.retain_as_published,
        retain_handling: match options.retain_handling {
            RetainHandling::AtSubscribe => 0,
            RetainHandling::IfNew => 1,
            RetainHandling::Never => 2,
        },
        subscription_id: subscription_id_into(options.subscription_id),
    }
}
