//! Items in, bounded frames out, and back.
//!
//! A frame holds at most [`FRAME_ITEMS_MAX`] items and about [`FRAME_BYTES`]. An item with longer
//! lists is cut into parts, a message with a larger payload into chunks. Cutting shares the storage
//! of payloads. Reading a chunked message copies its payload once.
//!
//! One reader serves one direction of one stream: it remembers an item that is not yet complete,
//! in memory bounded by [`Direction::ITEM_BYTES_MAX`].
//!
//! [`FRAME_ITEMS_MAX`]: ha_types::limits::FRAME_ITEMS_MAX
//! [`FRAME_BYTES`]: ha_types::limits::FRAME_BYTES

mod direction;
mod pack;
mod parts;
mod read;

pub use direction::{Direction, Down, Up};
pub use pack::pack;
pub use read::Reader;
