//! How a stream begins.

use crate::ids::{
    AskNumber, BrokerEpoch, BrokerName, ClusterMillis, Incarnation, PublishNumber,
    ServerIncarnation,
};

/// The protocol version that this build speaks.
pub const PROTOCOL_VERSION: u32 = 1;

/// The versions that this build accepts.
pub const PROTOCOL_VERSIONS: VersionRange = VersionRange { min: 1, max: PROTOCOL_VERSION };

/// An inclusive range of protocol versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionRange {
    /// Lowest.
    pub min: u32,
    /// Highest.
    pub max: u32,
}

impl VersionRange {
    /// The highest version in both ranges.
    #[must_use]
    pub fn highest_common(self, other: Self) -> Option<u32> {
        let version = self.max.min(other.max);
        (version >= self.min.max(other.min)).then_some(version)
    }
}

/// First item of a broker's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Versions that the broker speaks.
    pub versions: VersionRange,
    /// Who it is.
    pub name: BrokerName,
    /// Which run of it.
    pub incarnation: Incarnation,
    /// Program and version, for people.
    pub software: String,
    /// Whether it wants to be told of retained messages that no subscriber needs now.
    pub retained: RetainedUse,
}

/// What a broker does with retained messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetainedUse {
    /// It keeps a copy, and answers SUBSCRIBEs from it.
    Copy,
    /// Its sessions are with ha-server, whose answers bring what they need.
    None,
}

/// The answer to [`Hello`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The version that both will speak.
    pub version: u32,
    /// The broker's fencing token. The same as before while the broker was not lost.
    pub epoch: BrokerEpoch,
    /// Which run of ha-server this is.
    pub server: ServerIncarnation,
    /// How long the broker is believed alive after it sent a heartbeat that was answered.
    pub lease_ms: u64,
    /// How often it must send one.
    pub heartbeat_ms: u64,
    /// Numbered publishes up to here are done, and their answers are known to have come;
    /// they need no resend. An answer may have been lost with its stream: zero when ha-server cannot
    /// know, so that whatever was not answered comes again.
    pub taken_upto: PublishNumber,
    /// The same for asks.
    pub asked_upto: AskNumber,
    /// Numbered publishes that may be unanswered at a time.
    pub publish_window: u32,
    /// Cluster time when this was sent.
    pub cluster_time: ClusterMillis,
    /// Program and version, for people.
    pub software: String,
}

#[cfg(test)]
mod tests {
    use super::VersionRange;

    #[test]
    fn highest_common_version_is_chosen_and_disjoint_ranges_have_none() {
        let ours = VersionRange { min: 1, max: 3 };
        assert_eq!(ours.highest_common(VersionRange { min: 2, max: 9 }), Some(3));
        assert_eq!(ours.highest_common(VersionRange { min: 3, max: 3 }), Some(3));
        assert_eq!(ours.highest_common(VersionRange { min: 4, max: 9 }), None);
    }
}
