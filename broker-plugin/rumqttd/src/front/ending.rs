//! Why connections end, and what that means for client, session and will. Pure.

use broker_core::codec::{DecodeError, Disconnect, Reason, TooLarge, Will};

use crate::router::link::RouterGone;

/// Why a connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The client closed its socket, or the network did.
    Closed,
    /// The client sent DISCONNECT.
    Left(Disconnect),
    /// We end it, and tell 5.0 why.
    Refused(Reason, String),
    /// The router has died.
    RouterGone,
}

impl From<RouterGone> for End {
    fn from(_: RouterGone) -> Self {
        Self::RouterGone
    }
}

impl From<TooLarge> for End {
    fn from(_: TooLarge) -> Self {
        let why = "an answer is larger than the client's Maximum Packet Size";
        Self::Refused(Reason::PACKET_TOO_LARGE, why.to_owned())
    }
}

impl From<DecodeError> for End {
    fn from(error: DecodeError) -> Self {
        Self::Refused(error.reason(), error.to_string())
    }
}

/// What an [`End`] means for client, session and will.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// What DISCONNECT says, when there is one.
    pub(crate) farewell: Option<(Reason, String)>,
    pub(crate) session_expiry_s: u32,
    pub(crate) will: Option<Box<Will>>,
}

/// The will is published unless the client said a normal goodbye.
pub(crate) fn outcome(end: End, session_expiry_s: u32, will: Option<Box<Will>>) -> Outcome {
    let plain = Outcome { farewell: None, session_expiry_s, will };
    let refused = |reason: Reason, why: &str| Some((reason, why.to_owned()));
    match end {
        End::Closed => plain,
        End::Refused(reason, why) => Outcome { farewell: Some((reason, why)), ..plain },
        End::RouterGone => {
            let why = "the router of this broker has died";
            Outcome { farewell: refused(Reason::IMPLEMENTATION_SPECIFIC, why), ..plain }
        }
        End::Left(left) => {
            let expiry = left.session_expiry_s.unwrap_or(session_expiry_s);
            if session_expiry_s == 0 && expiry > 0 {
                // [MQTT-3.14.2-2]
                let why = "a session that ends with its connection cannot be given an expiry";
                return Outcome { farewell: refused(Reason::PROTOCOL_ERROR, why), ..plain };
            }
            let will = plain.will.filter(|_| left.reason != Reason::SUCCESS);
            Outcome { farewell: None, session_expiry_s: expiry, will }
        }
    }
}

#[cfg(test)]
mod tests {
    use broker_core::codec::Binary;

    use super::*;

    fn left(reason: Reason, session_expiry_s: Option<u32>) -> End {
        End::Left(Disconnect { reason, session_expiry_s, ..Disconnect::default() })
    }

    fn will() -> Option<Box<Will>> {
        let topic = ha_types::TopicName::parse(bytes::Bytes::from_static(b"w")).unwrap();
        Some(Box::new(Will {
            topic,
            payload: Binary::default(),
            qos: ha_types::Qos::AtMostOnce,
            retain: false,
            properties: bytes::Bytes::new(),
            expires_in_s: None,
            delay_s: 0,
        }))
    }

    /// [MQTT-3.1.2-10], [MQTT-3.14.4-3]
    #[test]
    fn only_a_normal_disconnect_takes_the_will_away() {
        assert_eq!(outcome(left(Reason::SUCCESS, None), 0, will()).will, None);
        assert_eq!(outcome(left(Reason::DISCONNECT_WITH_WILL, None), 0, will()).will, will());
        assert_eq!(outcome(End::Closed, 0, will()).will, will());
    }

    /// [MQTT-3.14.2-2]
    #[test]
    fn disconnect_may_change_an_expiry_but_not_introduce_one() {
        assert_eq!(outcome(left(Reason::SUCCESS, Some(0)), 60, None).session_expiry_s, 0);
        let introduced = outcome(left(Reason::SUCCESS, Some(60)), 0, will());
        assert_eq!(introduced.farewell.map(|(reason, _)| reason), Some(Reason::PROTOCOL_ERROR));
        assert_eq!((introduced.session_expiry_s, introduced.will), (0, will()));
    }
}
