//! The leader applies a publish of QoS 2 and dies before anybody has it; its client sends it again elsewhere.

use ha_types::Qos;
use sim::network::Way;
use sim::script::{Script, Sent, Who, committed, completed, delivered, leads, play};

/// Alice has published at broker 0, which nobody hears any more, and is at broker 2.
fn applied_and_sent_again(script: &mut Script, alice: Who) -> Sent {
    script.hold(1, Way::Down);
    let message = script.publish(alice, "a", Qos::ExactlyOnce);
    script.hold(0, Way::Down);
    script.until(committed(message));
    script.hold(0, Way::Up);
    script.crash_leader();
    script.hang_up(alice);
    script.break_streams(1);
    script.release(1, Way::Down);
    script.until(leads(1));
    script.connect(alice, 2);
    message
}

/// Live subscribers have it before what follows it, also those of its first broker.
#[test]
fn message_comes_to_live_subscribers_before_the_next_one_and_once() {
    play(|script| {
        let alice = script.durable("alice", 0);
        let live = [0, 1, 2].map(|broker| script.ephemeral(&format!("carol {broker}"), broker));
        live.iter().for_each(|&who| script.subscribe(who, "a", Qos::ExactlyOnce));
        let first = applied_and_sent_again(script, alice);
        script.until(delivered(first, live[1]));
        script.release(0, Way::Down);
        script.release(0, Way::Up);
        script.until(completed(first));
        let second = script.publish(alice, "a", Qos::ExactlyOnce);
        script.until(completed(second));
        script.pass(1_000);
        for who in live {
            assert_eq!(script.received(who), [first, second]);
        }
    });
}

/// Its first broker is lost, so nobody else would send it again.
#[test]
fn message_comes_to_live_subscribers_when_its_first_broker_is_lost() {
    play(|script| {
        let (alice, carol) = (script.durable("alice", 0), script.ephemeral("carol", 1));
        script.subscribe(carol, "a", Qos::ExactlyOnce);
        let first = applied_and_sent_again(script, alice);
        script.until(completed(first));
        let second = script.publish(alice, "a", Qos::ExactlyOnce);
        script.until(completed(second));
        assert_eq!(script.received(carol), [first, second]);
    });
}
