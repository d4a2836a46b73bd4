//! Which texts a key takes, and what they mean.
//!
//! The only place that turns text into values, for every source and for the defaults alike.

use std::{net::IpAddr, path::PathBuf};

use super::{Endpoint, Hidden, Value, unit};

/// Longest value from any source, in bytes: that of a line of a file.
pub const VALUE_BYTES_MAX: usize = crate::ini::LINE_BYTES_MAX;

/// Entries of one address list. A cluster has 5 servers at most; this leaves room for names.
pub const LIST_LENGTH_MAX: usize = 64;

/// Which values a key takes. Words are read in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text, also an empty one.
    Text,
    /// Any text; it is never shown or logged.
    Secret,
    /// 1 to 65535.
    Port,
    /// `YES`/`NO`, `TRUE`/`FALSE`, `ENABLED`/`DISABLED`, `ON`/`OFF`, `1`/`0`.
    Flag,
    /// A whole number, bounds included.
    Integer {
        /// Smallest value.
        min: u64,
        /// Largest value.
        max: u64,
    },
    /// A size: `65536`, `64K`, `1M`, `1 MiB`. Suffixes are binary. Bounds included.
    Bytes {
        /// Smallest value.
        min: u64,
        /// Largest value.
        max: u64,
    },
    /// A time: `250`, `250ms`, `2s`, `5min`, `1h`; a bare number is milliseconds. Bounds included.
    Millis {
        /// Smallest value.
        min: u64,
        /// Largest value.
        max: u64,
    },
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// An IP address.
    Address,
    /// Host names or IP addresses with commas between them, each with `:port` or without.
    AddressList,
    /// A path, not empty. Not looked up.
    Path,
}

impl Kind {
    /// The value that `text` means, or what was expected instead.
    pub fn parse(&self, text: &str) -> Result<Value, String> {
        if text.len() > VALUE_BYTES_MAX {
            return Err(format!("expected at most {VALUE_BYTES_MAX} bytes"));
        }
        if text.contains(char::is_control) {
            return Err("expected text without control characters".to_owned());
        }
        self.value(text).ok_or_else(|| format!("expected {}", self.expected()))
    }

    fn value(&self, text: &str) -> Option<Value> {
        let word = text.trim();
        match *self {
            Self::Text => Some(Value::Text(text.to_owned())),
            Self::Secret => Some(Value::Secret(Hidden(text.to_owned()))),
            Self::Port => port(word).map(Value::Port),
            Self::Flag => flag(word).map(Value::Flag),
            Self::Integer { min, max } => within(integer(word), min, max).map(Value::Integer),
            Self::Bytes { min, max } => within(unit::bytes(word), min, max).map(Value::Bytes),
            Self::Millis { min, max } => within(unit::millis(word), min, max).map(Value::Millis),
            Self::OneOf(words) => find_word(words, word).map(Value::OneOf),
            Self::Address => address(word).map(Value::Address),
            Self::AddressList => endpoints(word).map(Value::AddressList),
            Self::Path => (!word.is_empty()).then(|| Value::Path(PathBuf::from(text))),
        }
    }

    /// What a valid value is, to follow "expected". Also good for a table of all keys.
    pub fn expected(&self) -> String {
        let between = |what: &str, min, max| format!("{what} between {min} and {max}");
        match *self {
            Self::Text | Self::Secret => "text".to_owned(),
            Self::Port => between("a port", "1".to_owned(), "65535".to_owned()),
            Self::Flag => "YES or NO".to_owned(),
            Self::Integer { min, max } => between("a number", min.to_string(), max.to_string()),
            Self::Bytes { min, max } => {
                between("a size", unit::show_bytes(min), unit::show_bytes(max))
            }
            Self::Millis { min, max } => {
                between("a time", unit::show_millis(min), unit::show_millis(max))
            }
            Self::OneOf(words) => format!("one of {}", words.join(", ")),
            Self::Address => "an IP address".to_owned(),
            Self::AddressList => {
                "host names or IP addresses, each with or without :port, and commas between them"
                    .to_owned()
            }
            Self::Path => "a path".to_owned(),
        }
    }
}

fn within(value: Option<u64>, min: u64, max: u64) -> Option<u64> {
    value.filter(|value| (min..=max).contains(value))
}

/// Digits only: `str::parse` alone would also take `+1`.
fn integer(word: &str) -> Option<u64> {
    word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse().ok())?
}

fn port(word: &str) -> Option<u16> {
    within(integer(word), 1, u16::MAX.into()).and_then(|port| u16::try_from(port).ok())
}

fn flag(word: &str) -> Option<bool> {
    let is_one_of = |words| find_word(words, word).is_some();
    if is_one_of(&["YES", "TRUE", "ENABLED", "ON", "1"]) {
        return Some(true);
    }
    is_one_of(&["NO", "FALSE", "DISABLED", "OFF", "0"]).then_some(false)
}

fn find_word(words: &'static [&'static str], word: &str) -> Option<&'static str> {
    words.iter().find(|known| known.eq_ignore_ascii_case(word)).copied()
}

fn address(word: &str) -> Option<IpAddr> {
    let bare = word.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    bare.unwrap_or(word).parse().ok()
}

fn endpoints(word: &str) -> Option<Vec<Endpoint>> {
    let list: Option<Vec<_>> = word.split(',').map(|part| endpoint(part.trim())).collect();
    list.filter(|list| list.len() <= LIST_LENGTH_MAX)
}

/// `host`, `host:port`, `1.2.3.4:port`, `::1` or `[::1]:port`.
fn endpoint(part: &str) -> Option<Endpoint> {
    if let Some(address) = address(part) {
        return Some(Endpoint { host: address.to_string(), port: None });
    }
    let (host, port) = match part.rsplit_once(':') {
        Some((host, digits)) => (host, Some(port(digits)?)),
        None => (part, None),
    };
    let host = match address(host) {
        Some(IpAddr::V6(_)) if !host.starts_with('[') => return None,
        Some(address) => address.to_string(),
        None => host_name(host)?.to_owned(),
    };
    Some(Endpoint { host, port })
}

/// [RFC 1123] §2.1, and the underscore that container networks use. Only digits and dots is a
/// mistyped address.
fn host_name(host: &str) -> Option<&str> {
    let is_label = |label: &str| {
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len()) && label.bytes().all(letters) && !label.starts_with('-')
    };
    let labels = host.strip_suffix('.').unwrap_or(host);
    let valid = labels.len() <= 253
        && labels.split('.').all(is_label)
        && labels.bytes().any(|byte| !byte.is_ascii_digit() && byte != b'.');
    valid.then_some(host)
}

#[cfg(test)]
mod tests;
