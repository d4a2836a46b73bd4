//! Exchanges of QoS 2 that are cut off in the middle.

use ha_core::cluster::Command;
use ha_types::Qos;
use sim::mqtt::device::Post;
use sim::script::{acknowledged, completed, delivered, idle, leads, logged, play};

const RETAINED: Post = Post { topic: "a", qos: Qos::ExactlyOnce, retain: true, expires_in_s: None };

const SHORT_LIVED: Post =
    Post { topic: "a", qos: Qos::ExactlyOnce, retain: false, expires_in_s: Some(2) };

fn is_release(command: &Command) -> bool {
    matches!(command, Command::Release { .. })
}

fn is_pubrec(command: &Command) -> bool {
    matches!(command, Command::Progress { progress, .. } if !progress.received.is_empty())
}

/// After PUBREL the packet identifier is free, whether PUBCOMP arrives or not.
#[test]
fn packet_id_of_a_publisher_that_missed_its_pubcomp_serves_a_new_message() {
    play(|script| {
        let (alice, bob) = (script.durable("alice", 0), script.durable("bob", 1));
        script.subscribe(bob, "a", Qos::ExactlyOnce);
        let first = script.publish(alice, "a", Qos::ExactlyOnce);
        script.until(acknowledged(first));
        script.deafen(alice);
        script.until(logged("PUBREL", is_release));
        script.hang_up(alice);
        script.attend_again(alice);
        script.connect(alice, 2);
        script.until(idle(alice));
        script.use_packet_ids_again(alice);
        let second = script.publish(alice, "a", Qos::ExactlyOnce);
        script.until(completed(second));
        script.until(delivered(second, bob));
        script.pass(1_000);
        assert_eq!(script.received(bob), [first, second]);
    });
}

/// What was retained came under the packet identifier that the next message has, too.
#[test]
fn packet_id_of_a_subscriber_whose_pubcomp_was_lost_waits_for_another() {
    play(|script| {
        let (alice, bob) = (script.durable("alice", 0), script.durable("bob", 1));
        let first = script.post(alice, RETAINED);
        script.until(completed(first));
        script.silence(bob);
        script.subscribe(bob, "a", Qos::ExactlyOnce);
        script.until(delivered(first, bob));
        script.answer(bob);
        script.until(logged("PUBREC", is_pubrec));
        script.pass(50);
        script.answer_in_vain(bob);
        script.hang_up(bob);
        let second = script.publish(alice, "a", Qos::ExactlyOnce);
        script.until(completed(second));
        script.connect(bob, 2);
        script.not_for(300, delivered(second, bob));
        script.attend_again(bob);
        script.until(delivered(second, bob));
        script.until(idle(bob));
        script.pass(50);
        assert_eq!(script.unacknowledged(bob), 0);
        assert_eq!(script.received(bob), [first, second]);
        assert_eq!(script.packet_ids(first, bob), script.packet_ids(second, bob));
    });
}

/// Its delivery has begun, so it must end, and then nothing of it is left.
#[test]
fn exchange_of_a_message_that_expires_meanwhile_ends_on_the_same_connection() {
    play(|script| {
        let (alice, bob) = (script.durable("alice", 0), script.durable("bob", 1));
        script.subscribe(bob, "a", Qos::ExactlyOnce);
        script.silence(bob);
        let message = script.post(alice, SHORT_LIVED);
        script.until(delivered(message, bob));
        script.pass(3_000);
        script.attend_again(bob);
        script.until(idle(bob));
        script.pass(50);
        assert_eq!(script.received(bob), [message]);
        assert_eq!(script.unacknowledged(bob), 0);
    });
}

/// Its client waits for PUBREL, and would take another message under this packet identifier for the same.
#[test]
fn exchange_of_a_message_that_expires_meanwhile_ends_on_another_broker_under_another_leader() {
    play(|script| {
        let (alice, bob) = (script.durable("alice", 0), script.durable("bob", 1));
        script.subscribe(bob, "a", Qos::ExactlyOnce);
        script.silence(bob);
        let message = script.post(alice, SHORT_LIVED);
        script.until(delivered(message, bob));
        script.hang_up(bob);
        script.crash_leader();
        script.until(leads(1));
        script.pass(3_000);
        script.attend_again(bob);
        script.connect(bob, 2);
        script.until(idle(bob));
        script.pass(50);
        assert_eq!(script.unacknowledged(bob), 0);
        let ids = script.packet_ids(message, bob);
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    });
}

/// The client retries what has expired: the exchange goes on, and nobody gets the message again.
#[test]
fn publisher_completes_the_exchange_of_a_message_that_has_expired() {
    play(|script| {
        let (alice, bob) = (script.durable("alice", 0), script.durable("bob", 1));
        script.subscribe(bob, "a", Qos::ExactlyOnce);
        script.deafen(alice);
        let message = script.post(alice, SHORT_LIVED);
        script.until(delivered(message, bob));
        script.pass(3_000);
        script.hang_up(alice);
        script.attend_again(alice);
        script.connect(alice, 2);
        script.until(completed(message));
        script.pass(1_000);
        assert_eq!(script.received(bob), [message]);
    });
}
