//! The leader dies between two of the things that it does with a publish.

use ha_types::Qos;
use sim::network::Way;
use sim::script::{acknowledged, committed, delivered, play};

const AT_LEAST_ONCE_AND_EXACTLY_ONCE: [Qos; 2] = [Qos::AtLeastOnce, Qos::ExactlyOnce];

/// The publisher's broker sends it again to the next leader, which knows its number.
#[test]
fn leader_that_commits_and_dies_before_it_answers_has_stored_the_message_once() {
    for qos in AT_LEAST_ONCE_AND_EXACTLY_ONCE {
        play(|script| {
            let (alice, bob) = (script.durable("alice", 0), script.durable("bob", 1));
            script.subscribe(bob, "a", qos);
            (0..2).for_each(|broker| script.hold(broker, Way::Down));
            let message = script.publish(alice, "a", qos);
            script.until(committed(message));
            script.crash_leader();
            (0..2).for_each(|broker| script.release(broker, Way::Down));
            script.until(acknowledged(message));
            script.until(delivered(message, bob));
            script.pass(2_000);
            assert_eq!(script.deliveries(message, bob), 1);
        });
    }
}

/// What the session was not given is in its queue, and the next leader gives it.
#[test]
fn leader_that_answers_and_dies_before_it_fans_out_leaves_the_message_in_the_queue() {
    for qos in AT_LEAST_ONCE_AND_EXACTLY_ONCE {
        play(|script| {
            let (alice, bob) = (script.durable("alice", 0), script.durable("bob", 1));
            script.subscribe(bob, "a", qos);
            script.hold(1, Way::Down);
            let message = script.publish(alice, "a", qos);
            script.until(acknowledged(message));
            script.crash_leader();
            script.release(1, Way::Down);
            script.until(delivered(message, bob));
            script.pass(2_000);
            assert_eq!(script.deliveries(message, bob), 1);
        });
    }
}

/// Nobody keeps it for the subscriber, so the publisher has to: it has no answer before.
#[test]
fn leader_does_not_answer_before_a_live_subscriber_has_the_message() {
    for qos in AT_LEAST_ONCE_AND_EXACTLY_ONCE {
        play(|script| {
            let (alice, carol) = (script.durable("alice", 0), script.ephemeral("carol", 1));
            script.subscribe(carol, "a", qos);
            script.hold(1, Way::Down);
            let message = script.publish(alice, "a", qos);
            script.not_for(400, acknowledged(message));
            script.crash_leader();
            script.release(1, Way::Down);
            script.until(acknowledged(message));
            assert_eq!(script.deliveries(message, carol), 1);
        });
    }
}
