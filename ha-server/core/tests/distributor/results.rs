//! When a numbered publish is answered.

use ha_core::{Config, Input, StreamId};
use ha_types::link::{Downstream, GoodbyeReason, Upstream};
use ha_types::{PublishNumber, RetainedVersion};

use crate::common::{
    Cluster, STALL_MS, accepted, config, hello, large, message, numbered, publish,
};

/// A publisher whose first publish is held because `s` is behind.
fn held_behind_slow() -> (Cluster, StreamId, StreamId) {
    let mut cluster = Cluster::new(config());
    let (publisher, slow) = (cluster.attach("p"), cluster.subscriber("s", &["t"]));
    cluster.say(publisher, [numbered(1, message("t", &large(&config())))]);
    assert!(cluster.results(publisher).is_empty());
    (cluster, publisher, slow)
}

fn reattach(cluster: &mut Cluster, name: &str, incarnation: u64, old: StreamId) -> StreamId {
    cluster.step(Input::Broken(old));
    let stream = cluster.hello(hello(name, incarnation));
    cluster.write_all(stream);
    cluster.read(stream);
    stream
}

#[test]
fn results_come_in_the_order_of_their_numbers() {
    let mut cluster = Cluster::new(config());
    let publisher = cluster.attach("p");
    cluster.say(publisher, (1..=3).map(|number| numbered(number, message("t", "m"))));
    let expected = [1, 2, 3].map(|number| accepted(number, RetainedVersion(0)));
    assert_eq!(cluster.read(publisher), expected);
}

#[test]
fn result_that_waits_for_nobody_stays_behind_one_that_waits() {
    let (mut cluster, publisher, slow) = held_behind_slow();
    cluster.say(publisher, [numbered(2, message("other", "m"))]);
    assert!(cluster.results(publisher).is_empty());
    cluster.write_all(slow);
    assert_eq!(cluster.results(publisher), [1, 2]);
}

#[test]
fn slow_broker_holds_back_only_publishers_that_send_to_it() {
    let (mut cluster, _, _) = held_behind_slow();
    let other = cluster.attach("o");
    cluster.say(other, [numbered(1, message("elsewhere", "m"))]);
    assert_eq!(cluster.results(other), [1]);
}

#[test]
fn held_result_is_released_when_the_target_drains_to_half() {
    let (mut cluster, publisher, slow) = held_behind_slow();
    let above_half = cluster.unwritten(slow) - config().queue_bytes / 2;
    cluster.write(slow, above_half - 1);
    assert!(cluster.results(publisher).is_empty());
    cluster.write(slow, 1);
    assert_eq!(cluster.results(publisher), [1]);
}

#[test]
fn held_result_is_released_when_the_target_detaches_says_goodbye_or_stalls() {
    let (mut cluster, publisher, slow) = held_behind_slow();
    cluster.step(Input::Broken(slow));
    assert_eq!(cluster.results(publisher), [1]);
    let (mut cluster, publisher, slow) = held_behind_slow();
    cluster.say(slow, [Upstream::Leave]);
    assert_eq!(cluster.results(publisher), [1]);
    let (mut cluster, publisher, _) = held_behind_slow();
    cluster.wait(STALL_MS, &[publisher]);
    assert_eq!(cluster.results(publisher), [1]);
}

#[test]
fn held_result_is_released_when_the_lease_of_the_target_ends() {
    let mut cluster = Cluster::new(Config { stall_ms: 1_000_000, ..config() });
    let (publisher, slow) = (cluster.attach("p"), cluster.subscriber("s", &["t"]));
    cluster.say(publisher, [numbered(1, message("t", &large(&config())))]);
    cluster.wait(999, &[publisher]);
    assert!(cluster.results(publisher).is_empty());
    cluster.wait(1, &[publisher]);
    assert_eq!(cluster.goodbye(slow), Some(GoodbyeReason::LeaseExpired));
    assert_eq!(cluster.results(publisher), [1]);
}

