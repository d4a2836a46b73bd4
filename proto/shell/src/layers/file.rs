//! The layer of the file: INI or JSON, already split into sections and entries.

use std::collections::BTreeMap;

use super::{Layers, Name, Target};
use crate::{
    ini::{Block, Document, Entry},
    problem::{Origin, Problem, shown},
    schema::{self, Required, Section, Spelling},
};

/// Lays the file over the defaults.
pub(super) fn take(layers: &mut Layers, document: &Document) {
    let mut reader = Reader { layers, document, first_lines: BTreeMap::new() };
    // The syntax error of a header without a usable name has been told already.
    for block in document.blocks.iter().filter(|block| !block.section.is_empty()) {
        reader.take_block(block);
    }
    reader.require_sections();
}

struct Reader<'a> {
    layers: &'a mut Layers,
    document: &'a Document,
    /// Where each key was set first, under whichever spelling.
    first_lines: BTreeMap<Name, usize>,
}

impl Reader<'_> {
    fn take_block(&mut self, block: &Block) {
        let name = &block.section;
        let Some((section, spelling)) = schema::find_section(self.layers.schema, name) else {
            let hint = schema::section_hint(self.layers.schema, name);
            return self.problem(block.line, format!("unknown section [{}]{hint}", shown(name)));
        };
        if spelling == Spelling::Older {
            let current = section.name;
            self.note(block.line, format!("[{name}] is the older spelling of [{current}]"));
        }
        for entry in &block.entries {
            self.take_entry(section, entry);
        }
    }

    fn take_entry(&mut self, section: &'static Section, entry: &Entry) {
        let Some((key, spelling)) = schema::find_key(section, &entry.key) else {
            let hint = schema::key_hint(self.layers.schema, section, &entry.key);
            let (key, section) = (shown(&entry.key), section.name);
            return self.problem(entry.line, format!("unknown key {key} in [{section}]{hint}"));
        };
        if spelling == Spelling::Older {
            let (older, current) = (&entry.key, key.name);
            self.note(entry.line, format!("{older} is the older spelling of {current}"));
        }
        let first = *self.first_lines.entry((section.name, key.name)).or_insert(entry.line);
        if first != entry.line {
            let message = format!("{} is already set on line {first}", entry.key);
            return self.problem(entry.line, message);
        }
        let target = Target { section, key, spelled: &entry.key };
        self.layers.put(target, &entry.value, Origin::line(&self.document.file, entry.line));
    }

    fn require_sections(&mut self) {
        let blocks = &self.document.blocks;
        let is_present = |section: &Section| {
            let found = |block: &Block| schema::find_section(self.layers.schema, &block.section);
            blocks.iter().filter_map(found).any(|(present, _)| present.name == section.name)
        };
        let required = self.layers.schema.iter().filter(|s| s.required == Required::Yes);
        let missing: Vec<_> = required.filter(|section| !is_present(section)).collect();
        for section in missing {
            self.problem(1, format!("section [{}] is missing", section.name));
        }
    }

    fn problem(&mut self, line: usize, message: String) {
        self.layers.problems.push(Problem::at_line(&self.document.file, line, message));
    }

    fn note(&mut self, line: usize, message: String) {
        self.layers.notes.push(format!("{}:{line}: {message}", self.document.file));
    }
}
