//! Events as a person reads them.

use std::fmt;

use ha_types::Qos;

use crate::event::{Event, NEVER_EXPIRES, Present, Retain, Start, Step, What};

impl fmt::Display for Event<String> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.connection {
            0 => write!(f, "{}: ", self.who)?,
            connection => write!(f, "{} (connection {connection}): ", self.who)?,
        }
        self.what.fmt(f)
    }
}

struct Level(Qos);

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QoS {}", self.0.level())
    }
}

struct Flag(bool, &'static str);

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 { f.write_str(self.1) } else { Ok(()) }
    }
}

struct Expiry(u32);

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("ends with the connection"),
            NEVER_EXPIRES => f.write_str("never expires"),
            seconds => write!(f, "expires after {seconds} s"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Puback => "PUBACK",
            Self::Pubrec => "PUBREC",
            Self::Pubcomp => "PUBCOMP",
        })
    }
}

impl fmt::Display for What<String> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting { start: Start::Clean, expires_s } => {
                write!(f, "CONNECT for a new session that {}", Expiry(*expires_s))
            }
            Self::Connecting { start: Start::Resume, expires_s } => {
                write!(f, "CONNECT to resume a session that {}", Expiry(*expires_s))
            }
            Self::Connected { session: Present::Present } => {
                f.write_str("connected, session present")
            }
            Self::Connected { session: Present::New } => f.write_str("connected, session new"),
            Self::Closing { expires_s: None } => f.write_str("DISCONNECT"),
            Self::Closing { expires_s: Some(expires_s) } => {
                write!(f, "DISCONNECT, session {}", Expiry(*expires_s))
            }
            Self::Closed => f.write_str("connection gone"),
            Self::Subscribing { filter, qos, .. } => {
                write!(f, "SUBSCRIBE {filter}, {}", Level(*qos))
            }
            Self::Subscribed { filter, granted: Some(qos) } => {
                write!(f, "SUBACK for {filter}, {}", Level(*qos))
            }
            Self::Subscribed { filter, granted: None } => write!(f, "SUBACK refuses {filter}"),
            Self::Unsubscribing { filter } => write!(f, "UNSUBSCRIBE {filter}"),
            Self::Publishing { .. } => self.fmt_publishing(f),
            Self::Acknowledged { number, step } => write!(f, "{step} for {number}"),
            Self::Delivered { publisher, number, topic, qos, dup, retain, packet_id } => {
                let (dup, retain) = (Flag(*dup, ", DUP"), Flag(*retain, ", RETAIN"));
                let qos = Level(*qos);
                write!(f, "got {number} of {publisher} on {topic}, {qos}{dup}{retain}")?;
                if *packet_id > 0 { write!(f, ", packet id {packet_id}") } else { Ok(()) }
            }
            Self::DeliveryAcknowledged { packet_id, step } => {
                write!(f, "{step} for packet id {packet_id}")
            }
            Self::Drained => f.write_str("drained"),
            Self::QueueFull => f.write_str("its queue may have overflowed"),
            Self::Fault => f.write_str("killed or disturbed"),
            Self::LastsAtMost { seconds } => write!(f, "it takes at most {seconds} s"),
        }
    }
}

impl What<String> {
    fn fmt_publishing(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Publishing { number, topic, qos, retain, dup, expires_s } = self else {
            return Ok(());
        };
        let (dup, qos) = (Flag(*dup, ", DUP"), Level(*qos));
        let retain = match retain {
            Retain::No => "",
            Retain::Keep => ", RETAIN",
            Retain::Clear => ", RETAIN, empty",
        };
        write!(f, "PUBLISH {number} on {topic}, {qos}{dup}{retain}")?;
        if let Some(seconds) = expires_s {
            write!(f, ", expires after {seconds} s")?;
        }
        Ok(())
    }
}
