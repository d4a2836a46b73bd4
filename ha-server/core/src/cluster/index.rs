//! Which stored messages a filter matches, and how far its sessions are.

use std::collections::{BTreeMap, VecDeque};

use ha_types::{FilterTree, Qos, SessionId, TopicFilter, TopicName};

use super::few::Few;
use super::messages::Messages;
use super::session::Session;

/// Names an index while it exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct IndexId(u32);

/// Of one filter that durable sessions have with QoS 1 or 2.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) filter: TopicFilter,
    /// Numbers of messages that match, in order; what no session needs is gone.
    pub(super) numbers: VecDeque<u64>,
    /// Bytes of these.
    pub(super) bytes: usize,
    /// For each session a number: it needs nothing of this index below. The lowest decides what is
    /// reclaimed.
    cursors: Few<(u64, SessionId)>,
    /// Connected sessions, and what they were granted.
    pub(super) connected: BTreeMap<SessionId, Qos>,
}

/// All filters.
#[derive(Debug, Default)]
pub(super) struct Indexes {
    tree: FilterTree<IndexId>,
    slots: Vec<Option<Index>>,
    free: Vec<u32>,
}

impl Index {
    fn new(filter: TopicFilter) -> Self {
        Self {
            filter,
            numbers: VecDeque::new(),
            bytes: 0,
            cursors: Few::default(),
            connected: BTreeMap::new(),
        }
    }

    /// The first number at or above `from`.
    pub(super) fn at(&self, from: u64) -> usize {
        self.numbers.partition_point(|&number| number < from)
    }

    pub(super) fn has(&self, number: u64) -> bool {
        self.numbers.binary_search(&number).is_ok()
    }

    /// The lowest number that a session may need.
    pub(super) fn needed_from(&self) -> Option<u64> {
        self.cursors.first().map(|(from, _)| *from)
    }

    pub(super) fn sessions(&self) -> usize {
        self.cursors.len()
    }

    pub(super) fn disconnect(&mut self, session: SessionId) {
        self.connected.remove(&session);
        if self.connected.is_empty() {
            // An empty map keeps its last node.
            self.connected = BTreeMap::new();
        }
    }
}

impl Indexes {
    pub(super) fn len(&self) -> usize {
        self.tree.len()
    }

    /// Whether a session has it.
    pub(super) fn has(&self, session: &Session, number: u64) -> bool {
        let mut places = session.subscriptions.iter().filter_map(|of| of.place);
        places.any(|place| number >= place.began && self.get(place.index).has(number))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (IndexId, &Index)> {
        let ids = (0..).map(IndexId);
        ids.zip(&self.slots).filter_map(|(id, slot)| Some((id, slot.as_ref()?)))
    }

    pub(super) fn get(&self, id: IndexId) -> &Index {
        self.slots[id.0 as usize].as_ref().expect("an index is there while a session has it")
    }

    pub(super) fn get_mut(&mut self, id: IndexId) -> &mut Index {
        self.slots[id.0 as usize].as_mut().expect("an index is there while a session has it")
    }

    /// Those that match, in an order that follows from the filters.
    pub(super) fn matching(&self, topic: &TopicName) -> Vec<IndexId> {
        let mut found = Vec::new();
        self.tree.for_each_match(topic, |&id| found.push(id));
        found
    }

    /// A session needs what matches `filter` from this number on.
    pub(super) fn join(&mut self, filter: &TopicFilter, session: SessionId, from: u64) -> IndexId {
        let id = match self.tree.get(filter) {
            Some(&id) => id,
            None => self.add(filter),
        };
        self.get_mut(id).cursors.insert((from, session));
        id
    }

    fn add(&mut self, filter: &TopicFilter) -> IndexId {
        let index = Some(Index::new(filter.clone()));
        let id = match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = index;
                IndexId(at)
            }
            None => {
                self.slots.push(index);
                IndexId(u32::try_from(self.slots.len() - 1).expect("filters are fewer"))
            }
        };
        *self.tree.entry(filter) = id;
        id
    }

    /// A session needs nothing below `to` any more. Appends the messages that are gone to `gone`.
    pub(super) fn move_cursor(
        &mut self,
        id: IndexId,
        session: SessionId,
        (from, to): (u64, u64),
        messages: &mut Messages,
        gone: &mut Vec<u64>,
    ) {
        let index = self.get_mut(id);
        let is_known = index.cursors.remove(&(from, session));
        debug_assert!(is_known, "a session knows its cursor");
        index.cursors.insert((to, session));
        index.reclaim(messages, gone);
    }

    /// A session needs nothing of it any more.
    pub(super) fn leave(
        &mut self,
        id: IndexId,
        session: SessionId,
        from: u64,
        messages: &mut Messages,
        gone: &mut Vec<u64>,
    ) {
        let index = self.get_mut(id);
        index.cursors.remove(&(from, session));
        index.disconnect(session);
        index.reclaim(messages, gone);
        if index.cursors.is_empty() {
            let filter = index.filter.clone();
            self.tree.retain(&filter, |_| false);
            self.slots[id.0 as usize] = None;
            self.free.push(id.0);
        }
    }

    pub(super) fn push(&mut self, id: IndexId, number: u64, size: usize) {
        let index = self.get_mut(id);
        index.numbers.push_back(number);
        index.bytes += size;
    }
}

impl Index {
    fn reclaim(&mut self, messages: &mut Messages, gone: &mut Vec<u64>) {
        let needed_from = self.needed_from().unwrap_or(u64::MAX);
        while let Some(&first) = self.numbers.front().filter(|&&first| first < needed_from) {
            self.numbers.pop_front();
            self.bytes -= messages.size(first);
            if messages.release(first) {
                gone.push(first);
            }
        }
        // A long queue must not keep its room for ever.
        if self.numbers.capacity() > 64 && self.numbers.len() * 4 < self.numbers.capacity() {
            self.numbers.shrink_to(self.numbers.len() * 2);
        }
    }
}
