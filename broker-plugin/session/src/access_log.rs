//! The access log: a line for each client that comes, subscribes, unsubscribes, goes, or is refused.
//!
//! Texts of clients may hold anything and be long: they are cut here, and escaped by whoever writes the
//! log, as text and as JSON. So one client makes one line of bounded length, and never two.

use std::borrow::Cow;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use broker_core::codec::{Reason, Text, Version};
use broker_core::engine::{Connected, Counts, Note};
use ha_types::Subscription;
use tokio::time::Instant;

/// Bytes of a text of a client.
const TEXT_BYTES_MAX: usize = 256;

/// Filters of one packet that are named.
const FILTERS_MAX: usize = 32;

/// Of one connection. Exists only where the log is wanted.
#[derive(Debug)]
pub(crate) struct AccessLog {
    broker: Arc<str>,
    listener: &'static str,
    peer: SocketAddr,
    /// Empty before CONNECT.
    client_id: Arc<str>,
    /// What the client says, until it has proved another.
    user_name: Option<Text>,
    proved: Option<Arc<str>>,
    version: Option<Version>,
    since: Instant,
    counts: Counts,
}

impl AccessLog {
    /// Of a socket that was just opened.
    pub(crate) fn new(broker: Arc<str>, listener: &'static str, peer: SocketAddr) -> Self {
        Self {
            broker,
            listener,
            peer,
            client_id: "".into(),
            user_name: None,
            proved: None,
            version: None,
            since: Instant::now(),
            counts: Counts::default(),
        }
    }

    /// Packets of this connection, before they are counted with those of others.
    pub(crate) fn add(&mut self, counts: &Counts) {
        self.counts.received += counts.received;
        self.counts.sent += counts.sent;
    }

    pub(crate) fn write(&mut self, notes: Vec<Note>) {
        for note in notes {
            match note {
                Note::Hello { client_id, user_name, version } => {
                    (self.client_id, self.user_name) = (client_id, user_name);
                    self.version = Some(version);
                }
                Note::Refused { reason, why } => self.refused(reason, &why),
                Note::Connected(connected) => self.connected(*connected),
                Note::Subscribed(filters) => self.filters("subscribed", &filters),
                Note::Unsubscribed(filters) => self.filters("unsubscribed", &filters),
                Note::Ended { reason, why } => self.ended(reason, &why),
            }
        }
    }

    fn user(&self) -> Option<Cow<'_, str>> {
        self.proved.as_deref().or(self.user_name.as_ref().map(Text::as_str)).map(cut)
    }

    fn version(&self) -> Option<&'static str> {
        self.version.map(|version| match version {
            Version::V31 => "3.1",
            Version::V311 => "3.1.1",
            Version::V5 => "5.0",
        })
    }

    fn refused(&self, reason: Reason, why: &str) {
        tracing::info!(
            target: "access",
            client = cut(&self.client_id).as_ref(),
            user = self.user().as_deref(),
            peer = %self.peer,
            broker = self.broker.as_ref(),
            listener = self.listener,
            version = self.version(),
            reason = format_args!("{:#04x}", reason.0),
            why,
            "refused"
        );
    }

    fn connected(&mut self, connected: Connected) {
        let Connected { user_name, clean_start, session_present, session_expiry_s, .. } = connected;
        // An anonymous client has no name, whatever it says.
        (self.proved, self.user_name) = (user_name, None);
        let will = connected.will_topic.as_ref().map(|topic| cut(topic.as_str()));
        tracing::info!(
            target: "access",
            client = cut(&self.client_id).as_ref(),
            user = self.user().as_deref(),
            peer = %self.peer,
            broker = self.broker.as_ref(),
            listener = self.listener,
            version = self.version(),
            clean_start,
            session_present,
            expiry_s = session_expiry_s,
            keep_alive_s = connected.keep_alive_s,
            will = will.as_deref(),
            "connected"
        );
    }

    fn filters(&self, what: &'static str, filters: &[(Subscription, Reason)]) {
        tracing::info!(
            target: "access",
            client = cut(&self.client_id).as_ref(),
            user = self.user().as_deref(),
            peer = %self.peer,
            broker = self.broker.as_ref(),
            filters = %Filters(filters),
            "{what}"
        );
    }

    fn ended(&self, reason: Option<Reason>, why: &str) {
        let lasted_ms = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            target: "access",
            client = cut(&self.client_id).as_ref(),
            user = self.user().as_deref(),
            peer = %self.peer,
            broker = self.broker.as_ref(),
            reason = reason.map(|reason| tracing::field::display(format!("{:#04x}", reason.0))),
            why,
            lasted_ms,
            messages_in = self.counts.received,
            messages_out = self.counts.sent,
            "disconnected"
        );
    }
}

/// A text of a client in bounded length.
fn cut(text: &str) -> Cow<'_, str> {
    if text.len() <= TEXT_BYTES_MAX {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
    Cow::Owned(format!("{}… ({} bytes)", &text[..end], text.len()))
}

/// Each filter in quotes, so that none can look like two, and its reason code: the granted QoS below 0x80.
struct Filters<'a>(&'a [(Subscription, Reason)]);

impl std::fmt::Display for Filters<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, (filter, reason)) in self.0.iter().take(FILTERS_MAX).enumerate() {
            if at > 0 {
                f.write_char(' ')?;
            }
            write!(f, "{:?}:", cut(&filter.to_string()))?;
            match reason.0 {
                granted @ 0..0x80 => write!(f, "{granted}")?,
                refused => write!(f, "{refused:#04x}")?,
            }
        }
        match self.0.len().saturating_sub(FILTERS_MAX) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(all: &[(&str, u8)]) -> String {
        let one = |&(filter, reason): &(&str, u8)| {
            (Subscription::parse(filter.as_bytes()).unwrap(), Reason(reason))
        };
        Filters(&all.iter().map(one).collect::<Vec<_>>()).to_string()
    }

    #[test]
    fn filters_are_named_with_their_qos_and_none_looks_like_two() {
        assert_eq!(filters(&[("a/+", 2), ("$share/g/b", 0x87)]), r#""a/+":2 "$share/g/b":0x87"#);
        assert_eq!(filters(&[("a\":1 \"b\n", 1)]), r#""a\":1 \"b\n":1"#);
        let many = vec![("a", 0); FILTERS_MAX + 2];
        assert!(filters(&many).ends_with(r#""a":0 and 2 more"#));
    }

    #[test]
    fn long_texts_are_cut_between_two_letters() {
        let fits = "x".repeat(TEXT_BYTES_MAX);
        assert_eq!(cut(&fits), fits);
        let long = "é".repeat(TEXT_BYTES_MAX);
        let cut = cut(&long);
        assert!(cut.starts_with(&"é".repeat(TEXT_BYTES_MAX / 2)));
        assert!(cut.len() < TEXT_BYTES_MAX + 20 && cut.ends_with("(512 bytes)"), "{cut}");
    }
}
