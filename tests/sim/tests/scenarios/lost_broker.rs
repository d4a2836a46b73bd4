//! The log has the end of a broker's life one entry before a publish of it.

use ha_core::cluster::Command;
use ha_types::Qos;
use sim::network::Way;
use sim::script::{attached, away, completed, delivered, logged, play, proposed};

fn is_leave(command: &Command) -> bool {
    matches!(command, Command::Leave { .. })
}

/// The publish arrives just then. Its sender has no acknowledgement, and sends it again elsewhere.
#[test]
fn publish_that_arrives_when_its_broker_has_just_been_lost_is_taken_once_elsewhere() {
    play(|script| {
        let (alice, bob) = (script.durable("alice", 0), script.durable("bob", 1));
        script.subscribe(bob, "a", Qos::ExactlyOnce);
        script.hold(0, Way::Up);
        let message = script.publish(alice, "a", Qos::ExactlyOnce);
        script.until(logged("the end of the broker's life", is_leave));
        script.release(0, Way::Up);
        script.until(away(alice));
        script.connect(alice, 2);
        script.until(completed(message));
        script.pass(1_000);
        assert_eq!(script.received(bob), [message]);
    });
}

/// Its leader does not know that the broker is lost; the state does.
#[test]
fn publish_that_is_committed_behind_the_loss_of_its_broker_is_refused() {
    for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
        play(|script| {
            let (alice, bob) = (script.durable("alice", 0), script.durable("bob", 1));
            script.subscribe(bob, "a", qos);
            let broker = script.epoch(0);
            let message = script.publish(alice, "a", qos);
            script.until(proposed(message));
            script.slip_in(Command::Leave { broker });
            script.until(away(alice));
            script.not_for(300, delivered(message, bob));
            script.connect(alice, 2);
            script.until(completed(message));
            script.break_streams(0);
            script.pass(1_000);
            script.until(attached(0));
            assert_eq!(script.received(bob), [message]);
        });
    }
}
