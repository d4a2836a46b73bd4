//! The result: every declared key with its value and its origin.
//!
//! Cannot be wrong in itself: each value has passed the check of its kind. Only the program knows
//! which values do not fit together; it says so with [`Settings::error_at`].

use std::{collections::BTreeMap, fmt, net::IpAddr, path::Path, time::Duration};

use super::{Name, Setting};
use crate::{
    problem::{ConfigError, Origin, Problem},
    schema::{Endpoint, Section, Value},
};

/// The settings of one process.
///
/// Keys are named as the schema names them. Asking for one that it does not declare, for one
/// without a default that nobody set, or for another kind panics: a mistake of the program. Use
/// [`Settings::if_set`] for keys that may be unset.
#[derive(Clone, Debug)]
pub struct Settings {
    schema: &'static [Section],
    values: BTreeMap<Name, Setting>,
    notes: Vec<String>,
}

/// One line of the effective configuration. `Display` gives `[SECTION] KEY = value (origin)`.
#[derive(Clone, Copy, Debug)]
pub struct Effective<'a> {
    /// Section, as the schema names it.
    pub section: &'static str,
    /// Key, as the schema names it.
    pub key: &'static str,
    /// As it was written, shortened; `(hidden)` for a secret. `None`: not set.
    pub value: Option<&'a str>,
    /// Who said so.
    pub origin: &'a Origin,
}

impl fmt::Display for Effective<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { section, key, value, origin } = self;
        match value {
            Some(value) => write!(f, "[{section}] {key} = {value} ({origin})"),
            None => write!(f, "[{section}] {key} is not set"),
        }
    }
}

macro_rules! shorthand {
    ($($(#[$doc:meta])* $name:ident -> $type:ty),+ $(,)?) => {
        $($(#[$doc])*
        pub fn $name(&self, section: &str, key: &str) -> $type {
            self.value(section, key).$name()
        })+
    };
}

impl Settings {
    pub(super) fn new(
        schema: &'static [Section],
        values: BTreeMap<Name, Setting>,
        notes: Vec<String>,
    ) -> Self {
        Self { schema, values, notes }
    }

    /// What the log should say about how the configuration is written, such as older spellings.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The value of a key that may be unset.
    pub fn if_set(&self, section: &str, key: &str) -> Option<&Value> {
        self.setting(section, key).map(|setting| &setting.value)
    }

    /// The value of a key that has a default.
    pub fn value(&self, section: &str, key: &str) -> &Value {
        match self.if_set(section, key) {
            Some(value) => value,
            None => panic!("[{section}] {key} has no default; ask with if_set"),
        }
    }

    shorthand!(
        /// [`Value::text`] of a key that has a default.
        text -> &str,
        /// [`Value::port`] of a key that has a default.
        port -> u16,
        /// [`Value::flag`] of a key that has a default.
        flag -> bool,
        /// [`Value::millis`] of a key that has a default.
        millis -> u64,
        /// [`Value::duration`] of a key that has a default.
        duration -> Duration,
        /// [`Value::one_of`] of a key that has a default.
        one_of -> &'static str,
        /// [`Value::address`] of a key that has a default.
        address -> IpAddr,
        /// [`Value::list`] of a key that has a default.
        list -> &[Endpoint],
        /// [`Value::path`] of a key that has a default.
        path -> &Path,
    );

    /// [`Value::integer`] of a key that has a default.
    pub fn integer<T: TryFrom<u64>>(&self, section: &str, key: &str) -> T {
        self.value(section, key).integer()
    }

    /// [`Value::bytes`] of a key that has a default.
    pub fn bytes<T: TryFrom<u64>>(&self, section: &str, key: &str) -> T {
        self.value(section, key).bytes()
    }

    /// Who set the key.
    pub fn origin(&self, section: &str, key: &str) -> &Origin {
        self.setting(section, key).map_or(&Origin::Default, |setting| &setting.origin)
    }

    /// Every declared key in the order of the schema: for `check-config` and the log.
    pub fn effective(&self) -> impl Iterator<Item = Effective<'_>> {
        let keys = self.schema.iter().flat_map(|s| s.keys.iter().map(|key| (s.name, key.name)));
        keys.map(|(section, key)| Effective {
            section,
            key,
            value: self.setting(section, key).map(|setting| setting.shown.as_str()),
            origin: self.origin(section, key),
        })
    }

    /// A mistake that only the program can see, told at the place where the key was set.
    pub fn error_at(&self, section: &str, key: &str, message: impl fmt::Display) -> ConfigError {
        let problem = match self.setting(section, key) {
            Some(Setting { origin: Origin::Default, shown, .. }) => {
                let key = format!("[{section}] {key}");
                Problem::in_value(&Origin::Default, &key, shown, message)
            }
            Some(setting) => Problem::in_value(&setting.origin, key, &setting.shown, message),
            None => Problem::unset(section, key, message),
        };
        problem.into()
    }

    fn setting(&self, section: &str, key: &str) -> Option<&Setting> {
        self.values.get(&self.declared(section, key))
    }

    fn declared(&self, section: &str, key: &str) -> Name {
        let named = self.schema.iter().filter(|declared| declared.name == section);
        let mut keys = named.flat_map(|s| s.keys.iter().map(|key| (s.name, key.name)));
        match keys.find(|(_, name)| *name == key) {
            Some(name) => name,
            None => panic!("[{section}] {key} is not declared"),
        }
    }
}
