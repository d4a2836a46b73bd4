//! Whether a register, such as the retained message of one topic, is linearizable: as if each operation
//! had happened at one moment between its beginning and its end (Herlihy and Wing 1990).
//!
//! Every value is written once, so it is known which write a read saw, and the question can be decided
//! fast (Gibbons and Korach, "Testing shared memories", 1997): from the first end of an operation on a
//! value to the last beginning of one the register certainly held that value, so such zones must not
//! overlap; and a value whose operations all have a moment in common must find one outside of them.

use std::collections::BTreeMap;
use std::fmt;

/// What a register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Value(pub u64);

/// What it held before anybody wrote.
pub const NOTHING: Value = Value(0);

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Each value at most once, never [`NOTHING`].
    Write,
    /// It saw this value.
    Read,
}

/// An operation on a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What was done.
    pub kind: Kind,
    /// What was written or read.
    pub value: Value,
    /// When it was asked for, on one clock for all; above 0.
    pub began: u64,
    /// When the answer came; `None`: it never did, and the operation may happen at any time or never.
    pub ended: Option<u64>,
}

/// Why there is no order that explains what was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anomaly {
    /// Read, and nobody has written it; or read before somebody did.
    FromNowhere(Value),
    /// Written twice: nothing can be said.
    Repeated(Value),
    /// The register held both at the same time.
    Both(Zone, Zone),
    /// While it held the second, the first was written and read too.
    Within(Zone, Zone),
}

/// What is known of the time when a register held a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone {
    /// The value.
    pub value: Value,
    /// The first end of an operation on it.
    pub first_end: u64,
    /// The last beginning of one.
    pub last_begin: u64,
}

/// Looks for an order that explains all operations.
///
/// # Errors
/// Why there is none.
pub fn check(operations: &[Operation]) -> Result<(), Anomaly> {
    let zones = zones(operations)?;
    let (mut certain, brief): (Vec<_>, Vec<_>) = zones.into_iter().partition(Zone::is_certain);
    certain.sort_unstable_by_key(|zone| zone.first_end);
    for pair in certain.windows(2) {
        if pair[1].first_end < pair[0].last_begin {
            return Err(Anomaly::Both(pair[0], pair[1]));
        }
    }
    for zone in brief {
        let after = certain.partition_point(|other| other.first_end < zone.last_begin);
        let around = after.checked_sub(1).map(|before| certain[before]);
        if let Some(around) = around.filter(|around| zone.first_end < around.last_begin) {
            return Err(Anomaly::Within(zone, around));
        }
    }
    Ok(())
}

impl Zone {
    /// Whether it held the value from the one moment to the other, and not just at one in between.
    fn is_certain(&self) -> bool {
        self.first_end < self.last_begin
    }
}

/// A value's write and what its operations have in common.
struct Cluster {
    written: u64,
    zone: Zone,
}

fn zones(operations: &[Operation]) -> Result<Vec<Zone>, Anomaly> {
    let held = |value, began, ended: Option<u64>| Cluster {
        written: began,
        zone: Zone { value, first_end: ended.unwrap_or(u64::MAX), last_begin: began },
    };
    let mut clusters = BTreeMap::from([(NOTHING, held(NOTHING, 0, Some(0)))]);
    for write in operations.iter().filter(|operation| operation.kind == Kind::Write) {
        let Operation { value, began, ended, .. } = *write;
        if clusters.insert(value, held(value, began, ended)).is_some() {
            return Err(Anomaly::Repeated(value));
        }
    }
    for read in operations.iter().filter(|operation| operation.kind == Kind::Read) {
        // A read without an answer saw nothing.
        let Some(ended) = read.ended else { continue };
        let nowhere = Anomaly::FromNowhere(read.value);
        let Cluster { written, zone } = clusters.get_mut(&read.value).ok_or(nowhere)?;
        if ended < *written {
            return Err(nowhere);
        }
        zone.first_end = zone.first_end.min(ended);
        zone.last_begin = zone.last_begin.max(read.began);
    }
    // A write without an answer that nobody saw may not have happened.
    Ok(clusters.into_values().map(|it| it.zone).filter(|it| it.first_end < u64::MAX).collect())
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == NOTHING { f.write_str("nothing") } else { write!(f, "value {}", self.0) }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { value, first_end, last_begin } = self;
        write!(f, "{value} (first end {first_end}, last beginning {last_begin})")
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FromNowhere(value) => write!(f, "{value} was read before it was written"),
            Self::Repeated(value) => write!(f, "{value} was written twice"),
            Self::Both(one, other) => write!(f, "it held {one} and {other} at the same time"),
            Self::Within(zone, around) => write!(f, "it held {zone} while it held {around}"),
        }
    }
}

#[cfg(test)]
mod tests;
