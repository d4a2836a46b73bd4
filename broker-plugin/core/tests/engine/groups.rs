//! Share groups whose members are slow and leave: each message reaches somebody, and an exchange of
//! QoS 2 that has begun nobody else.

use broker_core::codec::{Connect, Reason, Version};
use broker_core::engine::Limits;
use broker_core::holder::HolderConfig;
use ha_types::Qos;

use crate::common::{drained, farewell, got, of_qos, payload, staying, subscribed};
use crate::spec::broker::{Broker, Client};
use crate::spec::packets::{disconnect, publishes, unsubscribe};

/// PUBACK with a reason that PUBACK does not have [MQTT-3.4.2-1].
const BAD_PUBACK: [u8; 5] = [0x40, 3, 0, 1, 0x92];

const MESSAGES: u16 = 200;

/// A broker in whose group `bob` and `eve` have so many messages as they take, and the rest waits for
/// them.
fn broker_with_members(bob_expiry_s: u32, receive_maximum: u16) -> (Broker, Client, Client) {
    let mut broker = Broker::new();
    let alice = broker.connect(Version::V5, "alice");
    let [bob, eve] = [("bob", bob_expiry_s), ("eve", 3_600)].map(|(name, session_expiry_s)| {
        let connect = Connect { receive_maximum, session_expiry_s, ..staying(Version::V5, name) };
        let (member, _) = broker.connect_with(connect);
        subscribed(&mut broker, member, "$share/g/a", Qos::ExactlyOnce);
        member
    });
    for number in 1..=MESSAGES {
        let qos = if number % 3 == 0 { Qos::AtLeastOnce } else { Qos::ExactlyOnce };
        broker.send(alice, &of_qos(qos, number, "a", &number.to_string()));
    }
    (broker, bob, eve)
}

/// How a member leaves.
type Leave = fn(&mut Broker, Client);

const LEAVE: [Leave; 2] = [
    |broker, bob| broker.drop_socket(bob),
    |broker, bob| broker.send(bob, &disconnect(Reason::SUCCESS)),
];

#[test]
fn what_an_ephemeral_member_leaves_goes_to_another_unless_it_has_begun_at_qos_2() {
    for leave in LEAVE {
        for receive_maximum in [1, 2, 20, 50] {
            let (mut broker, bob, eve) = broker_with_members(0, receive_maximum);
            let sent = publishes(&broker.received(bob));
            leave(&mut broker, bob);
            let begun = sent.iter().filter(|sent| sent.flow.qos() == Qos::ExactlyOnce);
            let mut all: Vec<_> = begun.map(payload).collect();
            all.extend(drained(&mut broker, eve).iter().map(payload));
            let mut all: Vec<u16> = all.iter().map(|number| number.parse().unwrap()).collect();
            all.sort_unstable();
            assert_eq!(all, (1..=MESSAGES).collect::<Vec<_>>(), "{receive_maximum}");
            assert_eq!(broker.held().queued, 0);
        }
    }
}

#[test]
fn what_a_durable_member_leaves_goes_to_another_and_what_has_begun_at_qos_2_waits_for_it() {
    for leave in LEAVE {
        for receive_maximum in [1, 2, 20, 50] {
            let (mut broker, bob, eve) = broker_with_members(3_600, receive_maximum);
            broker.received(bob);
            leave(&mut broker, bob);
            let mut all = drained(&mut broker, eve);
            let (bob, _) = broker.connect_with(staying(Version::V5, "bob"));
            let again = drained(&mut broker, bob);
            assert!(again.iter().all(|again| again.dup && again.flow.qos() == Qos::ExactlyOnce));
            all.extend(again);
            let mut all: Vec<u16> = all.iter().map(|of| payload(of).parse().unwrap()).collect();
            all.sort_unstable();
            assert_eq!(all, (1..=MESSAGES).collect::<Vec<_>>(), "{receive_maximum}");
            assert_eq!(broker.held().queued, 0);
        }
    }
}

#[test]
fn member_that_unsubscribes_keeps_what_it_was_given() {
    for session_expiry_s in [0, 3_600] {
        let (mut broker, bob, eve) = broker_with_members(session_expiry_s, 1);
        broker.send(bob, &unsubscribe(1, "$share/g/a"));
        let all = [drained(&mut broker, bob), drained(&mut broker, eve)].concat();
        let mut all: Vec<u16> = all.iter().map(|of| payload(of).parse().unwrap()).collect();
        all.sort_unstable();
        assert_eq!(all, (1..=MESSAGES).collect::<Vec<_>>());
    }
}

/// What is no packet ends the connection when its turn comes: until then the member is one, and has
/// what it was given. What it began at QoS 2 ends with its session [MQTT-4.8.2-5].
#[test]
fn member_that_publishes_too_fast_and_then_breaks_the_protocol_leaves_when_it_is_read() {
    for (qos, left) in [(Qos::AtLeastOnce, vec!["x"]), (Qos::ExactlyOnce, vec![])] {
        let limits = Limits { publish_rate_max: 2, ..Limits::default() };
        let mut broker = Broker::with(limits, HolderConfig::default());
        let alice = broker.connect(Version::V5, "alice");
        let connect = Connect { session_expiry_s: 1, ..staying(Version::V5, "bob") };
        let (bob, _) = broker.connect_with(connect);
        subscribed(&mut broker, bob, "$share/g/a", qos);
        (0..3).for_each(|_| broker.send(bob, &of_qos(Qos::AtMostOnce, 0, "b", "fast")));
        broker.send_bytes(bob, &BAD_PUBACK);
        broker.send(alice, &of_qos(qos, 1, "a", "x"));
        assert_eq!(got(&mut broker, bob), ["x"]);
        let eve = broker.connect(Version::V5, "eve");
        subscribed(&mut broker, eve, "$share/g/a", qos);
        broker.pass(999);
        assert!(broker.is_open(bob));
        assert_eq!((got(&mut broker, eve), broker.held().queued), (vec![], 1));
        broker.pass(1);
        assert_eq!(farewell(&mut broker, bob), Some(Reason::PROTOCOL_ERROR));
        assert_eq!(drained(&mut broker, eve).iter().map(payload).collect::<Vec<_>>(), left);
        broker.pass(1_000);
        assert_eq!((got(&mut broker, eve), broker.held().queued), (vec![], 0));
    }
}
