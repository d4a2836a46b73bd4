//! Messages from one client to another.

use broker_core::codec::{FromClient, FromServer, Reason, Version};
use ha_types::Qos;

use crate::spec::broker::Broker;
use crate::spec::packets::{ack, payloads, publish, publish_1, publish_2, suback, subscribe};

const QOS: [Qos; 3] = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce];

#[test]
fn message_reaches_a_subscriber_of_every_version_from_every_version() {
    for from in Version::ALL {
        for to in Version::ALL {
            let mut broker = Broker::new();
            let (alice, bob) = (broker.connect(from, "alice"), broker.connect(to, "bob"));
            broker.send(bob, &subscribe(1, "a/+", Qos::ExactlyOnce));
            assert_eq!(broker.received(bob), [suback(1, &[Reason::GRANTED_QOS_2])]);
            broker.send(alice, &FromClient::Publish(publish("a/b", "zero")));
            broker.send(alice, &FromClient::Publish(publish_1(1, "a/b", "one")));
            broker.send(alice, &FromClient::Publish(publish_2(2, "a/b", "two")));
            broker.send(alice, &ack(FromClient::Pubrel, 2));
            let answers = [
                ack(FromServer::Puback, 1),
                ack(FromServer::Pubrec, 2),
                ack(FromServer::Pubcomp, 2),
            ];
            assert_eq!(broker.received(alice), answers, "{from:?}");
            assert_eq!(payloads(&broker.received(bob)), ["zero", "one", "two"], "{from:?} {to:?}");
        }
    }
}

#[test]
fn delivery_has_the_lower_qos_of_publish_and_subscription() {
    for published in QOS {
        for granted in QOS {
            let mut broker = Broker::new();
            let alice = broker.connect(Version::V5, "alice");
            let bob = broker.connect(Version::V5, "bob");
            broker.send(bob, &subscribe(1, "a", granted));
            broker.received(bob);
            let packet = match published {
                Qos::AtMostOnce => publish("a", "x"),
                Qos::AtLeastOnce => publish_1(1, "a", "x"),
                Qos::ExactlyOnce => publish_2(1, "a", "x"),
            };
            broker.send(alice, &FromClient::Publish(packet));
            let got = crate::spec::packets::publishes(&broker.received(bob));
            assert_eq!(got.len(), 1);
            assert_eq!(got[0].flow.qos(), published.min(granted));
        }
    }
}
