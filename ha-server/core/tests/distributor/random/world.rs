//! All brokers with their leader, and what was promised to whom.

use std::collections::{BTreeMap, BTreeSet};

use ha_core::Input;
use ha_types::{Qos, TopicFilter};

use super::model::{Model, Promise, Session};
use crate::common::Cluster;

/// Everything, and how much was published.
pub(super) struct World {
    pub(super) cluster: Cluster,
    pub(super) models: Vec<Model>,
    pub(super) published: u64,
    /// Clients and filters that a SUBACK said.
    pub(super) subscribed: BTreeSet<(usize, &'static str)>,
}

impl World {
    /// Until nobody has anything to read.
    pub(super) fn read(&mut self) {
        for _ in 0..3 {
            for model in &mut self.models {
                model.read(&mut self.cluster);
            }
        }
        for model in &mut self.models {
            self.subscribed.append(&mut model.granted);
        }
        for at in 0..self.models.len() {
            let from = self.models[at].checked;
            for (payload, promised) in &self.models[at].answered[from..] {
                promised.iter().for_each(|promise| self.check_live(payload, promise));
            }
            self.models[at].checked = self.models[at].answered.len();
        }
    }

    /// Who shall have a publish of this broker.
    pub(super) fn promises(&self, at: usize, topic: &str, qos: Qos) -> Vec<Promise> {
        if qos == Qos::AtMostOnce {
            return Vec::new();
        }
        let topic = crate::common::topic(topic);
        let matches = |filter: &str| TopicFilter::parse(filter.as_bytes()).unwrap().matches(&topic);
        let mut promised = Vec::new();
        for model in self.models.iter().filter(|model| model.index != at) {
            let Some(epoch) = model.epoch else { continue };
            for (&filter, &since) in model.taken.iter().filter(|(filter, _)| matches(filter)) {
                promised.push(Promise::Live { to: model.index, epoch, filter, since });
            }
        }
        // What was granted is subscribed for good: nobody unsubscribes, or asks for less.
        let subscribed = self.subscribed.iter().filter(|(_, filter)| matches(filter));
        promised.extend(subscribed.map(|&(client, _)| Promise::Durable { client }));
        promised
    }

    /// Whether the client that is at this broker is subscribed, or will be, at more than QoS 0.
    pub(super) fn is_promised(&self, at: usize, filter: &'static str) -> bool {
        let Some(Session { client, .. }) = self.models[at].session else { return false };
        let subscribing = self.models.iter().any(|model| model.is_subscribing(client, filter));
        subscribing || self.subscribed.contains(&(client, filter))
    }

    fn check_live(&self, payload: &String, promise: &Promise) {
        let &Promise::Live { to, epoch, filter, since } = promise else { return };
        let model = &self.models[to];
        let is_alive = self.cluster.state.alive().any(|(alive, ..)| alive == epoch);
        if is_alive && model.epoch == Some(epoch) && model.taken.get(filter) == Some(&since) {
            assert!(model.live.contains(payload), "{payload} was answered: {model:?}");
        }
    }

    /// Everybody comes back and takes what there is; nobody publishes.
    pub(super) fn settle(&mut self) {
        for _ in 0..60 {
            for model in &mut self.models {
                model.attach(&mut self.cluster);
                model.read(&mut self.cluster);
                if let Some(stream) = model.stream {
                    self.cluster.write_all(stream);
                }
                model.heartbeat(&mut self.cluster);
                model.say_received(&mut self.cluster);
                if model.session.as_ref().is_some_and(|session| !session.waiting.is_empty()) {
                    model.acknowledge(&mut self.cluster, 10);
                }
            }
            self.cluster.settle();
            self.cluster.now = self.cluster.now.plus(20);
            self.cluster.step(Input::Tick);
            self.cluster.settle();
            self.read();
        }
    }

    pub(super) fn check(&self) {
        for model in &self.models {
            assert!(model.unanswered.is_empty(), "all is answered: {model:?}");
            assert!(model.asks.is_empty(), "all is done: {model:?}");
            let distinct: BTreeSet<_> = model.live.iter().collect();
            assert_eq!(distinct.len(), model.live.len(), "once: {:?}", model.live);
            if let Some(Session { key: Some(key), .. }) = model.session {
                assert_eq!(
                    self.cluster.state.unacknowledged(key.id),
                    0,
                    "all was given: {model:?}"
                );
            }
        }
        self.check_order();
        self.check_live_order();
        self.check_durable();
    }

    /// What was answered is with each session that was subscribed.
    fn check_durable(&self) {
        let given = self.models.iter().flat_map(|model| &model.queued);
        let given: BTreeSet<_> =
            given.map(|(client, _, payload)| (*client, payload.as_str())).collect();
        let sessions = self.models.iter().filter_map(|model| model.session.as_ref());
        let open: BTreeSet<usize> = sessions.map(|session| session.client).collect();
        for (payload, promised) in self.models.iter().flat_map(|model| &model.answered) {
            for promise in promised {
                let Promise::Durable { client } = promise else { continue };
                let has = given.contains(&(*client, payload.as_str()));
                assert!(has || !open.contains(client), "{payload} is not with client {client}");
            }
        }
    }

    /// P4: of a client's messages of QoS 1 none comes to live subscribers behind a newer one of its
    /// topic, through whichever brokers it published them.
    fn check_live_order(&self) {
        let publishers = || self.models.iter().flat_map(|model| &model.publishers);
        for model in &self.models {
            let mut last = BTreeMap::new();
            for payload in model.live.iter().map(|payload| payload.parse().unwrap()) {
                let Some((_, of)) = publishers().find(|(known, _)| **known == payload) else {
                    continue;
                };
                let before = last.insert(of, payload);
                assert!(before < Some(payload), "{payload} of {of:?} after {before:?}");
            }
        }
    }

    /// Each session gets each message under one offset, and on each broker in order.
    fn check_order(&self) {
        let mut places = BTreeMap::new();
        for (client, offset, payload) in self.models.iter().flat_map(|model| &model.queued) {
            let known = *places.entry((*client, payload.clone())).or_insert(*offset);
            // A retained message has one place as it was published, and others since.
            assert!(known.message <= offset.message || known.private > 0 || offset.private > 0);
        }
    }
}
