//! Who is a member of a share group: by SUBSCRIBE, while there is a session; and who of them is there.

use std::collections::BTreeSet;

use ha_types::session::{CloseCause, Offset, SubscribeOptions};
use ha_types::{SessionId, SharedFilter, Subscription};

use super::ClusterState;
use super::groups::{Group, GroupId, Member};
use super::load::CorruptRecord;
use super::open::LAST;
use super::record::Key;
use super::session::Durability;

/// What the last owner of a session said when it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LastWord {
    /// All that its client acknowledged, and all that it sent at QoS 2.
    Said,
    /// It is lost.
    None,
}

impl ClusterState {
    /// Subscribing again changes the options for what comes later.
    pub(super) fn join_group(
        &mut self,
        id: SessionId,
        shared: &SharedFilter,
        options: &SubscribeOptions,
    ) {
        let group = match self.groups.find(shared) {
            Some(group) => group,
            None => self.add_group(shared),
        };
        if let Some(known) = self.groups.get_mut(group) {
            known.join(id, Member::from(options));
        }
        if let Some(session) = self.sessions.get_mut(&id) {
            session.groups.insert(group);
        }
        self.ready(id);
        self.drop_what_nobody_keeps(group);
        self.gather(group);
    }

    fn add_group(&mut self, shared: &SharedFilter) -> GroupId {
        // Sessions and groups are numbered together.
        let group = GroupId(self.next_session);
        self.next_session += 1;
        self.groups.add(group, Group::new(shared.clone()));
        self.changed.insert(Key::Group(group));
        group
    }

    /// What the session has already stays with it, and goes to others when it leaves.
    pub(super) fn leave_group(&mut self, id: SessionId, shared: &SharedFilter) {
        let Some(group) = self.groups.find(shared) else { return };
        if let Some(session) = self.sessions.get_mut(&id) {
            session.groups.remove(&group);
        }
        let Some(known) = self.groups.get_mut(group) else { return };
        known.leave(id);
        if known.members().is_empty() {
            self.changed.insert(Key::Group(group));
            let places = self.groups.remove(group);
            self.changed.extend(places.into_iter().map(|place| Key::Waiting(group, place)));
        } else {
            self.drop_what_nobody_keeps(group);
        }
    }

    /// Members of QoS 0 do not take what waits.
    fn drop_what_nobody_keeps(&mut self, id: GroupId) {
        let Some(group) = self.groups.get(id).filter(|group| !group.keeps()) else { return };
        let places: Vec<u64> = group.waiting().keys().copied().collect();
        for place in places {
            self.unwait(id, place);
            self.counts.dropped += 1;
        }
    }

    /// A session has an owner: it takes part.
    pub(super) fn come_to_groups(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(&id) else { return };
        let (groups, held) = (session.groups.clone(), session.holds_of());
        for group in held {
            if let Some(group) = self.groups.get_mut(group) {
                group.away.remove(&id);
            }
        }
        self.ready(id);
        groups.into_iter().for_each(|group| self.gather(group));
    }

    /// A session has no owner any more. That of a client who comes back at once keeps what it has; one
    /// that ends with its connection leaves all that was not sent.
    pub(super) fn go_from_groups(&mut self, id: SessionId, cause: CloseCause, last: LastWord) {
        self.ready(id);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        match (session.durability, last, cause) {
            // It ends now, and others get what is left.
            (Durability::Ephemeral, LastWord::Said, _) => session.sent_upto = Offset::default(),
            (Durability::Ephemeral, LastWord::None, _) => session.sent_upto = LAST,
            (Durability::Durable, _, CloseCause::Handover) => self.note_away(id),
            (Durability::Durable, _, CloseCause::Disconnect | CloseCause::Failure) => {
                self.share_what_is_left(id);
            }
        }
    }

    /// A session ends: others get what it has, but for exchanges of QoS 2 [MQTT-4.8.2-5].
    pub(super) fn end_in_groups(&mut self, id: SessionId) {
        self.give_back(id, |_, _| true);
        let Some(session) = self.sessions.get(&id) else { return };
        let subscriptions = session.subscriptions.iter().filter_map(|of| shared(&of.options));
        let subscriptions: Vec<SharedFilter> = subscriptions.cloned().collect();
        subscriptions.iter().for_each(|shared| self.leave_group(id, shared));
    }

    /// Who is a member, and who is there, from the sessions.
    pub(super) fn index_groups(&mut self) -> Result<(), CorruptRecord> {
        for (&id, session) in &mut self.sessions {
            for options in session.subscriptions.iter().map(|of| &of.options) {
                let Some(shared) = shared(options) else { continue };
                let known = self.groups.find(shared);
                let corrupt = || CorruptRecord { key: Key::Subscriptions(id).bytes() };
                let group = known.ok_or_else(corrupt)?;
                session.groups.insert(group);
                if let Some(group) = self.groups.get_mut(group) {
                    group.join(id, Member::from(options));
                }
            }
        }
        let ids: Vec<SessionId> = self.sessions.keys().copied().collect();
        for id in ids {
            self.ready(id);
            self.note_away(id);
        }
        let empty = self.groups.iter().find(|(_, group)| group.members().is_empty());
        match empty {
            Some((id, _)) => Err(CorruptRecord { key: Key::Group(id).bytes() }),
            None => Ok(()),
        }
    }
}

/// The shared subscription, if it is one.
pub(super) fn shared(options: &SubscribeOptions) -> Option<&SharedFilter> {
    match &options.subscription {
        Subscription::Shared(shared) => Some(shared),
        Subscription::Plain(_) => None,
    }
}

impl super::session::Session {
    /// Groups of which it has messages, also those that it has left.
    pub(super) fn holds_of(&self) -> BTreeSet<GroupId> {
        self.shared.values().map(|shared| shared.group).collect()
    }
}
