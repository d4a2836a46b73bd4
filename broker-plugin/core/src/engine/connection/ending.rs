//! Why a connection ends, and what its client is told.

use ha_types::session::{CloseCause, Lifetime};

use crate::codec::{DecodeError, Reason, TooLarge};
use crate::engine::limits::Limits;

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
    /// For the holder; `None`: it knows already.
    pub(super) cause: Option<CloseCause>,
    /// Of a client's DISCONNECT.
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
        Self { farewell, cause: Some(CloseCause::Failure), lifetime: None }
    }

    /// Without a word.
    pub(super) fn silent(cause: CloseCause) -> Self {
        Self { farewell: None, cause: Some(cause), lifetime: None }
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
        Self { farewell, cause, lifetime: None }
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
        Self::silent(CloseCause::Failure)
    }
}

impl From<Ending> for End {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Lost | Ending::NotReading => Self::silent(CloseCause::Failure),
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
