//! Messages that no share group keeps: each goes to a connected member at once, or is lost.

use std::collections::BTreeMap;
use std::sync::Arc;

use ha_types::session::SessionKey;
use ha_types::{Message, Qos, SessionId};

use super::groups::{Group, GroupId, Turn};
use super::outcome::{Live, Owner};
use super::share::live;
use super::strategy::Strategy;
use super::{ClusterState, share};

/// Whose turn it was last in each group. The leader's own: nothing of it is replicated.
#[derive(Debug, Default)]
pub struct Turns(BTreeMap<GroupId, SessionId>);

impl ClusterState {
    /// One member of each group that matches, the next in its turn of those that can be reached. What a
    /// group keeps, at QoS 1 or 2, is left to [`Command::Publish`](super::Command::Publish).
    pub fn share_live(
        &self,
        message: &Arc<Message>,
        turns: &mut Turns,
        can_reach: impl Fn(SessionKey, Owner) -> bool,
    ) -> Vec<Live> {
        // Of groups that are gone.
        if turns.0.len() > self.groups.len() {
            turns.0.retain(|id, _| self.groups.get(*id).is_some());
        }
        let mut found = Vec::new();
        for id in self.groups.matching(&message.topic) {
            let Some(group) = self.groups.get(id) else { continue };
            if message.qos > Qos::AtMostOnce && group.keeps() {
                continue;
            }
            let last = turns.0.get(&id).copied().unwrap_or(group.last);
            let next = match self.strategies.of(&group.of.share_name) {
                Strategy::RoundRobin => self.next_live(group, last, message, &can_reach),
                strategy => {
                    let mut all: Vec<_> = group.all_connected(Turn::OfAll).collect();
                    all.retain(|id| self.live_of(group, *id, message, &can_reach).is_some());
                    let best = self.best(strategy, message, last, all.into_iter());
                    best.and_then(|id| Some((id, self.live_of(group, id, message, &can_reach)?)))
                }
            };
            let Some((member, live)) = next else { continue };
            turns.0.insert(id, member);
            found.push(live);
        }
        found
    }

    fn next_live(
        &self,
        group: &Group,
        mut last: SessionId,
        message: &Arc<Message>,
        can_reach: &impl Fn(SessionKey, Owner) -> bool,
    ) -> Option<(SessionId, Live)> {
        for _ in 0..group.connected().len() + group.live().len() {
            last = group.next_connected(last)?;
            if let Some(live) = self.live_of(group, last, message, can_reach) {
                return Some((last, live));
            }
        }
        None
    }

    /// `None`: it cannot be reached.
    fn live_of(
        &self,
        group: &Group,
        id: SessionId,
        message: &Arc<Message>,
        can_reach: &impl Fn(SessionKey, Owner) -> bool,
    ) -> Option<Live> {
        let (session, member) = (self.sessions.get(&id)?, group.members().get(&id)?);
        let live = live(session, share::kept(member, message))?;
        can_reach(live.session, live.owner).then_some(live)
    }
}
