//! Judges what clients saw of a cluster against its promises: what was acknowledged and lost, came
//! twice, came in another order, or should never have come, each with the events that prove it.
//!
//! Pure: events in, [`Verdict`] out; no network and no clock. End-to-end tests with killed processes,
//! the simulation and the load generator record with a [`Recorder`], then call [`History::check`].
//! A history can be written to a file and judged again: `history-check FILE`.
//!
//! What is judged, and which promise it is, says [`Kind`]. What is *not*: shared subscriptions (what
//! comes by them may come to anybody, in any order), the moment of wills, order at QoS 0, payloads
//! (whoever records takes publisher and number out of them), and time.
//!
//! Registers that race are judged apart: [`register`]; share groups too: [`share`].
//!
//! Where observation leaves more than one explanation, one of which is right behaviour, there is no
//! violation: a CONNECT without an answer may or may not have ended a session, a session or message
//! with a finite expiry may have expired (unless [`What::LastsAtMost`] says otherwise).

mod check;
mod client;
mod event;
mod evidence;
mod findings;
mod history;
mod line;
mod names;
mod numbers;
mod published;
mod recorder;
pub mod register;
mod rules;
mod seen;
pub mod share;
mod subscriptions;
mod verdict;
mod words;

pub use event::{
    At, Event, NEVER_EXPIRES, Name, Present, Retain, RetainedWanted, Start, Step, What,
};
pub use history::{EVENTS_MAX, History};
pub use line::InvalidLine;
pub use names::Names;
pub use recorder::{Client, Recorder};
pub use verdict::{Counts, Kind, PROOF_MAX, VIOLATIONS_MAX, Verdict, Violation};
