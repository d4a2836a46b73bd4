//! What a client sends.

use broker_core::codec::{
    Binary, Connect, FilterRequest, Flow, FromClient, NEVER_EXPIRES, PacketId, Publish, Subscribe,
    SubscriptionOptions, Text, Topic, Unsubscribe, UserProperties, Will,
};
use bytes::Bytes;
use ha_types::{Qos, Subscription, TopicName};
use history::{Retain, RetainedWanted, Start, Step, What};

use super::{Asked, Device, Outgoing, Post};

impl Device {
    /// A CONNECT for its session.
    pub fn connect(&mut self, receive_maximum: u16) -> Connect {
        assert!(!self.is_open, "one connection at a time");
        self.connection += 1;
        self.is_open = true;
        let is_durable = self.is_durable();
        let start = if is_durable { Start::Resume } else { Start::Clean };
        let expires_s = if is_durable { NEVER_EXPIRES } else { 0 };
        self.see(What::Connecting { start, expires_s });
        let receive_maximum =
            if self.version.has_properties() { receive_maximum } else { u16::MAX };
        let id = Text::parse(Bytes::from(self.name.clone())).expect("is text");
        Connect {
            clean_start: !is_durable,
            session_expiry_s: expires_s,
            receive_maximum,
            will: self.will(),
            ..Connect::new(self.version, id)
        }
    }

    fn will(&mut self) -> Option<Will> {
        let nth = usize::try_from(self.connection).expect("fits");
        let post = *self.wills.get(nth.checked_rem(self.wills.len())?)?;
        let number = self.next_number;
        self.next_number += 1;
        self.see_publishing(number, post, false);
        Some(Will {
            topic: topic(post),
            payload: Binary::parse(self.payload(number)).expect("is short"),
            qos: post.qos,
            retain: post.retain,
            properties: Bytes::new(),
            expires_in_s: post.expires_in_s,
            delay_s: 0,
        })
    }

    fn payload(&self, number: u32) -> Bytes {
        Bytes::from(format!("{}|{number}", self.name))
    }

    /// The next packet that it owes.
    pub fn next_packet(&mut self) -> Option<FromClient> {
        let packet = self.to_send.pop_front()?;
        let step = |id: PacketId, step| What::DeliveryAcknowledged { packet_id: id.get(), step };
        match &packet {
            FromClient::Puback(ack) => self.see(step(ack.packet_id, Step::Puback)),
            FromClient::Pubrec(ack) => self.see(step(ack.packet_id, Step::Pubrec)),
            FromClient::Pubcomp(ack) => self.see(step(ack.packet_id, Step::Pubcomp)),
            FromClient::Publish(publish) if publish.dup => {
                let id = publish.flow.packet_id();
                let again = self.outgoing.iter().find(|of| Some(of.packet_id) == id);
                let again = *again.expect("it is repeated while it is not answered");
                self.see_publishing(again.number, again.post, true);
            }
            _ => (),
        }
        Some(packet)
    }

    /// A new message, unless too many are not answered or earlier ones must be repeated first.
    pub fn publish(&mut self, post: Post) -> Option<FromClient> {
        const OUTGOING_MAX: usize = 6;
        if !self.is_connected || !self.to_send.is_empty() || self.outgoing.len() >= OUTGOING_MAX {
            return None;
        }
        let number = self.next_number;
        self.next_number += 1;
        let expires_in_s = post.expires_in_s.filter(|_| self.version.has_properties());
        let post = Post { expires_in_s, ..post };
        self.see_publishing(number, post, false);
        let outgoing = Outgoing { packet_id: self.packet_id(), number, post, is_received: false };
        if post.qos > Qos::AtMostOnce {
            self.outgoing.push_back(outgoing);
        }
        Some(self.packet(outgoing, false))
    }

    fn see_publishing(&self, number: u32, post: Post, dup: bool) {
        let retain = if post.retain { Retain::Keep } else { Retain::No };
        let topic = self.recorder.name(post.topic);
        let expires_s = post.expires_in_s;
        self.see(What::Publishing { number, topic, qos: post.qos, retain, dup, expires_s });
    }

    pub(super) fn packet(&self, of: Outgoing, dup: bool) -> FromClient {
        FromClient::Publish(Publish {
            flow: match of.post.qos {
                Qos::AtMostOnce => Flow::AtMostOnce,
                Qos::AtLeastOnce => Flow::AtLeastOnce(of.packet_id),
                Qos::ExactlyOnce => Flow::ExactlyOnce(of.packet_id),
            },
            dup,
            retain: of.post.retain,
            topic: Topic::Name(topic(of.post)),
            expires_in_s: of.post.expires_in_s,
            subscription_ids: Vec::new(),
            properties: Bytes::new(),
            payload: self.payload(of.number),
        })
    }

    /// A packet identifier that is not in use.
    fn packet_id(&mut self) -> PacketId {
        loop {
            self.last_id = self.last_id % 1_000 + 1;
            let id = PacketId::new(self.last_id).expect("at least 1");
            let is_used = self.outgoing.iter().any(|of| of.packet_id == id);
            if !is_used && !self.asked.contains_key(&id) {
                return id;
            }
        }
    }

    /// A SUBSCRIBE, if no other is open.
    pub fn subscribe(&mut self, filter: &'static str, qos: Qos) -> Option<FromClient> {
        if !self.is_connected || !self.asked.is_empty() {
            return None;
        }
        let packet_id = self.packet_id();
        self.asked.insert(packet_id, Asked::Subscribe(filter, qos));
        self.see(What::Subscribing {
            filter: self.recorder.name(filter),
            qos,
            retained: RetainedWanted::Always,
            no_local: false,
            as_published: false,
        });
        let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
        let filters = vec![FilterRequest { subscription: subscription(filter), options }];
        let user_properties = UserProperties::default();
        let subscribe = Subscribe { packet_id, subscription_id: None, user_properties, filters };
        Some(FromClient::Subscribe(subscribe))
    }

    /// An UNSUBSCRIBE, if no other is open.
    pub fn unsubscribe(&mut self, filter: &'static str) -> Option<FromClient> {
        if !self.is_connected || !self.asked.is_empty() {
            return None;
        }
        let packet_id = self.packet_id();
        self.asked.insert(packet_id, Asked::Unsubscribe(filter));
        self.see(What::Unsubscribing { filter: self.recorder.name(filter) });
        let filters = vec![subscription(filter)];
        let user_properties = UserProperties::default();
        Some(FromClient::Unsubscribe(Unsubscribe { packet_id, user_properties, filters }))
    }
}

fn topic(post: Post) -> TopicName {
    TopicName::parse(Bytes::from_static(post.topic.as_bytes())).expect("ours are names")
}

fn subscription(filter: &str) -> Subscription {
    Subscription::parse(filter.as_bytes()).expect("ours are filters")
}
