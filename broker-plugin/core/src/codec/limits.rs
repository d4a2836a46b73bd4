//! Named maxima of one packet, beside those of [`ha_types::limits`].

/// Bytes of a string, of binary data or of a topic: their length prefix has 16 bits.
pub const FIELD_BYTES_MAX: usize = 65_535;

/// The largest Variable Byte Integer, so the largest remaining length (5.0 §1.5.5).
pub const VARIABLE_MAX: usize = 268_435_455;

/// Bytes of the largest packet that the protocol can express.
pub const PACKET_BYTES_LIMIT: usize = 5 + VARIABLE_MAX;

/// User properties of one packet or one will.
///
/// A hundred times what clients are known to send, and little enough that every subscriber can be
/// expected to take a message that carries as many.
pub const USER_PROPERTIES_MAX: usize = 1_024;

/// Bytes of all properties of one packet or one will.
pub use ha_types::limits::PROPERTIES_BYTES_MAX;

/// Topic filters of one SUBSCRIBE or UNSUBSCRIBE. A filter of one byte takes about 30 times its
/// size when it is parsed: this bounds what one packet can make us allocate.
pub const FILTERS_MAX: usize = 8_192;
