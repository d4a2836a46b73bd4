//! What a script waits for.

use std::fmt;

use ha_core::cluster::{Batch, ClusterState, Command};
use ha_types::BrokerEpoch;
use history::{Step, What};

use super::{Script, Sent, Who};
use crate::mqtt::raft::NodeId;
use crate::network::BrokerId;

type Seen = Box<dyn Fn(&Script) -> bool>;

/// Something that is seen, or not.
pub struct Sight {
    words: String,
    is_seen: Seen,
}

impl Sight {
    fn new(words: String, is_seen: impl Fn(&Script) -> bool + 'static) -> Self {
        Self { words, is_seen: Box::new(is_seen) }
    }

    pub(super) fn is_seen(&self, script: &Script) -> bool {
        (self.is_seen)(script)
    }
}

impl fmt::Display for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl fmt::Debug for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sight").field(&self.words).finish()
    }
}

/// The client has PUBACK or PUBREC for its message.
#[must_use]
pub fn acknowledged(sent: Sent) -> Sight {
    Sight::new(format!("{sent:?} is acknowledged"), move |script| {
        script.has_step(sent, &[Step::Puback, Step::Pubrec])
    })
}

/// The client has PUBACK or PUBCOMP for its message.
#[must_use]
pub fn completed(sent: Sent) -> Sight {
    Sight::new(format!("{sent:?} is completed"), move |script| {
        script.has_step(sent, &[Step::Puback, Step::Pubcomp])
    })
}

/// A client got a message.
#[must_use]
pub fn delivered(sent: Sent, to: Who) -> Sight {
    Sight::new(format!("{sent:?} is delivered to {to:?}"), move |script| {
        script.deliveries(sent, to) > 0
    })
}

/// The log has a message.
#[must_use]
pub fn committed(sent: Sent) -> Sight {
    Sight::new(format!("{sent:?} is committed"), move |script| {
        script.log.iter().any(|command| script.publishes(command, sent))
    })
}

/// The leader has proposed a message, and the log does not have it.
#[must_use]
pub fn proposed(sent: Sent) -> Sight {
    Sight::new(format!("{sent:?} is proposed"), move |script| {
        let batches = script.world.raft.proposed().map(|entry| Batch::decode(entry));
        let mut commands =
            batches.flat_map(|batch| batch.expect("leaders propose batches").commands);
        commands.any(|command| script.publishes(&command, sent))
    })
}

/// The log has something, since the last act.
#[must_use]
pub fn logged(words: &str, is_meant: fn(&Command) -> bool) -> Sight {
    let words = format!("{words} is committed");
    Sight::new(words, move |script| script.log.iter().any(is_meant))
}

/// A node leads and knows it.
#[must_use]
pub fn leads(id: NodeId) -> Sight {
    Sight::new(format!("node {id} leads"), move |script| {
        let raft = &script.world.raft;
        let node = script.world.nodes[id].running.as_ref();
        raft.leader == id && node.is_some_and(|node| node.leads_in() == Some(raft.term))
    })
}

/// A broker has a leader that welcomed it.
#[must_use]
pub fn attached(id: BrokerId) -> Sight {
    Sight::new(format!("broker {id} is attached"), move |script| {
        let broker = script.world.brokers[id].running.as_ref();
        broker.is_some_and(|broker| broker.is_attached())
    })
}

/// A broker has no stream any more, or was not welcomed on it.
#[must_use]
pub fn detached(id: BrokerId) -> Sight {
    Sight::new(format!("broker {id} is detached"), move |script| {
        let broker = script.world.brokers[id].running.as_ref();
        !broker.is_some_and(|broker| broker.is_attached())
    })
}

/// A client has no connection any more.
#[must_use]
pub fn away(who: Who) -> Sight {
    Sight::new(format!("{who:?} is not connected"), move |script| {
        script.world.clients[who.0].link.is_none()
    })
}

