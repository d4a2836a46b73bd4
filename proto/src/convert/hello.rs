//! How a stream begins, and how it ends.

use ha_types::link::{Goodbye, GoodbyeReason, Hello, RetainedUse, VersionRange, Welcome};
use ha_types::{
    AskNumber, BrokerEpoch, BrokerName, ClusterMillis, Incarnation, PublishNumber,
    ServerIncarnation,
};

use super::ProtocolError;
use crate::v1;

/// Characters of a program's name and version; more are cut off.
const SOFTWARE_CHARS_MAX: usize = 128;

/// Characters of a sentence; more are cut off.
const DETAIL_CHARS_MAX: usize = 512;

/// Bytes of `host:port`: the longest name, a colon and five digits. More are refused.
const ADDRESS_BYTES_MAX: usize = 262;

pub(super) fn hello_from(wire: v1::Hello) -> Result<Hello, ProtocolError> {
    use v1::hello::Retained;
    let retained = Retained::try_from(wire.retained)
        .map_err(|_| ProtocolError::unknown("retained", wire.retained))?;
    Ok(Hello {
        versions: VersionRange { min: wire.version_min, max: wire.version_max },
        name: BrokerName::parse(&wire.name)?,
        incarnation: Incarnation(wire.incarnation),
        software: wire.software.chars().take(SOFTWARE_CHARS_MAX).collect(),
        retained: match retained {
            Retained::Copy => RetainedUse::Copy,
            Retained::None => RetainedUse::None,
        },
    })
}

pub(super) fn hello_into(hello: &Hello) -> v1::Hello {
    use v1::hello::Retained;
    let retained = match hello.retained {
        RetainedUse::Copy => Retained::Copy,
        RetainedUse::None => Retained::None,
    };
    v1::Hello {
        version_min: hello.versions.min,
        version_max: hello.versions.max,
        name: hello.name.as_str().to_owned(),
        incarnation: hello.incarnation.0,
        software: hello.software.clone(),
        capabilities: Vec::new(),
        retained: retained.into(),
    }
}

pub(super) fn welcome_from(wire: &v1::Welcome) -> Welcome {
    Welcome {
        version: wire.version,
        epoch: BrokerEpoch(wire.epoch),
        server: ServerIncarnation(wire.server),
        lease_ms: wire.lease_ms,
        heartbeat_ms: wire.heartbeat_ms,
        taken_upto: PublishNumber(wire.taken_upto),
        asked_upto: AskNumber(wire.asked_upto),
        publish_window: wire.publish_window,
        cluster_time: ClusterMillis(wire.cluster_time_ms),
        software: wire.software.chars().take(SOFTWARE_CHARS_MAX).collect(),
    }
}

pub(super) fn welcome_into(welcome: &Welcome) -> v1::Welcome {
    v1::Welcome {
        version: welcome.version,
        epoch: welcome.epoch.0,
        server: welcome.server.0,
        lease_ms: welcome.lease_ms,
        heartbeat_ms: welcome.heartbeat_ms,
        taken_upto: welcome.taken_upto.0,
        asked_upto: welcome.asked_upto.0,
        publish_window: welcome.publish_window,
        cluster_time_ms: welcome.cluster_time.0,
        software: welcome.software.clone(),
        capabilities: Vec::new(),
    }
}

pub(super) fn goodbye_from(wire: v1::Goodbye) -> Result<Goodbye, ProtocolError> {
    let reason = goodbye_reason(wire.reason)?;
    if wire.leader.len() > ADDRESS_BYTES_MAX {
        return Err(ProtocolError::out_of_range("leader", wire.leader.len()));
    }
    let leader = (!wire.leader.is_empty()).then_some(wire.leader);
    Ok(Goodbye { reason, detail: wire.detail.chars().take(DETAIL_CHARS_MAX).collect(), leader })
}

fn goodbye_reason(wire: i32) -> Result<GoodbyeReason, ProtocolError> {
    use v1::goodbye::Reason;
    Ok(match Reason::try_from(wire).map_err(|_| ProtocolError::unknown("reason", wire))? {
        Reason::Unspecified => return Err(ProtocolError::Missing("reason")),
        Reason::ShuttingDown => GoodbyeReason::ShuttingDown,
        Reason::UnsupportedVersion => GoodbyeReason::UnsupportedVersion,
        Reason::NameInUse => GoodbyeReason::NameInUse,
        Reason::TooManyBrokers => GoodbyeReason::TooManyBrokers,
        Reason::LeaseExpired => GoodbyeReason::LeaseExpired,
        Reason::Replaced => GoodbyeReason::Replaced,
        Reason::ProtocolError => GoodbyeReason::ProtocolError,
        Reason::NotLeader => GoodbyeReason::NotLeader,
        Reason::TooSlow => GoodbyeReason::TooSlow,
    })
}

pub(super) fn goodbye_into(goodbye: &Goodbye) -> v1::Goodbye {
    use v1::goodbye::Reason;
    let reason = match goodbye.reason {
        GoodbyeReason::ShuttingDown => Reason::ShuttingDown,
        GoodbyeReason::UnsupportedVersion => Reason::UnsupportedVersion,
        GoodbyeReason::NameInUse => Reason::NameInUse,
        GoodbyeReason::TooManyBrokers => Reason::TooManyBrokers,
        GoodbyeReason::LeaseExpired => Reason::LeaseExpired,
        GoodbyeReason::Replaced => Reason::Replaced,
        GoodbyeReason::ProtocolError => Reason::ProtocolError,
        GoodbyeReason::NotLeader => Reason::NotLeader,
        GoodbyeReason::TooSlow => Reason::TooSlow,
    };
    v1::Goodbye {
        reason: reason.into(),
        detail: goodbye.detail.clone(),
        leader: goodbye.leader.clone().unwrap_or_default(),
    }
}
