//! Combines the sources of the configuration: defaults < file < environment < `--set`.
//!
//! Decides which source wins and collects every mistake of all of them. Reads nothing itself except
//! [`ConfigFile::read`]; the environment and the arguments are passed in, so the same inputs give
//! the same settings. What a mistake across keys is, the program decides ([`Settings::error_at`]).

mod environment;
mod file;
mod overrides;
mod settings;

use std::{collections::BTreeMap, ffi::OsString, fs::File, io, io::Read, path::Path, sync::Arc};

pub use settings::{Effective, Settings};

use crate::{
    ini::{self, Document},
    json,
    problem::{ConfigError, Origin, Problem, Problems, shown},
    schema::{Key, Kind, Section, Value},
};

/// A configuration file that was read but not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFile {
    /// Its name as the operator wrote it. One that ends in `.json` holds JSON, any other INI.
    pub name: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

impl ConfigFile {
    /// Reads the file. The error says `name: why` and is a [`ConfigError`] like all others.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let bytes = read_bounded(path).map_err(|error| Problem::unreadable(&name, &error))?;
        Ok(Self { name, bytes })
    }

    /// As [`ConfigFile::read`]; `None` if there is no such file.
    pub fn read_if_present(path: &Path) -> Result<Option<Self>, ConfigError> {
        if path.try_exists().is_ok_and(|exists| !exists) {
            return Ok(None);
        }
        Self::read(path).map(Some)
    }

    fn is_json(&self) -> bool {
        Path::new(&self.name).extension().is_some_and(|end| end.eq_ignore_ascii_case("json"))
    }
}

/// One byte more than is accepted tells that a file is too large without reading all of it.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(ini::FILE_BYTES_MAX + 1).expect("1 MiB fits");
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Where the settings of one process come from, weakest first after the defaults.
#[derive(Clone, Debug, Default)]
pub struct Sources<E> {
    /// The file, if there is one.
    pub file: Option<ConfigFile>,
    /// Usually [`std::env::vars_os`]. Only `MQTT_HA_SECTION__KEY` is looked at.
    pub environment: E,
    /// The `SECTION.KEY=VALUE` of each `--set`; a later one is stronger.
    pub set: Vec<String>,
}

/// Combines all sources. The error has the mistakes of all of them.
///
/// Panics if a default of `schema` is not valid: that is a mistake of the program.
pub fn load<E>(schema: &'static [Section], sources: Sources<E>) -> Result<Settings, ConfigError>
where
    E: IntoIterator<Item = (OsString, OsString)>,
{
    let mut layers = Layers::new(schema);
    let is_json = sources.file.as_ref().is_some_and(ConfigFile::is_json);
    layers.take_defaults(if is_json { Defaults::Json } else { Defaults::Usual });
    if let Some(file) = &sources.file {
        layers.take_file(file);
    }
    environment::take(&mut layers, sources.environment);
    overrides::take(&mut layers, &sources.set);
    layers.problems.into_result()?;
    Ok(Settings::new(schema, layers.values, layers.notes))
}

const JSON_NOTE: &str = "JSON is the older form of this file; the current one is INI";

/// A declared key: canonical section and key name.
type Name = (&'static str, &'static str);

/// A value, and who said so.
#[derive(Clone, Debug)]
struct Setting {
    value: Value,
    /// As the operator wrote it, fit for a message or a log.
    shown: String,
    origin: Origin,
}

#[derive(Clone, Copy, Debug)]
enum Defaults {
    Usual,
    Json,
}

/// A declared key, and how this source calls it.
#[derive(Clone, Copy, Debug)]
struct Target<'a> {
    section: &'static Section,
    key: &'static Key,
    spelled: &'a str,
}

/// The settings while the sources are laid over each other.
#[derive(Debug)]
struct Layers {
    schema: &'static [Section],
    values: BTreeMap<Name, Setting>,
    notes: Vec<String>,
    problems: Problems,
}

impl Layers {
    fn new(schema: &'static [Section]) -> Self {
        let (values, notes, problems) = (BTreeMap::new(), Vec::new(), Problems::default());
        Self { schema, values, notes, problems }
    }

    fn take_defaults(&mut self, defaults: Defaults) {
        for section in self.schema {
            for key in section.keys {
                let json = matches!(defaults, Defaults::Json).then_some(key.json_default).flatten();
                if let Some(text) = json.or(key.default) {
                    let target = Target { section, key, spelled: key.name };
                    self.put(target, text, Origin::Default);
                    let valid = self.values.contains_key(&(section.name, key.name));
                    assert!(valid, "the default of {} is valid", key.name);
                }
            }
        }
    }

    fn take_file(&mut self, file: &ConfigFile) {
        if let Some(document) = self.read(file) {
            file::take(self, &document);
        }
    }

    fn read(&mut self, file: &ConfigFile) -> Option<Document> {
        let name: Arc<str> = file.name.as_str().into();
        if !file.is_json() {
            return ini::scan(&name, &file.bytes, &mut self.problems);
        }
        self.notes.push(format!("{name}: {JSON_NOTE}"));
        let first = self.schema.first().expect("a schema has a section").name;
        json::scan(&name, &file.bytes, first, &mut self.problems)
    }

    /// Checks a value and puts it over what weaker sources said.
    fn put(&mut self, target: Target<'_>, text: &str, origin: Origin) {
        let shown = shown_as(target.key.kind, text);
        match target.key.kind.parse(text) {
            Ok(value) => {
                let setting = Setting { value, shown, origin };
                self.values.insert((target.section.name, target.key.name), setting);
            }
            Err(message) => {
                self.problems.push(Problem::in_value(&origin, target.spelled, &shown, message));
            }
        }
    }
}

fn shown_as(kind: Kind, text: &str) -> String {
    match kind {
        Kind::Secret => "(hidden)".to_owned(),
        _ => shown(text),
    }
}

#[cfg(test)]
mod tests;
