//! Clients that the broker lets go: what is finished before they are told so.

use broker_core::codec::{FromClient, FromServer, Reason, Version};
use broker_core::engine::{LEAVE_MS_MAX, Limits};
use broker_core::holder::HolderConfig;
use ha_types::Qos;

use crate::common::{farewell, got, staying, subscribed};
use crate::spec::broker::Broker;
use crate::spec::packets::{ack, publish_1, publishes, text};

const GOES: Option<Reason> = Some(Reason::USE_ANOTHER_SERVER);

#[test]
fn client_with_nothing_under_way_is_told_at_once_and_its_session_waits() {
    let mut broker = Broker::new();
    let (bob, _) = broker.connect_with(staying(Version::V5, "bob"));
    broker.leave(bob);
    assert_eq!(farewell(&mut broker, bob), GOES);
    assert!(!broker.is_open(bob));
    assert_eq!((broker.held().connected, broker.held().sessions), (0, 1));
}

#[test]
fn client_of_3_1_1_is_closed_without_a_word() {
    let mut broker = Broker::new();
    let bob = broker.connect(Version::V311, "bob");
    broker.leave(bob);
    assert!(!broker.is_open(bob));
    assert_eq!(broker.received(bob), []);
}

#[test]
fn other_server_is_named_where_one_is_configured() {
    for (server_moved, reason) in [(false, 0x9C), (true, 0x9D)] {
        let server_reference = Some(text("other:1883"));
        let limits = Limits { server_reference, server_moved, ..Limits::default() };
        let mut broker = Broker::with(limits, HolderConfig::default());
        let bob = broker.connect(Version::V5, "bob");
        broker.leave(bob);
        let Some(FromServer::Disconnect(told)) = broker.next_packet(bob) else { panic!() };
        assert_eq!(
            (told.reason, told.server_reference),
            (Reason(reason), Some(text("other:1883")))
        );
    }
}

#[test]
fn what_the_client_published_is_acknowledged_before_it_is_told() {
    let mut broker = Broker::new();
    let (bob, _) = broker.connect_with(staying(Version::V5, "bob"));
    subscribed(&mut broker, bob, "a", Qos::AtMostOnce);
    broker.hold_answers();
    broker.send(bob, &FromClient::Publish(publish_1(7, "a", "x")));
    broker.leave(bob);
    assert!(broker.is_open(bob));
    broker.let_go_all();
    let packets = broker.received(bob);
    assert!(
        packets.iter().any(|p| matches!(p, FromServer::Puback(ack) if ack.packet_id.get() == 7))
    );
    let Some(FromServer::Disconnect(told)) = packets.last() else { panic!("{packets:?}") };
    assert_eq!(Some(told.reason), GOES);
}

#[test]
fn answer_that_does_not_come_is_waited_for_two_seconds() {
    let mut broker = Broker::new();
    let (bob, _) = broker.connect_with(staying(Version::V5, "bob"));
    broker.hold_answers();
    broker.send(bob, &FromClient::Publish(publish_1(7, "a", "x")));
    broker.leave(bob);
    broker.pass(LEAVE_MS_MAX - 1);
    assert!(broker.is_open(bob));
    broker.pass(1);
    assert_eq!(farewell(&mut broker, bob), GOES);
}

#[test]
fn delivery_that_was_acknowledged_while_leaving_does_not_come_again() {
    let mut broker = Broker::new();
    let (bob, _) = broker.connect_with(staying(Version::V5, "bob"));
    subscribed(&mut broker, bob, "a", Qos::AtLeastOnce);
    let alice = broker.connect(Version::V5, "alice");
    broker.send(alice, &FromClient::Publish(publish_1(1, "a", "first")));
    let first = publishes(&broker.received(bob));
    let id = first[0].flow.packet_id().unwrap().get();
    broker.leave(bob);
    broker.send(alice, &FromClient::Publish(publish_1(2, "a", "second")));
    assert_eq!(got(&mut broker, bob), Vec::<String>::new(), "nothing new begins");
    broker.send(bob, &ack(FromClient::Puback, id));
    assert_eq!(farewell(&mut broker, bob), GOES);
    let (bob, _) = broker.connect_with(staying(Version::V5, "bob"));
    assert_eq!(got(&mut broker, bob), ["second"]);
}

#[test]
fn client_that_does_not_acknowledge_goes_after_a_second() {
    let mut broker = Broker::new();
    let (bob, _) = broker.connect_with(staying(Version::V5, "bob"));
    subscribed(&mut broker, bob, "a", Qos::AtLeastOnce);
    let alice = broker.connect(Version::V5, "alice");
    broker.send(alice, &FromClient::Publish(publish_1(1, "a", "x")));
    broker.received(bob);
    broker.leave(bob);
    broker.pass(999);
    assert!(broker.is_open(bob));
    broker.pass(1);
    assert_eq!(farewell(&mut broker, bob), GOES);
}

#[test]
fn leaving_twice_is_leaving_once() {
    let mut broker = Broker::new();
    let (bob, _) = broker.connect_with(staying(Version::V5, "bob"));
    broker.hold_answers();
    broker.send(bob, &FromClient::Publish(publish_1(7, "a", "x")));
    broker.leave(bob);
    broker.pass(LEAVE_MS_MAX - 1);
    broker.leave(bob);
    broker.pass(1);
    assert!(!broker.is_open(bob), "the time counts from the first");
}
