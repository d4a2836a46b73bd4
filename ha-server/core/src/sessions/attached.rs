//! What the leader knows of a connected session beyond the state: what its engine was given.

use std::collections::BTreeMap;

use ha_types::session::{
    Offset, Opened, PacketId, PageEnd, Progress, Queued, RecordStage, Refused, SessionKey,
};

use crate::cluster::{Owner, given_max};

/// See the module.
#[derive(Debug)]
pub(super) struct Attached {
    pub(super) key: SessionKey,
    pub(super) owner: Owner,
    /// Exchanges that the client takes at a time.
    receive_maximum: u16,
    /// Everything up to here was given, or is not for this session.
    pub(super) given_upto: Option<Offset>,
    /// What was given and is not done, by packet identifier.
    given: BTreeMap<PacketId, Given>,
    /// Records that were asked for: nothing is given before they are there.
    pub(super) is_beginning: bool,
    /// The first of the records that were asked for last.
    pub(super) asked_at: Option<Offset>,
    /// None of them could begin, and nothing was acknowledged since.
    pub(super) is_refused: bool,
    /// It was given all that was queued when it was last looked at, and every message stored since.
    pub(super) is_caught_up: bool,
}

/// A delivery that is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Given {
    /// `None`: PUBREC came before this connection.
    offset: Option<Offset>,
    is_record: bool,
    /// The engine had no room for it.
    is_lost: bool,
}

impl Given {
    fn new(offset: Option<Offset>, is_record: bool) -> Self {
        Self { offset, is_record, is_lost: false }
    }
}

impl Attached {
    /// Nothing is known to be given.
    pub(super) fn new(
        (owner, receive_maximum): (Owner, u16),
        key: SessionKey,
        given_upto: Option<Offset>,
    ) -> Self {
        Self {
            key,
            owner,
            receive_maximum,
            given_upto,
            given: BTreeMap::new(),
            is_beginning: false,
            asked_at: None,
            is_refused: false,
            is_caught_up: false,
        }
    }

    /// The records were given with the answer.
    pub(super) fn opened(owner: (Owner, u16), opened: &Opened) -> Self {
        let (PageEnd::Live(upto) | PageEnd::More(upto)) = opened.backlog;
        let mut attached = Self::new(owner, opened.session, Some(upto));
        for record in &opened.records {
            match &record.stage {
                RecordStage::Received => attached.note_received(record.packet_id),
                RecordStage::Sent(queued) => attached.note_given(queued),
            }
        }
        attached
    }

    pub(super) fn note_given(&mut self, queued: &Queued) {
        let given = Given::new(Some(queued.offset), queued.record.is_some());
        self.given.insert(queued.offset.packet_id(), given);
    }

    pub(super) fn note_received(&mut self, packet_id: PacketId) {
        self.given.insert(packet_id, Given::new(None, true));
    }

    /// How many more it may be given.
    pub(super) fn room(&self) -> usize {
        given_max(self.receive_maximum).saturating_sub(self.given.len())
    }

    /// How many more exchanges may begin.
    pub(super) fn room_for_records(&self) -> usize {
        let records = self.given.values().filter(|given| given.is_record).count();
        usize::from(self.receive_maximum).saturating_sub(records)
    }

    /// Whether the packet identifier of this offset is free, or its own.
    pub(super) fn may_give(&self, offset: Offset) -> bool {
        let given = self.given.get(&offset.packet_id());
        given.is_none_or(|given| given.offset == Some(offset))
    }

    pub(super) fn give(&mut self, offset: Offset, is_record: bool) {
        self.given.insert(offset.packet_id(), Given::new(Some(offset), is_record));
        self.given_upto = self.given_upto.max(Some(offset));
    }

    /// Whether the engine has it.
    pub(super) fn has(&self, offset: Offset) -> bool {
        let given = self.given.get(&offset.packet_id());
        given.is_some_and(|given| given.offset == Some(offset) && !given.is_lost)
    }

    /// What was given after this offset is lost: it comes again. Exchanges keep their places.
    pub(super) fn take_back(&mut self, after: Option<Offset>) {
        self.given.retain(|_, given| given.is_record || given.offset <= after);
        for given in self.given.values_mut() {
            given.is_lost = given.offset.is_some() && given.offset > after;
        }
        self.given_upto = after;
        self.is_caught_up = false;
    }

    /// The log has what the client acknowledged.
    pub(super) fn done(&mut self, progress: &Progress) {
        self.is_refused = false;
        for offset in progress.done() {
            self.acknowledge(offset);
        }
        for packet_id in &progress.completed {
            self.given.remove(packet_id);
        }
        for refused in &progress.refused {
            match refused {
                Refused::Offset(offset) => self.acknowledge(*offset),
                Refused::Record(packet_id) => drop(self.given.remove(packet_id)),
            }
        }
    }

    fn acknowledge(&mut self, offset: Offset) {
        let packet_id = offset.packet_id();
        if self.given.get(&packet_id).is_some_and(|given| given.offset == Some(offset)) {
            self.given.remove(&packet_id);
        }
    }
}
