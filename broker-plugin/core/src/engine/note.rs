//! What an access log says of a connection. Nothing is noted unless somebody wants it.

use std::sync::Arc;

use ha_types::{Subscription, TopicName};

use crate::codec::{Reason, Text, Version};

/// Something that an operator may want to read. Texts of clients are as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A CONNECT was read. What becomes of it follows.
    Hello {
        /// Chosen by the client, or assigned.
        client_id: Arc<str>,
        /// As it says; nothing has proved it.
        user_name: Option<Text>,
        /// Of the protocol.
        version: Version,
    },
    /// CONNECT was refused.
    Refused {
        /// As 5.0 has it, also for older clients.
        reason: Reason,
        /// For people.
        why: String,
    },
    /// The client has its session.
    Connected(Box<Connected>),
    /// A SUBSCRIBE was answered: for each filter the granted QoS, or why not.
    Subscribed(Vec<(Subscription, Reason)>),
    /// An UNSUBSCRIBE was answered.
    Unsubscribed(Vec<(Subscription, Reason)>),
    /// The end of a connection that had a session.
    Ended {
        /// What a client of 5.0 is told; `None`: it is told nothing.
        reason: Option<Reason>,
        /// For people.
        why: String,
    },
}

/// How a connection begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connected {
    /// Proved by a password or a certificate; `None`: anonymous.
    pub user_name: Option<Arc<str>>,
    /// As the client asked.
    pub clean_start: bool,
    /// As CONNACK says.
    pub session_present: bool,
    /// Seconds that the session outlives the connection; `u32::MAX`: for ever.
    pub session_expiry_s: u32,
    /// Seconds; zero: none.
    pub keep_alive_s: u16,
    /// Of the will, if there is one.
    pub will_topic: Option<TopicName>,
}

/// Notes since they were last taken; `Default`: nobody wants any.
#[derive(Debug, Default)]
pub struct Notes(Option<Vec<Note>>);

impl Notes {
    /// Somebody wants them.
    #[must_use]
    pub fn wanted() -> Self {
        Self(Some(Vec::new()))
    }

    /// Takes what was noted, in order. Keeps no room for more.
    #[must_use]
    pub fn take(&mut self) -> Vec<Note> {
        self.0.as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(super) fn write(&mut self, note: impl FnOnce() -> Note) {
        if let Some(notes) = &mut self.0 {
            notes.push(note());
        }
    }

    /// Filters of a packet, for when it is answered; empty when nobody wants them.
    pub(super) fn names<'a>(
        &self,
        filters: impl Iterator<Item = &'a Subscription>,
    ) -> Vec<Subscription> {
        if self.0.is_some() { filters.cloned().collect() } else { Vec::new() }
    }
}
