//! One owner for each client identifier, however many connections want it.

use broker_core::codec::{Connect, FromClient, FromServer, Reason, Version};
use ha_types::Qos;

use crate::common::{drained, farewell, got, of_qos, payload, staying, subscribed, will};
use crate::spec::broker::{Broker, Client};
use crate::spec::packets::{ack, disconnect, publishes, subscribe, text};

const CONNECTS: usize = 60;

/// Makes the CONNECTs of `bob`.
type Kind = fn(Version) -> Connect;

const DURABLE: Kind = |version| staying(version, "bob");
const EPHEMERAL: Kind = |version| Connect::new(version, text("bob"));
const KINDS: [Kind; 2] = [DURABLE, EPHEMERAL];

/// 5.0 and 3.1.1 in turn.
fn version(at: usize) -> Version {
    if at.is_multiple_of(2) { Version::V5 } else { Version::V311 }
}

/// What an evicted client is told.
fn taken_over(at: usize) -> Option<Reason> {
    (version(at) == Version::V5).then_some(Reason::SESSION_TAKEN_OVER)
}

/// The newest has the client identifier, gets messages, and leaves nothing behind when it ends.
fn check_newest(broker: &mut Broker, bob: Client) {
    let held = broker.held();
    assert_eq!((held.sessions, held.connected), (1, 1));
    subscribed(broker, bob, "only", Qos::AtLeastOnce);
    broker.send(bob, &of_qos(Qos::AtLeastOnce, 1, "only", "x"));
    let messages = drained(broker, bob);
    assert_eq!(messages.iter().map(payload).collect::<Vec<_>>(), ["x"]);
    broker.send(bob, &disconnect(Reason::SUCCESS));
    let (last, _) = broker.connect_with(EPHEMERAL(Version::V5));
    broker.drop_socket(last);
    assert!(broker.is_empty());
}

#[test]
fn sixty_connects_one_after_the_other_end_with_one_owner() {
    for kind in KINDS {
        let mut broker = Broker::new();
        let connect = |at| broker.connect_with(kind(version(at))).0;
        let all: Vec<_> = (0..CONNECTS).map(connect).collect();
        for (at, older) in all[..CONNECTS - 1].iter().enumerate() {
            assert_eq!(farewell(&mut broker, *older), taken_over(at));
        }
        check_newest(&mut broker, all[CONNECTS - 1]);
    }
}

/// The first has the session and is evicted, the newest gets it, and those in between never had it.
#[test]
fn sixty_connects_at_once_end_with_one_owner() {
    for kind in KINDS {
        let mut broker = Broker::new();
        broker.hold_answers();
        let all: Vec<_> = (0..CONNECTS).map(|at| broker.dial(&kind(version(at)))).collect();
        assert!(all.iter().all(|client| broker.received(*client).is_empty()), "nobody has heard");
        broker.let_go_all();
        assert_eq!(farewell(&mut broker, all[0]), taken_over(0));
        for between in &all[1..CONNECTS - 1] {
            let told = farewell(&mut broker, *between);
            assert_eq!(told, Some(Reason::SERVER_UNAVAILABLE));
        }
        let newest = all[CONNECTS - 1];
        assert!(matches!(broker.next_packet(newest), Some(FromServer::Connack(_))));
        check_newest(&mut broker, newest);
    }
}

/// Nobody hears that it must go, so that each is replaced when its time is over.
#[test]
fn sixty_connects_that_are_not_made_room_for_end_with_one_owner() {
    for kind in KINDS {
        let mut broker = Broker::new();
        broker.hold_answers();
        let mut all = Vec::new();
        for at in 0..CONNECTS {
            all.push(broker.dial(&kind(version(at))));
            broker.pass(100);
            let held = broker.held();
            assert_eq!((held.sessions, held.connected), (1, 1));
        }
        broker.let_go_all();
        for (at, older) in all[..CONNECTS - 1].iter().enumerate() {
            assert!(matches!(broker.next_packet(*older), Some(FromServer::Connack(_))));
            assert_eq!(farewell(&mut broker, *older), taken_over(at));
        }
        let newest = all[CONNECTS - 1];
        assert!(matches!(broker.next_packet(newest), Some(FromServer::Connack(_))));
        check_newest(&mut broker, newest);
    }
}

#[test]
fn durable_session_brings_its_messages_through_all_takeovers() {
    let mut broker = Broker::new();
    let alice = broker.connect(Version::V5, "alice");
    let (mut bob, _) = broker.connect_with(DURABLE(Version::V5));
    subscribed(&mut broker, bob, "a", Qos::ExactlyOnce);
    let mut expected = Vec::new();
    for at in 0..CONNECTS {
        let qos = if at % 3 == 0 { Qos::AtLeastOnce } else { Qos::ExactlyOnce };
        broker.send(alice, &of_qos(qos, u16::try_from(at).unwrap() + 1, "a", &at.to_string()));
        expected.push(at.to_string());
        bob = broker.connect_with(DURABLE(version(at))).0;
        let again = publishes(&broker.received(bob));
        assert!(again.iter().all(|publish| publish.dup), "all were sent before");
        assert_eq!(again.iter().map(payload).collect::<Vec<_>>(), expected);
    }
    bob = broker.connect_with(DURABLE(Version::V5)).0;
    assert_eq!(drained(&mut broker, bob).len(), CONNECTS);
    assert_eq!(broker.held().queued, 0);
}

