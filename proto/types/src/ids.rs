//! Identities, counters and times. Each is a type of its own, so that none is taken for another.

use std::fmt;
use std::sync::Arc;

use crate::limits::BROKER_NAME_BYTES_MAX;

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

counter! {
    /// One run of one broker process. A restarted broker has a higher one.
    Incarnation
}
counter! {
    /// One run of one ha-server process. A restarted ha-server has a higher one.
    ServerIncarnation
}
counter! {
    /// Fencing token of an attached broker: given by ha-server at each attach, always growing.
    /// What carries a lower epoch than the current one is stale. Zero: never attached.
    BrokerEpoch
}
counter! {
    /// Position of a numbered publish among those of one run of a broker, from 1. Dense within a broker
    /// epoch.
    PublishNumber
}
counter! {
    /// Position of what an engine asks among the asks of one broker epoch, from 1, dense.
    AskNumber
}
counter! {
    /// Order of the changes to the retained messages of a cluster. Zero: not yet ordered.
    RetainedVersion
}
counter! {
    /// A client session, unique within one incarnation of its broker. Zero: no session.
    SessionId
}
counter! {
    /// Ties an answer to its question between host and plugin, and between broker and ha-server.
    Ticket
}
counter! {
    /// Milliseconds on this process's monotonic clock. Not wall time: never persisted, never sent.
    Millis
}
counter! {
    /// Milliseconds of cluster time: comparable between all members, close to Unix time.
    ClusterMillis
}

impl Millis {
    /// This moment and `duration_ms` more.
    #[must_use]
    pub fn plus(self, duration_ms: u64) -> Self {
        Self(self.0.saturating_add(duration_ms))
    }

    /// Milliseconds from `earlier` to this moment; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Name of a broker: how operators know it. One to 64 of `A-Z a-z 0-9 . _ -`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrokerName(Arc<str>);

/// A broker name that is empty, too long or contains a character outside `A-Z a-z 0-9 . _ -`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?}: expected 1 to 64 of A-Z a-z 0-9 . _ -")]
pub struct InvalidBrokerName(String);

impl BrokerName {
    /// Checks length and characters.
    ///
    /// # Errors
    /// [`InvalidBrokerName`] with the offending text.
    pub fn parse(name: &str) -> Result<Self, InvalidBrokerName> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if name.is_empty() || name.len() > BROKER_NAME_BYTES_MAX || !name.bytes().all(allowed) {
            return Err(InvalidBrokerName(name.chars().take(80).collect()));
        }
        Ok(Self(name.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BrokerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::BrokerName;

    #[test]
    fn broker_name_of_64_characters_is_the_longest() {
        assert!(BrokerName::parse(&"a".repeat(64)).is_ok());
        assert!(BrokerName::parse(&"a".repeat(65)).is_err());
        assert!(BrokerName::parse("").is_err());
    }

    #[test]
    fn broker_name_refuses_blanks_and_separators() {
        for name in ["a b", "a/b", "a\n", "é"] {
            assert!(BrokerName::parse(name).is_err(), "{name}");
        }
        assert_eq!(BrokerName::parse("broker-1.eu_west").unwrap().as_str(), "broker-1.eu_west");
    }
}