#[test]
fn held_result_is_released_when_the_target_attaches_on_a_newer_stream() {
    let (mut cluster, publisher, _) = held_behind_slow();
    cluster.hello(hello("s", 1));
    assert_eq!(cluster.results(publisher), [1]);
}

#[test]
fn result_waits_for_every_broker_that_is_behind() {
    let (mut cluster, publisher, first) = held_behind_slow();
    let second = cluster.subscriber("s2", &["t"]);
    cluster.say(publisher, [numbered(2, message("t", &large(&config())))]);
    cluster.write_all(first);
    assert_eq!(cluster.results(publisher), [1]);
    cluster.write_all(second);
    assert_eq!(cluster.results(publisher), [2]);
}

#[test]
fn result_does_not_wait_for_a_broker_that_caught_up_and_fell_behind_again() {
    let (mut cluster, publisher, first) = held_behind_slow();
    let second = cluster.subscriber("s2", &["u"]);
    cluster.say(publisher, [numbered(2, message("u", &large(&config())))]);
    cluster.write_all(second);
    let other = cluster.attach("o");
    cluster.say(other, [publish(message("u", &large(&config())))]);
    cluster.write_all(first);
    assert_eq!(cluster.results(publisher), [1, 2]);
}

#[test]
fn result_does_not_wait_for_the_next_broker_in_the_slot_of_a_lost_one() {
    let config = Config { brokers_max: 4, ..config() };
    let mut cluster = Cluster::new(config.clone());
    let (publisher, first) = (cluster.attach("p"), cluster.subscriber("s", &["t"]));
    let (gone, other) = (cluster.subscriber("gone", &["u"]), cluster.attach("o"));
    cluster.say(publisher, [numbered(1, message("t", &large(&config)))]);
    cluster.say(publisher, [numbered(2, message("u", &large(&config)))]);
    cluster.say(gone, [Upstream::Leave]);
    cluster.subscriber("new", &["v"]);
    cluster.say(other, [publish(message("v", &large(&config)))]);
    cluster.write_all(first);
    assert_eq!(cluster.results(publisher), [1, 2]);
}

#[test]
fn publish_sent_again_after_a_broken_stream_is_answered_and_not_applied_twice() {
    let (mut cluster, publisher, slow) = held_behind_slow();
    cluster.write_all(slow);
    cluster.read(slow);
    let publisher = reattach(&mut cluster, "p", 1, publisher);
    assert_eq!(cluster.welcome(publisher).taken_upto, PublishNumber(1));
    let again = [numbered(1, message("t", "again")), numbered(2, message("t", "new"))];
    cluster.say(publisher, again);
    assert_eq!(cluster.payloads(slow), ["new"]);
    assert_eq!(cluster.results(publisher), [1, 2]);
}

#[test]
fn same_incarnation_is_recognised_after_its_lease_ended() {
    let mut cluster = Cluster::new(config());
    let (publisher, a) = (cluster.attach("p"), cluster.subscriber("a", &["#"]));
    cluster.say(publisher, [numbered(1, message("t", "m"))]);
    cluster.step(Input::Broken(publisher));
    cluster.wait(1_000, &[a]);
    let publisher = cluster.hello(hello("p", 1));
    cluster.say(publisher, [numbered(1, message("t", "again"))]);
    assert_eq!(cluster.results(publisher), [1]);
    assert_eq!(cluster.payloads(a), ["m"]);
}

#[test]
fn new_incarnation_starts_anew() {
    let mut cluster = Cluster::new(config());
    let (publisher, a) = (cluster.attach("p"), cluster.subscriber("a", &["#"]));
    cluster.say(publisher, [numbered(1, message("t", "first run"))]);
    let publisher = reattach(&mut cluster, "p", 2, publisher);
    assert_eq!(cluster.welcome(publisher).taken_upto, PublishNumber(0));
    cluster.say(publisher, [numbered(1, message("t", "second run"))]);
    assert_eq!(cluster.payloads(a), ["first run", "second run"]);
}

