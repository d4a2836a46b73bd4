//! Brokers come to a new leader one after the other.

use ha_types::Qos;
use sim::network::Way;
use sim::script::{acknowledged, attached, leads, play};

/// The new leader does not know what a broker needs before it has said so: it may need everything.
#[test]
fn publisher_whose_broker_is_back_first_has_no_answer_before_the_subscribers_broker_is_back() {
    play(|script| {
        let (alice, carol) = (script.durable("alice", 0), script.ephemeral("carol", 1));
        script.subscribe(carol, "a", Qos::AtLeastOnce);
        script.hold(1, Way::Up);
        script.crash_leader();
        script.until(leads(1));
        script.until(attached(0));
        let message = script.publish(alice, "a", Qos::AtLeastOnce);
        script.not_for(200, acknowledged(message));
        assert_eq!(script.deliveries(message, carol), 0);
        script.release(1, Way::Up);
        script.until(acknowledged(message));
        assert_eq!(script.deliveries(message, carol), 1);
    });
}

/// The broker that is not back may be gone: its lease bounds how long the publisher waits.
#[test]
fn publisher_has_its_answer_when_the_subscribers_broker_is_lost() {
    play(|script| {
        let (alice, carol) = (script.durable("alice", 0), script.ephemeral("carol", 1));
        script.subscribe(carol, "a", Qos::AtLeastOnce);
        script.hold(1, Way::Up);
        script.crash_leader();
        script.until(leads(1));
        let message = script.publish(alice, "a", Qos::AtLeastOnce);
        script.not_for(700, acknowledged(message));
        script.until(acknowledged(message));
        assert_eq!(script.deliveries(message, carol), 0);
    });
}