impl Sight {
    /// The client's CONNACK came.
    pub(super) fn connected(who: Who) -> Self {
        Self::new(format!("{who:?} is connected"), move |script| {
            script.world.clients[who.0].device.is_connected()
        })
    }

    /// The client's SUBACK came.
    pub(super) fn subscribed(who: Who, filter: &'static str) -> Self {
        Self::new(format!("{who:?} is subscribed to {filter}"), move |script| {
            script.world.clients[who.0].device.subscriptions().contains_key(filter)
        })
    }
}

/// A client owes nothing, is owed nothing, and no exchange of QoS 2 with it is open.
#[must_use]
pub fn idle(who: Who) -> Sight {
    Sight::new(format!("{who:?} is idle"), move |script| {
        let device = &script.world.clients[who.0].device;
        device.is_connected() && device.is_idle() && !device.is_receiving()
    })
}

impl Script {
    fn has_step(&self, sent: Sent, steps: &[Step]) -> bool {
        let name = self.name(sent.who);
        self.seen.iter().any(|event| match event.what {
            What::Acknowledged { number, step } => {
                event.who == name && number == sent.number && steps.contains(&step)
            }
            _ => false,
        })
    }

    fn state(&self) -> &ClusterState {
        let leader = self.world.nodes[self.world.raft.leader].running.as_ref();
        &leader.expect("somebody leads").state
    }

    /// The epoch of a broker that is not lost.
    #[must_use]
    pub fn epoch(&self, broker: BrokerId) -> BrokerEpoch {
        let name = format!("broker-{broker}");
        let mut alive = self.state().alive();
        alive.find(|(_, of, _)| of.to_string() == name).expect("it has joined").0
    }

    /// Messages and exchanges that the cluster still has for a client.
    #[must_use]
    pub fn unacknowledged(&self, by: Who) -> usize {
        let (session, _) = self.state().session_of(self.name(by)).expect("it has a session");
        self.state().unacknowledged(session.id)
    }

    fn publishes(&self, command: &Command, sent: Sent) -> bool {
        let payload = format!("{}|{}", self.name(sent.who), sent.number);
        matches!(command, Command::Publish { message, .. } if message.payload == payload.as_bytes())
    }

    /// Everything that a client got, in order.
    #[must_use]
    pub fn received(&self, by: Who) -> Vec<Sent> {
        let by = self.name(by);
        let sent = |what: &What<String>| match what {
            What::Delivered { publisher, number, .. } => {
                let mut all = self.world.clients.iter();
                let who = all.position(|client| client.device.name == *publisher).map(Who)?;
                Some(Sent { who, number: *number })
            }
            _ => None,
        };
        self.seen.iter().filter(|event| event.who == by).filter_map(|of| sent(&of.what)).collect()
    }

    /// How often a client got a message.
    #[must_use]
    pub fn deliveries(&self, sent: Sent, to: Who) -> usize {
        let (from, to) = (self.name(sent.who), self.name(to));
        let is_meant = |what: &What<String>| {
            matches!(what, What::Delivered { publisher, number, .. }
                if publisher == from && *number == sent.number)
        };
        self.seen.iter().filter(|event| event.who == to && is_meant(&event.what)).count()
    }

    /// Under which packet identifiers a client got a message, in order.
    #[must_use]
    pub fn packet_ids(&self, sent: Sent, to: Who) -> Vec<u16> {
        let (from, to) = (self.name(sent.who), self.name(to));
        let id = |what: &What<String>| match what {
            What::Delivered { publisher, number, packet_id, .. } => {
                (publisher == from && *number == sent.number).then_some(*packet_id)
            }
            _ => None,
        };
        self.seen.iter().filter(|event| event.who == to).filter_map(|of| id(&of.what)).collect()
    }

    pub(super) fn name(&self, who: Who) -> &str {
        &self.world.clients[who.0].device.name
    }
}
