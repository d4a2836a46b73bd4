//! Why a connection ends, and what its client is told.

use ha_types::session::{CloseCause, Eviction, Lifetime};

use crate::codec::{DecodeError, Reason, TooLarge};
use crate::engine::limits::Limits;
use crate::engine::note::Note;

/// Why the shell ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The socket is closed or broken.
    Lost,
    /// The broker stops: 0x8B, or 0x9C with another server to use.
    ShuttingDown,
    /// An operator wants it: 0x98.
    Administrative,
    /// The client takes nothing of what is written to it: closed without a word.
    NotReading,
}

/// The end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// DISCONNECT says so; `None`: nothing is said.
    pub(super) farewell: Option<Farewell>,
    /// For people, where nothing is said to the client.
    pub(super) word: &'static str,
    /// For the holder; `None`: it knows already.
    pub(super) cause: Option<CloseCause>,
    /// Of a client's DISCONNECT, or of an operator who wants the session to end.
    pub(super) lifetime: Option<Lifetime>,
}

/// The last words to a client of 5.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Farewell {
    pub(super) reason: Reason,
    /// For people.
    pub(super) why: Why,
}

/// What a reason string says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// A sentence of ours.
    Text(&'static str),
    /// What is wrong with a packet.
    Packet(DecodeError),
}

impl End {
    /// The client did something that it must not do; its will goes out.
    pub(super) fn because(reason: Reason, why: &'static str) -> Self {
        Self::failing(reason, Why::Text(why))
    }

    fn failing(reason: Reason, why: Why) -> Self {
        let farewell = Some(Farewell { reason, why });
        Self { farewell, word: "", cause: Some(CloseCause::Failure), lifetime: None }
    }

    /// Without a word.
    pub(super) fn silent(cause: CloseCause, word: &'static str) -> Self {
        Self { farewell: None, word, cause: Some(cause), lifetime: None }
    }

    /// Whoever holds the session wants it.
    pub(super) fn evicted(why: Eviction) -> Self {
        let kicked = Self::from(Ending::Administrative);
        match why {
            Eviction::TakenOver => Self::taken_over(Some(CloseCause::Handover)),
            Eviction::Kicked => kicked,
            Eviction::Forgotten => Self { lifetime: Some(Lifetime::Connection), ..kicked },
        }
    }

    /// The broker lets its clients go. As far as the holder knows they may never come back: what they were
    /// to get of share groups goes to other members at once.
    pub(super) fn going_away(limits: &Limits) -> Self {
        let reason = match limits.server_moved {
            true => Reason::SERVER_MOVED,
            false => Reason::USE_ANOTHER_SERVER,
        };
        Self::because(reason, "this broker lets its clients go: connect again")
    }

    /// Another connection has the session, or will have it [MQTT-3.1.4-3].
    pub(super) fn taken_over(cause: Option<CloseCause>) -> Self {
        let why = Why::Text("another connection has this client identifier");
        let farewell = Some(Farewell { reason: Reason::SESSION_TAKEN_OVER, why });
        Self { farewell, word: "", cause, lifetime: None }
    }
}

impl End {
    /// For the access log.
    pub(super) fn note(&self) -> Note {
        match self.farewell {
            Some(Farewell { reason, why }) => {
                Note::Ended { reason: Some(reason), why: why.to_string() }
            }
            None => Note::Ended { reason: None, why: self.word.to_owned() },
        }
    }
}

impl From<DecodeError> for End {
    fn from(error: DecodeError) -> Self {
        Self::failing(error.reason(), Why::Packet(error))
    }
}

impl From<TooLarge> for End {
    fn from(_: TooLarge) -> Self {
        // Nothing can be said that would fit.
        Self::silent(CloseCause::Failure, "a packet was too large for the client")
    }
}

impl From<Ending> for End {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Lost => Self::silent(CloseCause::Failure, "the connection was lost"),
            Ending::NotReading => {
                Self::silent(CloseCause::Failure, "the client took nothing of what was written")
            }
            Ending::ShuttingDown => {
                Self::because(Reason::SERVER_SHUTTING_DOWN, "the broker shuts down")
            }
            Ending::Administrative => {
                Self::because(Reason::ADMINISTRATIVE_ACTION, "an operator ended the connection")
            }
        }
    }
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Packet(error) => error.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [MQTT-3.1.2-10] lets only a DISCONNECT of the client drop the will.
    #[test]
    fn evicted_client_is_told_why_and_its_session_ends_only_if_that_is_wanted() {
        let of = |why| {
            let end = End::evicted(why);
            (end.farewell.map(|farewell| farewell.reason), end.cause, end.lifetime)
        };
        let (handover, failure) = (Some(CloseCause::Handover), Some(CloseCause::Failure));
        let kicked = Some(Reason::ADMINISTRATIVE_ACTION);
        let taken_over = Some(Reason::SESSION_TAKEN_OVER);
        assert_eq!(of(Eviction::TakenOver), (taken_over, handover, None));
        assert_eq!(of(Eviction::Kicked), (kicked, failure, None));
        assert_eq!(of(Eviction::Forgotten), (kicked, failure, Some(Lifetime::Connection)));
    }
}
