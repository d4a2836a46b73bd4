//! The messages of one session, in order.

use std::collections::VecDeque;
use std::sync::Arc;

use ha_types::session::{Offset, PacketId, Queued, Record, RecordStage, SubscriptionId};
use ha_types::{ClusterMillis, Message, Qos, TopicFilter};

use super::session::Durability;

/// Offsets with the same packet identifier are this far apart.
const PACKET_IDS: u64 = 65_535;

/// Of the first message of a session: its packet identifier is 1, and there are offsets before it.
const FIRST_OFFSET: u64 = PACKET_IDS;

/// Messages that an engine is given at least, whatever its client takes at a time.
const WINDOW_MIN: usize = 32;

/// How often a full queue looks for messages that have expired: going through all of it is not for
/// every publish.
const LOOK_MS: u64 = 1_000;

/// A share group: name and filter.
pub(super) type GroupKey = (Arc<str>, TopicFilter);

/// A message for one session.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) message: Arc<Message>,
    /// The lower of published and granted.
    pub(super) qos: Qos,
    pub(super) retain: bool,
    pub(super) subscription_ids: Vec<SubscriptionId>,
    /// The group that it is for, if it is.
    pub(super) group: Option<GroupKey>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No engine has it.
    Queued,
    /// An engine has it, or had: perhaps sent.
    Given,
    /// PUBREC came, after so many others.
    Received(u64),
}

#[derive(Debug)]
struct Entry {
    offset: Offset,
    stage: Stage,
    item: Item,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Queue {
    /// By offset.
    entries: VecDeque<Entry>,
    bytes: usize,
    next: u64,
    /// Entries whose stage is not `Queued`: all before the first that is.
    given: usize,
    window: usize,
    /// What the client takes at a time.
    receive_maximum: usize,
    /// The first offset that no connection can have sent.
    unsent_from: u64,
    /// PUBRECs that came.
    received: u64,
    /// When the first message expires, or earlier; `None`: none does.
    first_expiry: Option<ClusterMillis>,
    /// When a full queue may look for messages that have expired.
    next_look: ClusterMillis,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            next: FIRST_OFFSET,
            given: 0,
            window: 0,
            receive_maximum: 0,
            unsent_from: FIRST_OFFSET,
            received: 0,
            first_expiry: None,
            next_look: ClusterMillis(0),
        }
    }
}

impl Queue {
    /// For a new connection of a client that takes so many messages at a time.
    pub(super) fn set_window(&mut self, receive_maximum: u16) {
        self.receive_maximum = usize::from(receive_maximum);
        self.window = (self.receive_maximum * 2).max(WINDOW_MIN);
    }

    /// The connection ended, and this queue knows all that was acknowledged. An engine sends in order
    /// and never more than its client takes: what it was given beyond is as if it had not been
    /// [MQTT-3.3.2-5]. That of an ephemeral session has said of each exchange of QoS 2 that it began,
    /// so that nothing of what is left did [MQTT-4.8.2-5].
    pub(super) fn take_back(&mut self, durability: Durability) {
        let sent_max = match durability {
            Durability::Ephemeral => 0,
            Durability::Durable => self.receive_maximum,
        };
        let exchanges = self.entries.range(..self.given);
        let mut exchanges = exchanges.filter(|entry| entry.item.qos > Qos::AtMostOnce);
        let beyond = exchanges.nth(sent_max).map(|entry| entry.offset.message);
        self.sent_before(beyond.unwrap_or(self.given_upto().message.wrapping_add(1)));
        let sent = self.entries.partition_point(|entry| entry.offset.message < self.unsent_from);
        for entry in self.entries.range_mut(sent.min(self.given)..self.given) {
            entry.stage = Stage::Queued;
        }
        self.given = self.given.min(sent);
    }

    /// The connection ended without a word: it may have sent all that it was given.
    pub(super) fn leave_as_sent(&mut self) {
        self.sent_before(self.given_upto().message.wrapping_add(1));
    }

