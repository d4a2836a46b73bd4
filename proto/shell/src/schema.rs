//! What a program declares about its configuration, and how names are looked up in it.
//!
//! Decides which sections and keys exist and when a name is close enough to be suggested. Knows no
//! sources: [`crate::layers`] asks. All declarations are `static`:
//!
//! ```
//! use ha_shell::schema::{Key, Kind, Section};
//!
//! static KEYS: &[Key] = &[Key::new("HA_port", Kind::Port, "where brokers connect").default("2000")];
//! static SCHEMA: &[Section] = &[Section::new("HA_SERVER", KEYS).required()];
//! ```

mod kind;
mod nearest;
mod unit;
mod value;

pub use kind::{Kind, LIST_LENGTH_MAX, VALUE_BYTES_MAX};
pub use value::{Endpoint, Hidden, Value};

pub(crate) use nearest::nearest;

/// A section of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// How it is written today.
    pub name: &'static str,
    /// Older spellings that are accepted with a note.
    pub aliases: &'static [&'static str],
    /// Whether a file without it is wrong.
    pub required: Required,
    /// What may stand in it.
    pub keys: &'static [Key],
    /// The section that has the same keys, with their defaults and their documentation: this one
    /// says otherwise for a special case.
    pub special_of: Option<&'static str>,
}

impl Section {
    /// A section that a file may leave out, and that was never called otherwise.
    pub const fn new(name: &'static str, keys: &'static [Key]) -> Self {
        Self { name, aliases: &[], required: Required::No, keys, special_of: None }
    }

    /// A section that a file must have.
    pub const fn required(mut self) -> Self {
        self.required = Required::Yes;
        self
    }

    /// With these older spellings.
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// A special case of another section; `keys` are [`Key::unset`].
    pub const fn special_of(mut self, general: &'static str) -> Self {
        self.special_of = Some(general);
        self
    }
}

/// Whether a configuration file must have a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Required {
    /// A file without it is probably the file of another program.
    Yes,
    /// Its defaults are good enough.
    No,
}

/// A key of a section.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// How it is written today.
    pub name: &'static str,
    /// Older spellings that are accepted with a note.
    pub aliases: &'static [&'static str],
    /// Which values it takes.
    pub kind: Kind,
    /// Used when no source sets it; must be valid for `kind`. `None`: it may be unset.
    pub default: Option<&'static str>,
    /// Used instead of `default` when the file is JSON.
    pub json_default: Option<&'static str>,
    /// What it does, in one sentence for the operator.
    pub help: &'static str,
}

impl Key {
    /// A key without default and older spellings.
    pub const fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { name, aliases: &[], kind, default: None, json_default: None, help }
    }

    /// With this default.
    pub const fn default(mut self, value: &'static str) -> Self {
        self.default = Some(value);
        self
    }

    /// The same key without defaults, for a section that is a special case.
    pub const fn unset(mut self) -> Self {
        self.default = None;
        self.json_default = None;
        self
    }

    /// With this default when the file is JSON.
    pub const fn json_default(mut self, value: &'static str) -> Self {
        self.json_default = Some(value);
        self
    }

    /// With these older spellings.
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }
}

/// How a name was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spelling {
    Current,
    Older,
}

fn spelling(name: &str, current: &str, older: &[&str]) -> Option<Spelling> {
    if name.eq_ignore_ascii_case(current) {
        return Some(Spelling::Current);
    }
    older.iter().any(|alias| name.eq_ignore_ascii_case(alias)).then_some(Spelling::Older)
}

/// The section with this name, in any case and spelling.
pub(crate) fn find_section(
    schema: &'static [Section],
    name: &str,
) -> Option<(&'static Section, Spelling)> {
    let with_spelling = |s: &'static Section| Some((s, spelling(name, s.name, s.aliases)?));
    schema.iter().find_map(with_spelling)
}

/// The key with this name, in any case and spelling.
pub(crate) fn find_key(section: &'static Section, name: &str) -> Option<(&'static Key, Spelling)> {
    let with_spelling = |k: &'static Key| Some((k, spelling(name, k.name, k.aliases)?));
    section.keys.iter().find_map(with_spelling)
}

/// What to say after an unknown section name: empty, or `; did you mean [X]?`.
pub(crate) fn section_hint(schema: &'static [Section], name: &str) -> String {
    let close = nearest(name, schema.iter().map(|section| section.name));
    close.map_or_else(String::new, |known| format!("; did you mean [{known}]?"))
}

/// What to say after an unknown key name: empty, where it belongs, or what is spelled like it.
pub(crate) fn key_hint(schema: &'static [Section], section: &Section, name: &str) -> String {
    let elsewhere = schema.iter().find(|other| find_key(other, name).is_some());
    if let Some(other) = elsewhere {
        return format!("; it belongs to [{}]", other.name);
    }
    let close = nearest(name, section.keys.iter().map(|key| key.name));
    close.map_or_else(String::new, |known| format!("; did you mean {known}?"))
}
