//! A leader that the other nodes do not reach, and that still has a broker.

use ha_types::Qos;
use sim::script::{acknowledged, attached, delivered, detached, leads, play};

/// The subscriber has its SUBACK from the new leader, of which the old one knows nothing.
#[test]
fn leader_that_is_cut_off_answers_nothing_that_it_cannot_prove_to_lead() {
    play(|script| {
        let (alice, carol) = (script.durable("alice", 0), script.ephemeral("carol", 1));
        let old = script.cut_off_leader();
        script.until(leads(1));
        script.break_streams(1);
        script.until(detached(1));
        script.until(attached(1));
        script.subscribe(carol, "a", Qos::AtLeastOnce);
        let message = script.publish(alice, "a", Qos::AtLeastOnce);
        script.not_for(200, acknowledged(message));
        script.heal(old);
        script.until(acknowledged(message));
        assert_eq!(script.deliveries(message, carol), 1);
    });
}

/// What the new leader has for the broker of the old one is given when it comes over.
#[test]
fn new_leader_waits_for_the_broker_that_is_still_with_the_old_one() {
    play(|script| {
        let (alice, carol) = (script.durable("alice", 0), script.ephemeral("carol", 1));
        script.subscribe(carol, "a", Qos::AtLeastOnce);
        let old = script.cut_off_leader();
        script.until(leads(1));
        script.break_streams(0);
        script.until(detached(0));
        script.until(attached(0));
        let message = script.publish(alice, "a", Qos::AtLeastOnce);
        script.not_for(200, acknowledged(message));
        assert_eq!(script.deliveries(message, carol), 0);
        script.heal(old);
        script.until(acknowledged(message));
        assert_eq!(script.deliveries(message, carol), 1);
    });
}

/// The old leader cannot commit: what its broker sends goes to the new leader in the end, once.
#[test]
fn message_that_an_old_leader_could_not_commit_is_stored_once_by_the_new_one() {
    play(|script| {
        let (alice, bob) = (script.durable("alice", 0), script.durable("bob", 1));
        script.subscribe(bob, "a", Qos::ExactlyOnce);
        let old = script.cut_off_leader();
        let message = script.publish(alice, "a", Qos::ExactlyOnce);
        script.until(leads(1));
        script.not_for(200, acknowledged(message));
        script.heal(old);
        script.until(acknowledged(message));
        script.until(delivered(message, bob));
        script.pass(2_000);
        assert_eq!(script.deliveries(message, bob), 1);
    });
}
