//! All events of one run, in the order of observation.

use crate::check::Checker;
use crate::event::{At, Event, Name};
use crate::evidence;
use crate::names::Names;
use crate::verdict::Verdict;

/// The most events of a history: places are 32 bits.
pub const EVENTS_MAX: u32 = u32::MAX - 1;

/// Events in a block. Small enough that a short history is small, and blocks are never copied.
const BLOCK: usize = 1 << 14;

/// Events and the names in them: 28 bytes an event.
#[derive(Clone, Debug, Default)]
pub struct History {
    names: Names,
    blocks: Vec<Vec<Event>>,
    events: u32,
    left_out: u64,
}

impl History {
    /// An empty history that knows names already.
    pub(crate) fn with_names(names: Names) -> Self {
        Self { names, ..Self::default() }
    }

    /// The number of a text, to put into events.
    pub fn name(&mut self, text: &str) -> Name {
        self.names.name(text)
    }

    /// All names.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Adds what was observed after everything else; its names are those of this history. When the history is full the event is counted
    /// as left out, and the verdict will not be clean.
    pub fn push(&mut self, event: Event) {
        if self.events == EVENTS_MAX {
            return self.leave_out();
        }
        if self.blocks.last().is_none_or(|block| block.len() == BLOCK) {
            let capacity = if self.blocks.is_empty() { 0 } else { BLOCK };
            self.blocks.push(Vec::with_capacity(capacity));
        }
        self.blocks.last_mut().expect("there is a block with room").push(event);
        self.events += 1;
    }

    /// Counts an event for which there was no room.
    pub(crate) fn leave_out(&mut self) {
        self.left_out += 1;
    }

    /// Adds an event in words.
    pub fn push_named(&mut self, event: Event<String>) {
        let event = event.rename(|text| self.names.name(&text));
        self.push(event);
    }

    /// How many events there are.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.events
    }

    /// Whether there are no events.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events == 0
    }

    /// How many events were observed for which there was no room.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// All events in the order of observation, each with its place.
    pub fn events(&self) -> impl Iterator<Item = (At, Event)> + '_ {
        (0..).map(At).zip(self.blocks.iter().flatten().copied())
    }

    /// An event in words.
    #[must_use]
    pub fn in_words(&self, event: Event) -> Event<String> {
        event.rename(|name| self.names.text(name).to_owned())
    }

    /// Judges everything that was observed. Takes about half a second for a million deliveries and,
    /// beside the events, 28 bytes for each message and some bits for each delivery.
    #[must_use]
    pub fn check(&self) -> Verdict {
        let mut checker = Checker::new(&self.names);
        for (at, event) in self.events() {
            checker.observe(at, event);
        }
        let (counts, findings) = checker.finish();
        evidence::verdict(self, counts, findings)
    }
}
