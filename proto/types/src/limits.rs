//! Named maxima that the protocol itself fixes. Everything an operator may tune is configuration.

/// Bytes of a topic name or filter: the length prefix of MQTT has 16 bits [MQTT-4.7.3-3].
pub const TOPIC_BYTES_MAX: usize = 65_535;

/// Levels (separated by `/`) of a topic name or filter.
///
/// Chosen well above real naming schemes (5 to 10 levels) and low enough that walking a
/// [`FilterTree`](crate::FilterTree) by recursion needs little stack.
pub const TOPIC_LEVELS_MAX: usize = 128;

/// Default of `MAX_PACKET`: bytes of one MQTT packet.
pub const PACKET_BYTES_DEFAULT: usize = 1 << 20;

/// Ceiling of `MAX_PACKET`.
pub const PACKET_BYTES_MAX: usize = 16 << 20;

/// Bytes of payload that one frame between broker and ha-server aims at.
///
/// A batch is cut when it reaches this; a larger message travels in chunks of this size.
pub const FRAME_BYTES: usize = 256 << 10;

/// Bytes of a frame that the receiver refuses. Above [`FRAME_BYTES`] by one topic, one set of
/// properties ([`PROPERTIES_BYTES_MAX`]) and the framing of a full batch.
pub const FRAME_BYTES_MAX: usize = 1 << 20;

/// Bytes of the opaque properties of one message.
pub const PROPERTIES_BYTES_MAX: usize = 128 << 10;

/// Items in one frame.
pub const FRAME_ITEMS_MAX: usize = 4_096;

/// Topic filters in one announcement or withdrawal; more are split over several items.
pub const FILTERS_PER_ITEM_MAX: usize = 256;

/// Bytes of a broker's name.
pub const BROKER_NAME_BYTES_MAX: usize = 64;

/// Brokers that can be attached to one ha-server; the width of the set that fan-out computes with.
pub const BROKERS_MAX: usize = 64;
