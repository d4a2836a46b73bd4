//! The leader dies between two of the things that it does with a publish.

use ha_core::cluster::Command;
use ha_types::Qos;
use sim::mqtt::device::Post;
use sim::network::Way;
use sim::script::{acknowledged, committed, delivered, logged, play};

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

/// Nobody would send it again: the next leader finds that it is owed.
#[test]
fn leader_that_publishes_a_will_and_dies_before_it_fans_out_leaves_it_to_the_next_one() {
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
        play(|script| {
            let will = Post { topic: "a", qos, retain: false, expires_in_s: None };
            let (alice, gone) = script.mortal("alice", 0, will);
            let (bob, carol) = (script.durable("bob", 1), script.ephemeral("carol", 2));
            [bob, carol].into_iter().for_each(|who| script.subscribe(who, "a", qos));
            (1..3).for_each(|broker| script.hold(broker, Way::Down));
            script.hang_up(alice);
            script.until(logged("the end of the connection", is_close));
            script.crash_leader();
            (1..3).for_each(|broker| script.release(broker, Way::Down));
            [bob, carol].into_iter().for_each(|who| script.until(delivered(gone, who)));
            script.pass(2_000);
            assert_eq!([bob, carol].map(|who| script.deliveries(gone, who)), [1, 1]);
        });
    }
}

/// They know it by its number.
#[test]
fn will_that_arrived_and_is_owed_still_comes_to_brokers_again_and_not_to_their_clients() {
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
        play(|script| {
            let will = Post { topic: "a", qos, retain: false, expires_in_s: None };
            let (alice, gone) = script.mortal("alice", 0, will);
            let carol = script.ephemeral("carol", 2);
            script.subscribe(carol, "a", qos);
            script.hold(2, Way::Up);
            script.hang_up(alice);
            script.until(delivered(gone, carol));
            script.crash_leader();
            script.release(2, Way::Up);
            script.until(logged("that all have the will", is_received));
            assert_eq!(script.deliveries(gone, carol), 1);
        });
    }
}

fn is_close(command: &Command) -> bool {
    matches!(command, Command::Close { .. })
}

fn is_received(command: &Command) -> bool {
    matches!(command, Command::WillsReceived { .. })
}