    fn sent_before(&mut self, offset: u64) {
        self.unsent_from = self.unsent_from.max(offset);
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether an engine would be given one more at once.
    pub(super) fn has_room(&self) -> bool {
        self.given == self.entries.len() && self.given < self.window
    }

    /// Whether one more fits into these limits.
    pub(super) fn fits(&self, messages_max: usize, bytes_max: usize) -> bool {
        self.entries.len() < messages_max && self.bytes < bytes_max
    }

    pub(super) fn push(&mut self, item: Item) {
        self.bytes += item.message.size();
        self.first_expiry = self.first_expiry.into_iter().chain(item.message.expires_at).min();
        let offset = Offset::new(self.next);
        self.next += 1;
        self.entries.push_back(Entry { offset, stage: Stage::Queued, item });
    }

    /// Makes room: what no engine has and has expired is gone. Looks no more than once a second.
    pub(super) fn forget_expired(&mut self, now: ClusterMillis) {
        if now < self.next_look || self.first_expiry.is_none_or(|at| now < at) {
            return;
        }
        self.take_if(|entry| entry.stage == Stage::Queued && entry.item.message.is_expired(now));
        let expiries = self.entries.iter().filter_map(|entry| entry.item.message.expires_at);
        self.first_expiry = expiries.min();
        self.next_look = ClusterMillis(now.0.saturating_add(LOOK_MS));
    }

    /// Where the live flow is.
    pub(super) fn given_upto(&self) -> Offset {
        match self.entries.get(self.given) {
            Some(next) => Offset::new(next.offset.message - 1),
            None => Offset::new(self.next - 1),
        }
    }

    /// The next message for the engine, if it may have one. Expired ones are gone.
    pub(super) fn give(&mut self, now: ClusterMillis) -> Option<Queued> {
        loop {
            let entry = self.entries.get(self.given)?;
            if entry.item.message.is_expired(now) {
                self.remove_at(self.given);
                continue;
            }
            let oldest = self.entries.front().map_or(entry.offset, |front| front.offset);
            if self.given >= self.window || entry.offset.message - oldest.message >= PACKET_IDS {
                return None;
            }
            self.given += 1;
            let entry = &mut self.entries[self.given - 1];
            entry.stage = Stage::Given;
            return Some(queued(entry));
        }
    }

    /// What an engine has already, or should have, again: it had no room for what came after `after`.
    pub(super) fn page(&self, after: Option<Offset>, max: (usize, usize)) -> Vec<Queued> {
        let from = match after {
            Some(after) => self.entries.partition_point(|entry| entry.offset <= after),
            None => 0,
        };
        let mut bytes = 0;
        let given = self.entries.range(from.min(self.given)..self.given);
        given
            .filter(|entry| entry.stage == Stage::Given)
            .take(max.0)
            .take_while(|entry| {
                let first = bytes == 0;
                bytes += entry.item.message.size().max(1);
                first || bytes <= max.1
            })
            .map(queued)
            .collect()
    }

    /// Exchanges that an earlier connection may have begun: first those at PUBREL, in the order of
    /// their PUBRECs [MQTT-4.6.0-4], then the others in their own [MQTT-4.6.0-1].
    pub(super) fn records(&self) -> Vec<Record> {
        let mut given: Vec<_> = self.entries.range(..self.given).collect();
        given.sort_by_key(|entry| match entry.stage {
            Stage::Received(at) => (0, at),
            Stage::Queued | Stage::Given => (1, entry.offset.message),
        });
        given
            .into_iter()
            .map(|entry| Record {
                packet_id: entry.offset.packet_id(),
                stage: match entry.stage {
                    Stage::Received(_) => RecordStage::Received,
                    Stage::Queued | Stage::Given => RecordStage::Sent(queued(entry)),
                },
            })
            .collect()
    }

    /// The client is done with it. One that is unknown was done before.
    pub(super) fn acknowledge(&mut self, offset: Offset) {
        if let Ok(at) = self.find(offset) {
            self.remove_at(at);
        }
    }

    /// PUBREC. The message is not needed any more, its packet identifier is.
    pub(super) fn receive(&mut self, id: PacketId) {
        if let Some(at) = self.find_id(id) {
            self.entries[at].stage = Stage::Received(self.received);
            self.received += 1;
        }
    }

    /// PUBCOMP, or a refusal.
    pub(super) fn complete(&mut self, id: PacketId) {
        if let Some(at) = self.find_id(id) {
            self.remove_at(at);
        }
    }

    /// Takes out what another member of these groups may have: all that was not begun, and what was
    /// begun at QoS 1 [MQTT-4.8.2-4].
    pub(super) fn take_shared(&mut self, of: impl Fn(&GroupKey) -> bool) -> Vec<Item> {
        let taken = self.take_if(|entry| {
            let is_begun_at_2 = entry.item.qos == Qos::ExactlyOnce && entry.stage != Stage::Queued;
            !is_begun_at_2 && entry.item.group.as_ref().is_some_and(&of)
        });
        taken.into_iter().map(|entry| entry.item).collect()
    }

    pub(super) fn forget_given_qos_0(&mut self) {
        self.take_if(|entry| entry.item.qos == Qos::AtMostOnce && entry.stage == Stage::Given);
    }

    fn take_if(&mut self, chosen: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        if !self.entries.iter().any(&chosen) {
            return Vec::new();
        }
        let (taken, kept) = self.entries.drain(..).partition::<Vec<_>, _>(chosen);
        self.entries = kept.into();
        self.given = self.entries.iter().filter(|entry| entry.stage != Stage::Queued).count();
        self.bytes = self.entries.iter().map(|entry| entry.item.message.size()).sum();
        taken
    }

    /// Panics when an invariant is broken.
    pub(super) fn check_invariants(&self) {
        let given = self.entries.iter().filter(|entry| entry.stage != Stage::Queued).count();
        assert_eq!(self.given, given);
        assert!(self.entries.range(given..).all(|entry| entry.stage == Stage::Queued), "in order");
        assert!(self.entries.iter().is_sorted_by(|a, b| a.offset < b.offset), "offsets grow");
        let bytes = self.entries.iter().map(|entry| entry.item.message.size()).sum::<usize>();
        assert_eq!(self.bytes, bytes);
        if let (Some(first), Some(last)) = (self.entries.front(), self.given.checked_sub(1)) {
            let apart = self.entries[last].offset.message - first.offset.message;
            assert!(apart < PACKET_IDS, "packet identifiers in use are distinct");
        }
    }

    fn find(&self, offset: Offset) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&offset, |entry| entry.offset)
    }

    /// Among those that were given, which are less than all packet identifiers apart.
    fn find_id(&self, id: PacketId) -> Option<usize> {
        let front = self.entries.front()?.offset;
        let distance =
            (u64::from(id.get()) + PACKET_IDS - u64::from(front.packet_id().get())) % PACKET_IDS;
        let at = self.find(Offset::new(front.message + distance)).ok()?;
        (at < self.given && self.entries[at].item.qos == Qos::ExactlyOnce).then_some(at)
    }

    fn remove_at(&mut self, at: usize) {
        if at < self.given {
            self.given -= 1;
        }
        if let Some(entry) = self.entries.remove(at) {
            self.bytes -= entry.item.message.size();
        }
        if self.entries.is_empty() && self.entries.capacity() > 64 {
            self.entries = VecDeque::new();
        }
    }
}

fn queued(entry: &Entry) -> Queued {
    let item = &entry.item;
    Queued {
        offset: entry.offset,
        message: Arc::clone(&item.message),
        qos: item.qos,
        retain: item.retain,
        subscription_ids: item.subscription_ids.clone(),
        record: (item.qos == Qos::ExactlyOnce).then(|| entry.offset.packet_id()),
    }
}
