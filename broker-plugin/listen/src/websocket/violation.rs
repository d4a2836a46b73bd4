//! How a client can break the WebSocket protocol, and the code that it is told.

/// What was wrong. Ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    #[error("a text frame: MQTT needs binary frames [MQTT-6.0.0-1]")]
    Text,
    #[error("a frame without a mask")]
    Unmasked,
    #[error("a reserved bit is set: no extension was agreed")]
    Reserved,
    #[error("an unknown kind of frame")]
    Opcode,
    #[error("a fragment without a beginning, or a message inside of another")]
    Fragment,
    #[error("a control frame that is long or fragmented")]
    Control,
    #[error("a frame length that is not in its shortest form")]
    Length,
    #[error("a malformed close frame")]
    Close,
    #[error("a message larger than the limit")]
    TooLarge,
}

impl Violation {
    /// The close code of RFC 6455 §7.4.1.
    pub(super) fn code(self) -> u16 {
        match self {
            Self::Text => 1003,
            Self::TooLarge => 1009,
            Self::Unmasked
            | Self::Reserved
            | Self::Opcode
            | Self::Fragment
            | Self::Control
            | Self::Length
            | Self::Close => 1002,
        }
    }
}
