//! A value that has passed its check.

use std::{
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// The value of a key, of the variant that its [`super::Kind`] says.
///
/// Each accessor panics for another variant: the program asked for something else than it declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Any text.
    Text(String),
    /// Text that is never shown.
    Secret(Hidden),
    /// A TCP port.
    Port(u16),
    /// Yes or no.
    Flag(bool),
    /// A whole number.
    Integer(u64),
    /// A size in bytes.
    Bytes(u64),
    /// A time in milliseconds.
    Millis(u64),
    /// One of the declared words, as declared.
    OneOf(&'static str),
    /// An IP address.
    Address(IpAddr),
    /// Hosts, at least one.
    AddressList(Vec<Endpoint>),
    /// A path, not necessarily of something that exists.
    Path(PathBuf),
}

/// A host, and a port if one was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A name, or an IP address without brackets.
    pub host: String,
    /// `None`: the port of another key counts.
    pub port: Option<u16>,
}

/// Text that neither `Debug` nor `Display` shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(pub(crate) String);

impl Hidden {
    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(hidden)")
    }
}

macro_rules! accessor {
    ($(#[$doc:meta])* $name:ident, $($variant:ident($bound:ident))|+ => $result:expr, $type:ty) => {
        $(#[$doc])*
        pub fn $name(&self) -> $type {
            match self {
                $(Self::$variant($bound) => $result,)+
                other => panic!("declared as another kind than {}: {other:?}", stringify!($name)),
            }
        }
    };
}

impl Value {
    accessor!(
        /// The text of `Text`.
        text, Text(value) => value, &str
    );
    accessor!(
        /// The text of `Secret`.
        secret, Secret(value) => value.reveal(), &str
    );
    accessor!(
        /// The port of `Port`.
        port, Port(value) => *value, u16
    );
    accessor!(
        /// The answer of `Flag`.
        flag, Flag(value) => *value, bool
    );
    accessor!(
        /// The milliseconds of `Millis`.
        millis, Millis(value) => *value, u64
    );
    accessor!(
        /// `Millis` as a duration.
        duration, Millis(value) => Duration::from_millis(*value), Duration
    );
    accessor!(
        /// The word of `OneOf`, spelled as in the declaration.
        one_of, OneOf(value) => value, &'static str
    );
    accessor!(
        /// The address of `Address`.
        address, Address(value) => *value, IpAddr
    );
    accessor!(
        /// The hosts of `AddressList`, at least one.
        list, AddressList(value) => value, &[Endpoint]
    );
    accessor!(
        /// The path of `Path`.
        path, Path(value) => value, &Path
    );

    /// The number of `Integer`. Panics also when the declared maximum does not fit `T`.
    pub fn integer<T: TryFrom<u64>>(&self) -> T {
        match self {
            Self::Integer(value) => narrow(*value),
            other => panic!("declared as another kind than integer: {other:?}"),
        }
    }

    /// The size of `Bytes`. Panics also when the declared maximum does not fit `T`.
    pub fn bytes<T: TryFrom<u64>>(&self) -> T {
        match self {
            Self::Bytes(value) => narrow(*value),
            other => panic!("declared as another kind than bytes: {other:?}"),
        }
    }
}

fn narrow<T: TryFrom<u64>>(value: u64) -> T {
    T::try_from(value).ok().expect("the declared maximum fits the type that is asked for")
}
