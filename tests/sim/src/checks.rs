//! What must be true when all is calm. What must always be true is checked where it happens: the
//! cores' invariants after each step, deliveries in [`crate::clients`].

use std::collections::BTreeSet;

use bytes::Bytes;
use ha_core::BrokerState;
use ha_types::{ClusterMillis, Message, Millis, TopicFilter, TopicName};

use crate::broker::Broker;
use crate::clients::Clients;
use crate::cluster::Cluster;
use crate::server::CLUSTER_TIME;

/// All brokers are attached, nothing waits, and everybody knows the same.
pub fn all_is_settled(cluster: &Cluster, clients: &Clients) {
    assert_eq!(clients.unanswered(), 0, "SUBSCRIBEs wait");
    let server = &cluster.server.running.as_ref().expect("ha-server runs").core;
    let views = server.brokers(Millis(cluster.now));
    assert_eq!(views.len(), cluster.brokers.len());
    for (id, (view, process)) in views.iter().zip(&cluster.brokers).enumerate() {
        let broker = process.running.as_ref().expect("all brokers run");
        assert!(broker.is_attached(), "broker {id} is {:?}", broker.core.link_state());
        assert_eq!(view.state, BrokerState::Attached, "broker {id} at ha-server");
        assert_eq!(view.queued_bytes, 0, "queued for broker {id}");
        assert_eq!(broker.core.outbox_len(), 0, "in the outbox of broker {id}");
        interest_is_what_clients_need(id, broker, clients);
        assert_eq!(view.filters, broker.core.filters(), "filters of broker {id} at ha-server");
        copy_agrees_with_ha_server(cluster, id, broker);
    }
}

fn interest_is_what_clients_need(id: usize, broker: &Broker, clients: &Clients) {
    let needed: BTreeSet<_> =
        clients.subscriptions(id).map(|(needed, _)| needed.filter()).collect();
    let known: BTreeSet<_> = broker.core.interest().collect();
    assert_eq!(known, needed, "interest of broker {id}");
}

fn copy_agrees_with_ha_server(cluster: &Cluster, id: usize, broker: &Broker) {
    let found = all_topics().into_iter().flat_map(|filter| broker.core.retained_matching(&filter));
    let copied: Retained = found.map(|found| topic_and_number(&found.message)).collect();
    assert_eq!(copied, retained(cluster), "retained at broker {id}, and at ha-server");
}

/// Topics and numbers of retained messages.
pub type Retained = BTreeSet<(TopicName, Bytes)>;

/// What ha-server retains.
#[must_use]
pub fn retained(cluster: &Cluster) -> Retained {
    let server = &cluster.server.running.as_ref().expect("ha-server runs").disk.state;
    let now = ClusterMillis(CLUSTER_TIME.0 + cluster.now);
    let all = all_topics();
    let found = all.iter().flat_map(|filter| server.retained().matching(filter, now));
    found.map(|message| topic_and_number(message)).collect()
}

fn topic_and_number(message: &Message) -> (TopicName, Bytes) {
    (message.topic.clone(), message.properties.clone())
}

/// Together they match every topic that clients publish to.
fn all_topics() -> [TopicFilter; 2] {
    ["#", "$x/#"].map(|text| TopicFilter::parse(text.as_bytes()).expect("is a filter"))
}

/// Every message reached everybody who needed it.
pub fn nothing_is_owed(clients: &Clients) {
    let owed = clients.owed();
    assert!(owed.is_empty(), "these (broker, message) were not delivered: {owed:?}");
}
