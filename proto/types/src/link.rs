//! What a broker and ha-server say to each other, as values.
//!
//! `ha-proto` turns these into bytes and back; the cores speak only in these. The comments of
//! `proto/distributor.proto` are the specification of the exchange, ADR 0014 has its reasons.

mod down;
mod hello;
mod up;

pub use down::{Downstream, Goodbye, GoodbyeReason, KNOWN_AS_MAX, Origin, PublishOutcome};
pub use hello::{Hello, PROTOCOL_VERSION, PROTOCOL_VERSIONS, RetainedUse, VersionRange, Welcome};
pub use up::{Duty, Needs, Resume, RetainedChange, Upstream};
