//! What a resumed session sends again (§4.4, §4.6).

use broker_core::codec::{FromClient, FromServer};
use ha_types::Qos;

use crate::common::{client, staying};
use crate::spec::broker::Broker;
use crate::spec::packets::{ack, publish_1, publish_2, publishes, subscribe};

/// [MQTT-4.4.0-1], [MQTT-3.3.1-1], [MQTT-4.6.0-1]: with their identifiers, DUP 1, in their order.
#[test]
fn unacknowledged_messages_come_again_with_dup_in_their_order() {
    let mut broker = Broker::new();
    let (bob, _) = broker.connect_with(staying("bob"));
    broker.send(bob, &subscribe(1, "a", Qos::ExactlyOnce));
    let alice = client(&mut broker, "alice");
    for packet in [publish_1(1, "a", "1"), publish_2(2, "a", "2"), publish_1(3, "a", "3")] {
        broker.send(alice, &FromClient::Publish(packet));
    }
    let first = publishes(&broker.received(bob));
    assert_eq!(first.len(), 3);
    broker.drop_socket(bob);
    let (bob, _) = broker.connect_with(staying("bob"));
    let again = publishes(&broker.received(bob));
    let flows = |of: &[broker_core::codec::Publish]| -> Vec<_> {
        of.iter().map(|publish| (publish.flow, publish.payload.clone())).collect()
    };
    assert_eq!(flows(&again), flows(&first));
    assert!(again.iter().all(|publish| publish.dup));
}

/// [MQTT-4.6.0-4], and PUBREL comes again [MQTT-4.4.0-1]: in the order of the PUBRECs.
#[test]
fn pubrels_come_again_in_the_order_of_the_pubrecs() {
    let mut broker = Broker::new();
    let (bob, _) = broker.connect_with(staying("bob"));
    broker.send(bob, &subscribe(1, "a", Qos::ExactlyOnce));
    let alice = client(&mut broker, "alice");
    for id in 1..=3 {
        broker.send(alice, &FromClient::Publish(publish_2(id, "a", "x")));
    }
    let ids: Vec<_> = publishes(&broker.received(bob))
        .iter()
        .map(|publish| publish.flow.packet_id().unwrap().get())
        .collect();
    let order = [ids[2], ids[0], ids[1]];
    for id in order {
        broker.send(bob, &ack(FromClient::Pubrec, id));
    }
    let pubrels = order.map(|id| ack(FromServer::Pubrel, id));
    assert_eq!(broker.received(bob), pubrels);
    broker.drop_socket(bob);
    let (bob, _) = broker.connect_with(staying("bob"));
    assert_eq!(broker.received(bob), pubrels);
}