#[test]
fn ephemeral_session_brings_nothing_through_a_takeover() {
    let mut broker = Broker::new();
    let alice = broker.connect(Version::V5, "alice");
    for at in 0..CONNECTS {
        let (bob, connack) = broker.connect_with(EPHEMERAL(version(at)));
        assert!(!connack.session_present);
        broker.send(alice, &of_qos(Qos::AtMostOnce, 0, "a", "too early"));
        subscribed(&mut broker, bob, "a", Qos::AtMostOnce);
        broker.send(alice, &of_qos(Qos::AtMostOnce, 0, "a", "x"));
        assert_eq!(got(&mut broker, bob), ["x"]);
    }
}

#[test]
fn session_present_says_what_the_connection_before_has_left() {
    let last_one: Kind = |version| Connect { session_expiry_s: 0, ..DURABLE(version) };
    let clean: Kind = |version| Connect { clean_start: true, ..DURABLE(version) };
    let turns =
        [(DURABLE, false), (last_one, true), (DURABLE, false), (clean, false), (DURABLE, true)];
    let mut broker = Broker::new();
    for at in 0..CONNECTS {
        let (kind, mut is_present) = turns[at % turns.len()];
        // What the last turn left is there in the next round.
        is_present |= at > 0 && at % turns.len() == 0;
        let (_, connack) = broker.connect_with(kind(Version::V5));
        assert_eq!(connack.session_present, is_present, "{at}");
        assert_eq!(broker.sessions(), 1);
    }
}

/// Delays are for clients that come back to their session: an ephemeral one has nothing to come
/// back to.
#[test]
fn each_connection_that_is_taken_over_has_its_own_will() {
    for (kind, delay_s, published) in
        [(DURABLE, 0, true), (DURABLE, 5, false), (EPHEMERAL, 0, true), (EPHEMERAL, 5, true)]
    {
        let mut broker = Broker::new();
        let watcher = broker.connect(Version::V5, "watcher");
        subscribed(&mut broker, watcher, "will", Qos::AtLeastOnce);
        let mut expected = Vec::new();
        for at in 0..CONNECTS {
            let will = will(&at.to_string(), delay_s);
            broker.connect_with(Connect { will, ..kind(Version::V5) });
            expected.push(at.to_string());
        }
        let (newest, _) = broker.connect_with(kind(Version::V5));
        broker.send(newest, &disconnect(Reason::SUCCESS));
        broker.pass(60_000);
        expected.retain(|_| published);
        let wills = drained(&mut broker, watcher);
        assert_eq!(wills.iter().map(payload).collect::<Vec<_>>(), expected, "{delay_s}");
    }
}

#[test]
fn connection_that_was_replaced_without_hearing_of_it_changes_nothing() {
    let mut broker = Broker::new();
    let alice = broker.connect(Version::V5, "alice");
    let (older, _) = broker.connect_with(DURABLE(Version::V5));
    subscribed(&mut broker, older, "a", Qos::AtLeastOnce);
    broker.send(alice, &of_qos(Qos::AtLeastOnce, 1, "a", "x"));
    let id = publishes(&broker.received(older))[0].flow.packet_id().unwrap().get();
    broker.hold_answers();
    let newer = broker.dial(&DURABLE(Version::V5));
    broker.pass(100);
    broker.send(older, &ack(FromClient::Puback, id));
    broker.send(older, &subscribe(1, "b", Qos::AtLeastOnce));
    broker.let_go_all();
    let told = broker.received(older);
    assert!(matches!(&told[..], [FromServer::Disconnect(_)]), "no SUBACK: {told:?}");
    assert_eq!(broker.held().subscriptions, 1);
    let again = drained(&mut broker, newer);
    assert_eq!(again.len(), 1);
    assert!(again[0].dup);
}

/// The publisher was replaced and does not know: its QoS 2 message is not taken, so that it sends it
/// again on its next connection. An ephemeral subscriber must get it once.
#[test]
fn qos_2_publish_of_a_connection_that_was_replaced_is_delivered_once() {
    let mut broker = Broker::new();
    let bob = broker.connect(Version::V5, "bob");
    subscribed(&mut broker, bob, "a", Qos::ExactlyOnce);
    let (older, _) = broker.connect_with(staying(Version::V5, "alice"));
    broker.hold_answers();
    let newer = broker.dial(&staying(Version::V5, "alice"));
    broker.pass(100);
    broker.send(older, &of_qos(Qos::ExactlyOnce, 1, "a", "x"));
    broker.let_go_all();
    broker.send(newer, &of_qos(Qos::ExactlyOnce, 1, "a", "x"));
    assert_eq!(publishes(&broker.received(bob)).len(), 1);
}