#[test]
fn new_run_of_the_server_takes_whatever_number_comes_first() {
    let mut cluster = Cluster::new(config());
    let publisher = cluster.attach("p");
    cluster.say(publisher, [numbered(70, message("t", "m")), numbered(71, message("t", "m"))]);
    assert_eq!(cluster.results(publisher), [70, 71]);
}

#[test]
fn gap_in_the_numbers_ends_the_stream() {
    for next in [0, 1, 3, u64::MAX] {
        let mut cluster = Cluster::new(config());
        let publisher = cluster.attach("p");
        cluster.say(publisher, [1, next].map(|number| numbered(number, message("t", "m"))));
        assert_eq!(cluster.goodbye(publisher), Some(GoodbyeReason::ProtocolError), "{next}");
    }
}

#[test]
fn stream_may_begin_with_a_taken_number_or_the_next_and_not_above() {
    for (first, expected) in [(1, None), (3, None), (4, Some(GoodbyeReason::ProtocolError))] {
        let mut cluster = Cluster::new(config());
        let publisher = cluster.attach("p");
        cluster.say(publisher, [1, 2].map(|number| numbered(number, message("t", "m"))));
        let publisher = reattach(&mut cluster, "p", 1, publisher);
        cluster.say(publisher, [numbered(first, message("t", "m"))]);
        assert_eq!(cluster.goodbye(publisher), expected, "{first}");
    }
}

#[test]
fn number_sent_twice_on_one_stream_ends_it_and_is_answered_once() {
    let mut cluster = Cluster::new(config());
    let publisher = cluster.attach("p");
    cluster.say(publisher, [1, 2].map(|number| numbered(number, message("t", "m"))));
    let publisher = reattach(&mut cluster, "p", 1, publisher);
    cluster.say(publisher, [1, 1].map(|number| numbered(number, message("t", "m"))));
    assert_eq!(cluster.results(publisher), [1]);
    assert_eq!(cluster.goodbye(publisher), Some(GoodbyeReason::ProtocolError));
}

#[test]
fn last_of_all_numbers_is_taken_and_nothing_follows_it() {
    let mut cluster = Cluster::new(config());
    let publisher = cluster.attach("p");
    cluster.say(publisher, [numbered(u64::MAX, message("t", "m"))]);
    assert_eq!(cluster.results(publisher), [u64::MAX]);
    cluster.say(publisher, [numbered(u64::MAX, message("t", "m"))]);
    assert_eq!(cluster.goodbye(publisher), Some(GoodbyeReason::ProtocolError));
}

#[test]
fn whole_window_may_be_unanswered_and_one_more_ends_the_stream() {
    let (mut cluster, publisher, _) = held_behind_slow();
    let window = u64::from(config().publish_window);
    cluster.say(publisher, (2..=window).map(|number| numbered(number, message("t", "m"))));
    assert_eq!(cluster.goodbye(publisher), None);
    cluster.say(publisher, [numbered(window + 1, message("t", "m"))]);
    assert_eq!(cluster.goodbye(publisher), Some(GoodbyeReason::ProtocolError));
}

#[test]
fn answered_publishes_open_the_window_again() {
    let (mut cluster, publisher, slow) = held_behind_slow();
    cluster.say(publisher, (2..=4).map(|number| numbered(number, message("t", "m"))));
    cluster.write_all(slow);
    cluster.say(publisher, (5..=8).map(|number| numbered(number, message("t", "m"))));
    assert_eq!(cluster.results(publisher), [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn held_results_of_a_broken_stream_are_not_sent_on_the_next() {
    let (mut cluster, publisher, slow) = held_behind_slow();
    let publisher = reattach(&mut cluster, "p", 1, publisher);
    cluster.write_all(slow);
    let read = cluster.read(publisher);
    assert!(!read.iter().any(|item| matches!(item, Downstream::PublishResult { .. })));
}
