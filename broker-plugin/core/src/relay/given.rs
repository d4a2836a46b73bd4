//! How far ha-server has given a session its queue.

use std::collections::BTreeSet;

use ha_types::session::{Offset, Opened, PageEnd, RecordStage};

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    /// Everything up to here came.
    upto: Option<Offset>,
    /// What came beyond, with the answer to the CONNECT. Bounded by the records of a session.
    beyond: BTreeSet<Offset>,
    /// The engine asked for what comes after `upto` again, and the page has not come.
    is_fetching: bool,
}

impl Given {
    pub(super) fn new(opened: &Opened) -> Self {
        let upto = Some(offset(opened.backlog));
        let sent = opened.records.iter().filter_map(|record| match &record.stage {
            RecordStage::Sent(queued) => Some(queued.offset),
            RecordStage::Received => None,
        });
        let beyond = sent.filter(|&offset| Some(offset) > upto).collect();
        Self { upto, beyond, is_fetching: false }
    }

    /// What [`Resume`](ha_types::link::Resume) says.
    pub(super) fn upto(&self) -> Option<Offset> {
        self.upto
    }

    /// Whether the engine waits for a page.
    pub(super) fn is_fetching(&self) -> bool {
        self.is_fetching
    }

    /// The engine asks for what comes after this offset, whether it came before or not.
    pub(super) fn take_back(&mut self, after: Option<Offset>) {
        self.upto = after;
        self.beyond.retain(|&offset| Some(offset) <= after);
        self.is_fetching = true;
    }

    /// A page came. False: it was not asked for, or came before.
    pub(super) fn paged(&mut self, end: PageEnd, last: Option<Offset>) -> bool {
        if !std::mem::take(&mut self.is_fetching) {
            return false;
        }
        self.upto = Some(offset(end)).max(last);
        true
    }

    /// Whether a delivery is new. While the engine waits for a page it takes nothing else: what is on
    /// its way from before comes again after it.
    pub(super) fn takes(&mut self, offset: Offset) -> bool {
        if self.is_fetching || Some(offset) <= self.upto {
            return false;
        }
        self.upto = Some(offset);
        if self.beyond.is_empty() {
            return true;
        }
        let came = self.beyond.contains(&offset);
        self.beyond.retain(|&beyond| beyond > offset);
        !came
    }
}

fn offset(end: PageEnd) -> Offset {
    let (PageEnd::More(offset) | PageEnd::Live(offset)) = end;
    offset
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live_after(message: u64) -> Given {
        Given { upto: Some(Offset::new(message)), ..Given::default() }
    }

    #[test]
    fn offset_that_does_not_grow_came_before() {
        let mut given = live_after(5);
        assert!(!given.takes(Offset::new(5)));
        assert!(given.takes(Offset::new(6)));
        assert!(!given.takes(Offset::new(6)));
    }

    #[test]
    fn record_of_the_connect_is_not_taken_again_and_holds_nothing_back() {
        let mut given = live_after(5);
        given.beyond.insert(Offset::new(8));
        assert!(given.takes(Offset::new(7)), "it was not among the records");
        assert!(!given.takes(Offset::new(8)));
        assert!(given.takes(Offset::new(9)));
    }

    #[test]
    fn what_was_fetched_is_taken_again_after_its_page_and_not_before() {
        let mut given = live_after(9);
        given.take_back(Some(Offset::new(5)));
        assert_eq!(given.upto(), Some(Offset::new(5)));
        assert!(!given.takes(Offset::new(10)), "on its way from before");
        assert!(given.paged(PageEnd::Live(Offset::new(5)), None));
        assert!(given.takes(Offset::new(6)));
        assert!(!given.paged(PageEnd::Live(Offset::new(5)), None), "it came before");
        assert!(!given.takes(Offset::new(6)));
    }
}
