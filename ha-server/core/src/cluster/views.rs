//! What operators look at: sessions, subscriptions and retained messages, a page at a time.
//!
//! Reads the state and changes nothing. A page is bounded in items and bytes, and in how much is looked
//! at: a search that finds nothing gives an empty page and a place to go on from, so that nobody who
//! waits for the state waits for long. What comes or goes between two pages may be missed or not;
//! everything else is on one of them, once.

mod retained;
mod sessions;
mod subscriptions;

pub use retained::{RetainedFind, RetainedView};
pub use sessions::{SessionFind, SessionView, Which};
pub use subscriptions::{SubscriptionFind, SubscriptionPlace, SubscriptionView};

/// What one page has at most. Zero counts as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimits {
    /// Items.
    pub items: usize,
    /// Bytes of their texts. The item that exceeds them is the last one.
    pub bytes: usize,
    /// Sessions, subscriptions, messages or topics that are looked at, but for those of one item.
    pub looks: usize,
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T, K> {
    /// In the order of their keys.
    pub items: Vec<T>,
    /// Behind which key the list goes on; `None`: nothing follows.
    pub next: Option<K>,
}

/// A page that is being filled.
struct Filling<T, K> {
    listed: Listed<T, K>,
    left: PageLimits,
}

impl<T, K> Filling<T, K> {
    fn new(limits: PageLimits) -> Self {
        let PageLimits { items, bytes, looks } = limits;
        let left = PageLimits { items: items.max(1), bytes: bytes.max(1), looks: looks.max(1) };
        Self { listed: Listed { items: Vec::new(), next: None }, left }
    }

    /// Whether another may be looked at.
    fn has_room(&self) -> bool {
        self.left.items > 0 && self.left.bytes > 0 && self.left.looks > 0
    }

    fn look_at(&mut self, so_many: usize) {
        self.left.looks = self.left.looks.saturating_sub(so_many);
    }

    fn push(&mut self, item: T, bytes: usize) {
        self.left.items -= 1;
        self.left.bytes = self.left.bytes.saturating_sub(bytes);
        self.listed.items.push(item);
    }

    fn ends(self) -> Listed<T, K> {
        self.listed
    }

    fn goes_on(mut self, behind: K) -> Listed<T, K> {
        self.listed.next = Some(behind);
        self.listed
    }
}
