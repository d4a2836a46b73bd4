//! The MQTT engine of the `session` host, without its sockets.
//!
//! - [`Connection`]: one client's connection, from its first byte to its last. It decodes, checks,
//!   acknowledges and paces; what it needs from others it requests, and is told later.
//! - [`Delivery`]: a message on its way to one connection.
//! - [`Routes`]: who is connected and gets a message at once.
//! - [`Note`]: what an access log says of it.
//! - [`Limits`]: how much one connection may ask for.
//!
//! Sessions that outlive a connection are elsewhere ([`ha_types::session`]). What is *not* here:
//! sockets, timers, tasks; and who else is connected.

mod connection;
mod delivery;
mod limits;
mod note;
mod output;
mod routes;

pub use connection::{Connection, Ending, Input, LEAVE_MS_MAX, Moment, Surroundings};
pub use delivery::{Delivery, Encodings, SubscriptionIds};
pub use limits::{Limits, SharedSubscriptions};
pub use note::{Connected, Note, Notes};
pub use output::{Attempt, Counts, Credentials, Output, Request, Verdict};
pub use routes::{Hit, Route, Routes, Scratch, Wants};
