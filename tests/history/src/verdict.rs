//! What the check found, in words.

use std::fmt;

use crate::event::{At, Event};

/// Violations of each kind that are kept; the others are counted.
pub const VIOLATIONS_MAX: usize = 20;

/// Events that are kept as the proof of one violation.
pub const PROOF_MAX: usize = 16;

/// What kind of promise was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// P1: a publish at QoS ≥ 1 was acknowledged, sent after a SUBACK, and never came to that
    /// subscription, although its session went on and was drained.
    AcknowledgedAndLost,
    /// P2: a QoS 2 message came more than once in a session.
    ExactlyOnceTwice,
    /// P3: a message came again without a lost connection or a fault, or without DUP, or more often
    /// than its publisher sent it.
    TwiceWithoutCause,
    /// P4: messages of one publisher, topic and QoS ≥ 1 came first in another order than they were
    /// sent.
    OutOfOrder,
    /// P5: a SUBSCRIBE that was sent after the acknowledgement of a retained message got neither
    /// that one nor a newer one.
    RetainedMissing,
    /// P6: Session Present of a CONNACK is wrong.
    SessionPresent,
    /// P7: an older connection of a client was served after a newer one was accepted.
    ConnectedTwice,
    /// Delivered, but never published so: unknown number, another topic, or RETAIN added.
    NeverPublished,
    /// Delivered with more than the QoS that was published or granted.
    QosTooHigh,
    /// Delivered to a client that never subscribed to the topic.
    NotSubscribed,
    /// A packet identifier was used for a second message while the first was not acknowledged.
    PacketIdInFlight,
    /// Not the cluster's fault: the history contradicts itself, so that it proves nothing.
    Misrecorded,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 12] = [
        Self::AcknowledgedAndLost,
        Self::ExactlyOnceTwice,
        Self::TwiceWithoutCause,
        Self::OutOfOrder,
        Self::RetainedMissing,
        Self::SessionPresent,
        Self::ConnectedTwice,
        Self::NeverPublished,
        Self::QosTooHigh,
        Self::NotSubscribed,
        Self::PacketIdInFlight,
        Self::Misrecorded,
    ];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AcknowledgedAndLost => "acknowledged and lost (P1)",
            Self::ExactlyOnceTwice => "QoS 2 delivered twice (P2)",
            Self::TwiceWithoutCause => "delivered again without cause (P3)",
            Self::OutOfOrder => "out of order (P4)",
            Self::RetainedMissing => "retained message not seen by SUBSCRIBE (P5)",
            Self::SessionPresent => "Session Present is wrong (P6)",
            Self::ConnectedTwice => "one client connected twice (P7)",
            Self::NeverPublished => "delivered and never published",
            Self::QosTooHigh => "delivered with a higher QoS than published or granted",
            Self::NotSubscribed => "delivered and never subscribed to",
            Self::PacketIdInFlight => "packet identifier in use twice",
            Self::Misrecorded => "recorded wrongly",
        })
    }
}

/// A broken promise and its proof.
#[derive(Clone, Debug)]
pub struct Violation {
    /// What kind.
    pub kind: Kind,
    /// What happened, as a sentence.
    pub sentence: String,
    /// The events that prove it, in order; at most [`PROOF_MAX`].
    pub proof: Vec<(At, Event<String>)>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.sentence)?;
        for (at, event) in &self.proof {
            write!(f, "\n      {at} {event}")?;
        }
        Ok(())
    }
}

/// How much was observed and judged. A clean verdict over few `owed` says little.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events.
    pub events: u64,
    /// Different messages that were published.
    pub published: u64,
    /// Those of them that were acknowledged.
    pub acknowledged: u64,
    /// Deliveries, repetitions included.
    pub delivered: u64,
    /// Repetitions that a promise allows.
    pub duplicates_excused: u64,
    /// Acknowledged messages that drained clients had to have got, counted for each client.
    pub owed: u64,
    /// Acknowledged messages that did not come, with an excuse: expiry, a full queue, UNSUBSCRIBE,
    /// the session's end.
    pub lost_excused: u64,
    /// How often a client was drained.
    pub drained: u64,
    /// Retained messages that a SUBSCRIBE had to see, counted for each subscription and topic.
    pub retained_owed: u64,
    /// Events that found no room in the recorder.
    pub left_out: u64,
}

/// What the check found.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// How much was observed and judged.
    pub counts: Counts,
    /// The first [`VIOLATIONS_MAX`] of each kind, in the order of kinds, then of observation.
    pub violations: Vec<Violation>,
    /// How many there are of each kind that occurs.
    pub totals: Vec<(Kind, u64)>,
}

impl Verdict {
    /// Whether no promise was broken and no event left out.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.totals.is_empty() && self.counts.left_out == 0
    }

    /// How many violations of this kind there are, those included that are not kept.
    #[must_use]
    pub fn total(&self, kind: Kind) -> u64 {
        self.totals.iter().find(|(found, _)| *found == kind).map_or(0, |&(_, total)| total)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { events, published, acknowledged, delivered, .. } = self.counts;
        let Counts { duplicates_excused, owed, lost_excused, .. } = self.counts;
        let Counts { drained, retained_owed, left_out, .. } = self.counts;
        writeln!(f, "{events} events: {published} published, {acknowledged} acknowledged")?;
        writeln!(f, "{delivered} delivered, of which {duplicates_excused} again, excused")?;
        writeln!(f, "{owed} owed to drained clients ({drained} times), {lost_excused} excused")?;
        writeln!(f, "{retained_owed} retained messages owed to SUBSCRIBEs")?;
        if left_out > 0 {
            writeln!(f, "incomplete: {left_out} events found no room")?;
        }
        for &(kind, total) in &self.totals {
            writeln!(f, "\n{kind}: {total}")?;
            let kept = self.violations.iter().filter(|violation| violation.kind == kind);
            for (number, violation) in (1..).zip(kept) {
                writeln!(f, "  {number}. {violation}")?;
            }
        }
        write!(f, "{}", if self.is_clean() { "clean" } else { "\nNOT CLEAN" })
    }
}
