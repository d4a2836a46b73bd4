//! Where a durable session's messages come from: unasked, or page by page.

use ha_types::session::{Offset, PageEnd};

/// Pages are asked for while fewer deliveries than this wait.
const LOW_WATER: usize = 64;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Feed {
    /// The last message that was taken.
    after: Option<Offset>,
    source: Source,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Source {
    /// The holder delivers unasked.
    #[default]
    Live,
    /// The next page is to be asked for.
    Due,
    /// It is asked for.
    Asked,
    /// A page had nothing although there is more: a packet identifier must become free first.
    Blocked,
}

impl Feed {
    /// From the end that an open leaves off at.
    pub(super) fn new(backlog: PageEnd) -> Self {
        let mut feed = Self::default();
        feed.paged(backlog, None);
        feed
    }

    /// Whether a message that came unasked is taken. Otherwise it comes with a page.
    pub(super) fn takes(&mut self, offset: Offset, room: usize) -> bool {
        if self.source != Source::Live {
            return false;
        }
        if room == 0 {
            self.source = Source::Due;
            return false;
        }
        self.after = Some(offset);
        true
    }

    /// A page came.
    pub(super) fn paged(&mut self, end: PageEnd, last: Option<Offset>) {
        self.after = last.or(self.after);
        self.source = match end {
            PageEnd::Live(after) => {
                self.after = Some(after);
                Source::Live
            }
            PageEnd::More(_) if last.is_none() && self.source == Source::Asked => Source::Blocked,
            PageEnd::More(after) => {
                self.after = Some(after);
                Source::Due
            }
        };
    }

    /// The client acknowledged something.
    pub(super) fn unblock(&mut self) {
        if self.source == Source::Blocked {
            self.source = Source::Due;
        }
    }

    /// The offset after which to fetch, once per page.
    pub(super) fn fetch(&mut self, waiting: usize, room: usize) -> Option<Option<Offset>> {
        if self.source != Source::Due || waiting >= LOW_WATER || room == 0 {
            return None;
        }
        self.source = Source::Asked;
        Some(self.after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_that_has_no_room_comes_again_with_a_page() {
        let mut feed = Feed::default();
        assert!(feed.takes(Offset::new(5), 1));
        assert!(!feed.takes(Offset::new(6), 0));
        assert!(!feed.takes(Offset::new(7), 1));
        assert_eq!(feed.fetch(LOW_WATER, 1), None);
        assert_eq!(feed.fetch(0, 1), Some(Some(Offset::new(5))));
        assert_eq!(feed.fetch(0, 1), None);
        feed.paged(PageEnd::Live(Offset::new(9)), Some(Offset::new(7)));
        assert!(feed.takes(Offset::new(10), 1));
    }

    #[test]
    fn empty_page_is_not_asked_for_again_before_something_changes() {
        let mut feed = Feed::default();
        feed.paged(PageEnd::More(Offset::new(1)), None);
        assert_eq!(feed.fetch(0, 1), Some(Some(Offset::new(1))));
        feed.paged(PageEnd::More(Offset::new(1)), None);
        assert_eq!(feed.fetch(0, 1), None);
        feed.unblock();
        assert_eq!(feed.fetch(0, 1), Some(Some(Offset::new(1))));
    }
}
