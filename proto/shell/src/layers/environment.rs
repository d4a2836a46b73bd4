//! The layer of the environment: `MQTT_HA_SECTION__KEY`.
//!
//! Case does not count, and what is neither letter nor digit in a name stands as `_`. A variable
//! that begins like ours but has no `__` belongs to somebody else and is left alone.

use std::{collections::BTreeMap, ffi::OsString};

use super::{Layers, Target};
use crate::{
    problem::{Origin, Problem, shown},
    schema::{Key, Section, nearest},
};

const PREFIX: &str = "MQTT_HA_";

/// Lays the environment over the file.
pub(super) fn take(
    layers: &mut Layers,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) {
    let known = Known::new(layers.schema);
    let ours = environment.into_iter().filter_map(|(variable, value)| {
        let variable = variable.to_string_lossy().into_owned();
        is_ours(&variable).then_some((variable, value))
    });
    // Sorted, because the order of an environment means nothing.
    let ours: BTreeMap<_, _> = ours.collect();
    let mut set_by = BTreeMap::new();
    for (variable, value) in &ours {
        match known.find(variable) {
            Ok(found) => {
                let name = (found.section.name, found.key.name);
                let first = *set_by.entry(name).or_insert(variable);
                take_variable(layers, variable, value, &found, first);
            }
            Err(message) => {
                let origin = Origin::Environment(shown(variable));
                layers.problems.push(Problem::new(&origin, message));
            }
        }
    }
}

fn take_variable(
    layers: &mut Layers,
    variable: &str,
    value: &OsString,
    found: &Variable,
    first: &str,
) {
    let origin = Origin::Environment(shown(variable));
    if first != variable {
        let message = format!("sets the same key as {first}");
        return layers.problems.push(Problem::new(&origin, message));
    }
    if found.name != found.current {
        let current = &found.current;
        layers.notes.push(format!("{variable} is the older spelling of {current}"));
    }
    let Some(text) = value.to_str() else {
        return layers.problems.push(Problem::new(&origin, "not text; use UTF-8"));
    };
    let target = Target { section: found.section, key: found.key, spelled: variable };
    layers.put(target, text, origin);
}

fn is_ours(variable: &str) -> bool {
    canonical(variable).strip_prefix(PREFIX).is_some_and(|rest| rest.contains("__"))
}

fn canonical(name: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    name.chars().map(letter).collect()
}

/// One name that is known.
#[derive(Clone, Debug)]
struct Variable {
    name: String,
    /// The name to use today.
    current: String,
    section: &'static Section,
    key: &'static Key,
}

/// Every variable that is known, older spellings included.
struct Known(Vec<Variable>);

impl Known {
    fn new(schema: &'static [Section]) -> Self {
        let keys = schema.iter().flat_map(|s| s.keys.iter().map(move |key| (s, key)));
        Self(keys.flat_map(|(section, key)| variables(section, key)).collect())
    }

    fn find(&self, variable: &str) -> Result<Variable, String> {
        let name = canonical(variable);
        if let Some(found) = self.0.iter().find(|known| known.name == name) {
            return Ok(found.clone());
        }
        let close = nearest(&name, self.0.iter().map(|known| known.current.as_str()));
        let hint = close.map_or_else(String::new, |known| format!("; did you mean {known}?"));
        Err(format!("no such section and key{hint}"))
    }
}

fn variables(section: &'static Section, key: &'static Key) -> impl Iterator<Item = Variable> {
    let sections = std::iter::once(&section.name).chain(section.aliases);
    let name = |section: &str, key: &str| canonical(&format!("{PREFIX}{section}__{key}"));
    let current = name(section.name, key.name);
    sections.flat_map(move |spelled_section| {
        let keys = std::iter::once(&key.name).chain(key.aliases);
        let current = current.clone();
        keys.map(move |spelled_key| Variable {
            name: name(spelled_section, spelled_key),
            current: current.clone(),
            section,
            key,
        })
    })
}
