//! Leaders whose clocks differ by five minutes.

use ha_types::Qos;
use sim::mqtt::device::Post;
use sim::script::{Script, Sent, Who, acknowledged, delivered, leads, play};

const FIVE_MINUTES_MS: i64 = 300_000;

const FOR_20_S: Post =
    Post { topic: "a", qos: Qos::AtLeastOnce, retain: false, expires_in_s: Some(20) };

/// A message for a session that is away, and then a leader with another clock.
fn message_before_a_leader_with_another_clock(script: &mut Script, ahead_ms: i64) -> (Sent, Who) {
    let (alice, bob) = (script.durable("alice", 0), script.durable("bob", 1));
    script.subscribe(bob, "a", Qos::AtLeastOnce);
    script.hang_up(bob);
    let message = script.post(alice, FOR_20_S);
    script.until(acknowledged(message));
    script.set_clock(1, ahead_ms);
    script.crash_leader();
    script.until(leads(1));
    (message, bob)
}

/// It catches up by a tenth of the time that passes: 20 seconds take 18 at least.
#[test]
fn message_does_not_expire_early_when_the_new_leaders_clock_is_five_minutes_ahead() {
    play(|script| {
        let (message, bob) = message_before_a_leader_with_another_clock(script, FIVE_MINUTES_MS);
        script.pass(16_000);
        script.connect(bob, 1);
        script.until(delivered(message, bob));
    });
}

/// Cluster time goes on from the last stamp, and does not wait for the clock.
#[test]
fn message_does_not_live_on_when_the_new_leaders_clock_is_five_minutes_behind() {
    play(|script| {
        let (message, bob) = message_before_a_leader_with_another_clock(script, -FIVE_MINUTES_MS);
        script.pass(21_000);
        script.connect(bob, 1);
        script.not_for(1_000, delivered(message, bob));
    });
}

/// Nor does it go back.
#[test]
fn message_does_not_expire_early_when_the_new_leaders_clock_is_five_minutes_behind() {
    play(|script| {
        let (message, bob) = message_before_a_leader_with_another_clock(script, -FIVE_MINUTES_MS);
        script.pass(16_000);
        script.connect(bob, 1);
        script.until(delivered(message, bob));
    });
}
