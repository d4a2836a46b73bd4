//! A history as text: one JSON object a line, `{"who":…,"connection":…,"what":…}`.

use std::io::{self, BufRead, Write};

use serde::{Deserialize, Deserializer, Serializer};

use crate::event::Event;
use crate::history::History;

/// Why a text is not a history.
#[derive(Debug, thiserror::Error)]
pub enum InvalidLine {
    /// The text cannot be read.
    #[error("line {number}")]
    Unreadable {
        /// Counted from 1.
        number: u64,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The line is no event.
    #[error("line {number} is not an event")]
    NotAnEvent {
        /// Counted from 1.
        number: u64,
        /// Why.
        #[source]
        cause: serde_json::Error,
    },
}

impl History {
    /// Writes all events, a line each.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn write_lines(&self, mut to: impl Write) -> io::Result<()> {
        for (_, event) in self.events() {
            serde_json::to_writer(&mut to, &event.rename(|name| self.names().text(name)))?;
            to.write_all(b"\n")?;
        }
        to.flush()
    }

    /// Reads what [`History::write_lines`] wrote. Empty lines are skipped.
    ///
    /// # Errors
    /// [`InvalidLine`] with the first line that is no event.
    pub fn read_lines(from: impl BufRead) -> Result<Self, InvalidLine> {
        let mut history = Self::default();
        for (number, line) in (1..).zip(from.lines()) {
            let line = line.map_err(|cause| InvalidLine::Unreadable { number, cause })?;
            if line.trim().is_empty() {
                continue;
            }
            let event: Event<String> = serde_json::from_str(&line)
                .map_err(|cause| InvalidLine::NotAnEvent { number, cause })?;
            history.push_named(event);
        }
        Ok(history)
    }
}

/// QoS as 0, 1 or 2.
pub(crate) mod level {
    use ha_types::Qos;

    use super::{Deserialize, Deserializer, Serializer, of_level};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
    pub(crate) fn serialize<S: Serializer>(qos: &Qos, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u8(qos.level())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Qos, D::Error> {
        of_level(u32::deserialize(from)?)
    }
}

/// A granted QoS as 0, 1, 2 or null.
pub(crate) mod granted {
    use ha_types::Qos;

    use super::{Deserialize, Deserializer, Serializer, of_level};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
    #[expect(clippy::ref_option, reason = "serde passes references")]
    pub(crate) fn serialize<S: Serializer>(qos: &Option<Qos>, to: S) -> Result<S::Ok, S::Error> {
        match qos {
            Some(qos) => to.serialize_u8(qos.level()),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Qos>, D::Error> {
        Option::<u32>::deserialize(from)?.map(of_level).transpose()
    }
}

fn of_level<E: serde::de::Error>(level: u32) -> Result<ha_types::Qos, E> {
    ha_types::Qos::from_level(level).ok_or_else(|| E::custom("QoS is 0, 1 or 2"))
}
