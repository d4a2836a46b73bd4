//! What the check found, in words.

use std::collections::BTreeMap;
use std::fmt;

use super::{End, Member, Message, Process, SPREAD_PERCENT};

/// Violations of each kind that are kept; all are counted.
pub const VIOLATIONS_MAX: u64 = 20;

/// What kind of promise was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// No member of a group acknowledged what its publisher had PUBACK for.
    Lost,
    /// A member got what another of its group still held, or what it held itself.
    HeldByTwo,
    /// A member got what one of its group had acknowledged.
    AfterAcknowledgement,
    /// A member got much more or less than others while nothing failed.
    Uneven,
    /// Not the cluster's fault: what was observed contradicts itself.
    Misrecorded,
}

/// One delivery, with the connection that it came by. Moments are in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Whose.
    pub member: Member,
    /// Where its connection was.
    pub broker: Process,
    /// CONNACK came.
    pub began: u64,
    /// The message came.
    pub received: u64,
    /// PUBACK was written.
    pub acknowledged: Option<u64>,
    /// The broker certainly read that PUBACK.
    pub is_settled: bool,
    /// The connection ended.
    pub ended: Option<(u64, End)>,
}

/// A broken promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "`Kind` says what they are")]
pub enum Violation {
    Lost { group: u16, message: Message, published: u64, last: Option<Hold> },
    HeldByTwo { message: Message, holds: [Hold; 2] },
    AfterAcknowledgement { message: Message, holds: [Hold; 2] },
    Uneven { member: Member, got: u64, all: u64, members: u64 },
    Misrecorded { at: u64, member: Member, message: Message },
}

/// How much was observed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages with PUBACK.
    pub published: u64,
    /// Deliveries.
    pub delivered: u64,
    /// Acknowledgements of deliveries.
    pub acknowledged: u64,
    /// Deliveries of what a member had not acknowledged before its connection ended.
    pub handed_on: u64,
    /// Repetitions that a failure excuses.
    pub excused: u64,
    /// Deliveries, with DUP, of what the same member had acknowledged by an earlier connection just before,
    /// perhaps while there was no leader.
    pub came_back: u64,
    /// Connections of members.
    pub connections: u64,
    /// Those that a member let go.
    pub left: u64,
    /// Groups whose spread was judged.
    pub spread_judged: u64,
}

/// What the check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// How much was observed.
    pub counts: Counts,
    /// How many violations there are of each kind that occurs.
    pub totals: BTreeMap<Kind, u64>,
    /// The first [`VIOLATIONS_MAX`] of each kind.
    pub violations: Vec<Violation>,
}

impl Verdict {
    pub(super) fn report(&mut self, violation: Violation) {
        let total = self.totals.entry(violation.kind()).or_default();
        *total += 1;
        if *total <= VIOLATIONS_MAX {
            self.violations.push(violation);
        }
    }

    /// Whether no promise was broken.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.totals.is_empty()
    }
}

impl Violation {
    /// Of which kind it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Lost { .. } => Kind::Lost,
            Self::HeldByTwo { .. } => Kind::HeldByTwo,
            Self::AfterAcknowledgement { .. } => Kind::AfterAcknowledgement,
            Self::Uneven { .. } => Kind::Uneven,
            Self::Misrecorded { .. } => Kind::Misrecorded,
        }
    }
}

/// Microseconds, as seconds.
struct Moment(u64);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06} s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lost => "acknowledged to the publisher and by no member of a group",
            Self::HeldByTwo => "with two members of a group at a time",
            Self::AfterAcknowledgement => "delivered again after its acknowledgement",
            Self::Uneven => "uneven spread",
            Self::Misrecorded => "recorded wrongly",
        })
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "g{}-{}", self.group, self.number)
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {} of publisher {}", self.number, self.publisher)
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(number) => write!(f, "server-{number}"),
            Self::Broker(number) => write!(f, "broker-{number}"),
        }
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { member, broker, began, received, acknowledged, is_settled, ended } = *self;
        write!(f, "{member} at {broker} since {}: got it at {}", Moment(began), Moment(received))?;
        match (acknowledged, is_settled) {
            (None, _) => f.write_str(", did not acknowledge it")?,
            (Some(at), false) => write!(f, ", wrote PUBACK at {}", Moment(at))?,
            (Some(at), true) => write!(f, ", wrote PUBACK at {}, which was read", Moment(at))?,
        }
        match ended {
            None => f.write_str(", stayed"),
            Some((at, End::Chosen)) => write!(f, ", let go at {}", Moment(at)),
            Some((at, End::Suffered)) => write!(f, ", was cut off at {}", Moment(at)),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { group, message, published, last } => {
                write!(f, "g{group}: {message}, PUBACK at {}", Moment(*published))?;
                match last {
                    Some(last) => write!(f, "; last, {last}"),
                    None => f.write_str("; nobody got it"),
                }
            }
            Self::HeldByTwo { message, holds: [first, second] }
            | Self::AfterAcknowledgement { message, holds: [first, second] } => {
                write!(f, "{message}\n    {first}\n    {second}")
            }
            Self::Uneven { member, got, all, members } => {
                let mean = all / members;
                write!(f, "{member} got {got}, on average {mean} ({SPREAD_PERCENT} % may differ)")
            }
            Self::Misrecorded { at, member, message } => {
                write!(f, "{member} and {message} at {}", Moment(*at))
            }
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { published, delivered, acknowledged, handed_on, .. } = self.counts;
        let Counts { excused, came_back, connections, left, spread_judged, .. } = self.counts;
        writeln!(f, "{published} messages acknowledged to publishers")?;
        writeln!(f, "{delivered} deliveries, {acknowledged} acknowledged by members")?;
        writeln!(f, "{handed_on} handed on when a connection ended; {excused} repeated, excused")?;
        writeln!(
            f,
            "{came_back} came back, with DUP, to members whose acknowledgement was on its way"
        )?;
        writeln!(f, "{connections} connections of members, of which they let go {left}")?;
        write!(f, "spread of {spread_judged} groups judged")?;
        for (kind, total) in &self.totals {
            write!(f, "\n\n{kind}: {total}")?;
            let kept = self.violations.iter().filter(|violation| violation.kind() == *kind);
            for (number, violation) in (1..).zip(kept) {
                write!(f, "\n  {number}. {violation}")?;
            }
        }
        Ok(())
    }
}
