//! The strongest layer: `--set SECTION.KEY=VALUE`.

use super::{Layers, Target};
use crate::{
    problem::{Origin, Problem, shown},
    schema::{self, Key, Section, Spelling},
};

/// Lays the arguments over everything else; a later one over an earlier one.
pub(super) fn take(layers: &mut Layers, arguments: &[String]) {
    for argument in arguments {
        if let Err((name, message)) = take_argument(layers, argument) {
            layers.problems.push(Problem::new(&Origin::Set(shown(name)), message));
        }
    }
}

/// The error is what was written, and what is wrong with it.
fn take_argument<'a>(layers: &mut Layers, argument: &'a str) -> Result<(), (&'a str, String)> {
    let malformed = |name| (name, "expected SECTION.KEY=VALUE".to_owned());
    let (name, value) = argument.split_once('=').ok_or_else(|| malformed(argument))?;
    let name = name.trim();
    let (section, key) = name.split_once('.').ok_or_else(|| malformed(name))?;
    let found = find(layers.schema, section.trim(), key.trim()).map_err(|text| (name, text))?;
    if found.spelling == Spelling::Older {
        let current = format!("{}.{}", found.section.name, found.key.name);
        layers.notes.push(format!("--set {name} is the older spelling of {current}"));
    }
    let target = Target { section: found.section, key: found.key, spelled: name };
    layers.put(target, value, Origin::Set(name.to_owned()));
    Ok(())
}

struct Found {
    section: &'static Section,
    key: &'static Key,
    spelling: Spelling,
}

fn find(schema: &'static [Section], section: &str, key: &str) -> Result<Found, String> {
    let unknown_section = || {
        let hint = schema::section_hint(schema, section);
        format!("unknown section [{}]{hint}", shown(section))
    };
    let (section, of_section) =
        schema::find_section(schema, section).ok_or_else(unknown_section)?;
    let unknown_key = || {
        let hint = schema::key_hint(schema, section, key);
        format!("unknown key {} in [{}]{hint}", shown(key), section.name)
    };
    let (key, of_key) = schema::find_key(section, key).ok_or_else(unknown_key)?;
    let older = [of_section, of_key].contains(&Spelling::Older);
    let spelling = if older { Spelling::Older } else { Spelling::Current };
    Ok(Found { section, key, spelling })
}
