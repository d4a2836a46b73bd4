//! The plugin's answers take their time.

use ha_types::Qos;

use crate::order::{retain, slow};
use crate::spec::broker::Broker;
use crate::spec::packets::{publish, publish_1, publishes, subscribe};

#[test]
fn retained_message_that_comes_too_late_is_dropped() {
    for session_expiry_s in [0, 60] {
        for (old, new) in [
            (publish("t", "old"), publish("t", "new")),
            (publish_1(1, "t", "old"), publish_1(1, "t", "new")),
        ] {
            let mut broker = Broker::new();
            retain(&mut broker, old);
            retain(&mut broker, publish("other", "other"));
            let bob = slow(&mut broker, session_expiry_s);
            broker.delay_answers();
            broker.send(bob, &subscribe(1, "#", Qos::AtLeastOnce));
            retain(&mut broker, new);
            broker.take_answers();
            let received = publishes(&broker.received(bob));
            let payloads: Vec<_> = received.iter().map(|publish| &publish.payload[..]).collect();
            assert_eq!(payloads, [&b"new"[..], b"other"], "{session_expiry_s}");
        }
    }
}
