//! What an MQTT engine asks of whoever holds sessions, and what it is told.
//!
//! The holder is the process's own memory, ha-server's replicated state, or the same core inside a
//! broker that works alone; the engine cannot tell. Nothing here is a call: an [`Ask`] is answered
//! by a [`Tell`] later, in any order across sessions and in order within one. ADR 0007 has the
//! reasons; three rules carry the rest:
//!
//! 1. The holder owns every number that survives a connection: session ids and epochs, offsets,
//!    packet ids of durable sessions. The engine invents packet ids for ephemeral sessions only.
//! 2. An acknowledgement is an answer: the engine sends CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP,
//!    SUBACK and UNSUBACK when the holder has told it to, and never earlier.
//! 3. Everything says for which epoch. An ask with an epoch that is not current changes nothing and
//!    is answered by [`Tell::Fenced`].
//!
//! Every ask may come again after a broken stream: it is known by its session epoch and its ticket,
//! offset or packet id, and then answered again without being done again.

mod ask;
mod id;
mod tell;

pub use ask::{
    Ask, CloseCause, Lifetime, NewWill, Open, Progress, Refused, RetainHandling, Start,
    SubscribeOptions,
};
pub use id::{ConnectionId, Offset, PacketId, SessionEpoch, SessionKey, SubscriptionId};
pub use tell::{
    Eviction, Granted, Opened, Page, PageEnd, Queued, Record, RecordStage, RefuseReason, Tell,
    Unqueued,
};
