//! Texts by number: an event names clients, topics and filters in four bytes each.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::Name;

/// All texts of a history. Nothing is forgotten: bounded by what is recorded.
#[derive(Clone, Debug, Default)]
pub struct Names {
    texts: Vec<Arc<str>>,
    numbers: BTreeMap<Arc<str>, Name>,
}

impl Names {
    /// The number of a text; the same for the same text.
    pub fn name(&mut self, text: &str) -> Name {
        if let Some(&known) = self.numbers.get(text) {
            return known;
        }
        let name = Name(u32::try_from(self.texts.len()).expect("each takes 40 bytes or more"));
        let text: Arc<str> = text.into();
        self.texts.push(Arc::clone(&text));
        self.numbers.insert(text, name);
        name
    }

    /// The text of a number that this gave out. Panics for others.
    #[must_use]
    pub fn text(&self, name: Name) -> &str {
        &self.texts[name.index()]
    }

    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }
}
