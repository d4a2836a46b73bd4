//! Messages of one publisher and topic that take different ways.

use ha_types::Qos;
use sim::mqtt::device::Post;
use sim::network::Way;
use sim::script::{Script, Sent, Who, acknowledged, committed, completed, delivered, play};

/// Nobody keeps it: it goes to whoever is connected.
fn live(script: &mut Script, who: Who) -> Sent {
    script.publish(who, "a", Qos::AtLeastOnce)
}

/// It is retained, so it goes through the log.
fn durable(script: &mut Script, who: Who) -> Sent {
    script.post(who, Post { topic: "a", qos: Qos::AtLeastOnce, retain: true, expires_in_s: None })
}

fn each_came_once_in_this_order(script: &Script, to: Who, messages: &[Sent]) {
    assert_eq!(script.received(to), messages);
}

/// Each of them comes once.
#[test]
fn live_message_comes_before_the_durable_one_behind_it_when_the_subscribers_stream_breaks() {
    play(|script| {
        let (alice, carol) = (script.durable("alice", 0), script.ephemeral("carol", 1));
        script.subscribe(carol, "a", Qos::AtLeastOnce);
        script.hold(1, Way::Down);
        let first = live(script, alice);
        script.not_for(50, acknowledged(first));
        let second = durable(script, alice);
        script.until(committed(second));
        script.break_streams(1);
        script.release(1, Way::Down);
        script.until(completed(first));
        script.until(completed(second));
        each_came_once_in_this_order(script, carol, &[first, second]);
    });
}

/// The leader has the live one and waits for its receipt; the durable one is lost on its way, and both
/// come again.
#[test]
fn live_message_comes_before_the_durable_one_behind_it_when_the_publishers_stream_breaks() {
    play(|script| {
        let (alice, carol) = (script.durable("alice", 0), script.ephemeral("carol", 1));
        script.subscribe(carol, "a", Qos::AtLeastOnce);
        script.hold(1, Way::Up);
        let first = live(script, alice);
        script.not_for(50, acknowledged(first));
        script.hold(0, Way::Up);
        let second = durable(script, alice);
        script.break_streams(0);
        script.release(0, Way::Up);
        script.until(committed(second));
        script.release(1, Way::Up);
        script.until(completed(first));
        script.until(completed(second));
        each_came_once_in_this_order(script, carol, &[first, second]);
    });
}

/// The subscriber has the live one, and nobody heard of it: it comes again from the next leader.
#[test]
fn live_message_comes_before_the_durable_one_behind_it_when_the_leader_dies() {
    play(|script| {
        let (alice, carol) = (script.durable("alice", 0), script.ephemeral("carol", 1));
        script.subscribe(carol, "a", Qos::AtLeastOnce);
        script.hold(1, Way::Up);
        let first = live(script, alice);
        script.until(delivered(first, carol));
        script.hold(1, Way::Down);
        let second = durable(script, alice);
        script.until(committed(second));
        script.crash_leader();
        script.release(1, Way::Up);
        script.release(1, Way::Down);
        script.until(completed(first));
        script.until(completed(second));
        each_came_once_in_this_order(script, carol, &[first, second]);
    });
}

/// It would be fanned out at once, while the other waits for the log.
#[test]
fn live_message_does_not_overtake_the_durable_one_before_it() {
    play(|script| {
        let (alice, carol) = (script.durable("alice", 0), script.ephemeral("carol", 1));
        script.subscribe(carol, "a", Qos::AtLeastOnce);
        let first = durable(script, alice);
        let second = live(script, alice);
        script.until(completed(second));
        each_came_once_in_this_order(script, carol, &[first, second]);
    });
}
