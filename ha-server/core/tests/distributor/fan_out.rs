//! Who gets a message.

use ha_core::{Config, FanOut, Input};
use ha_types::link::{Downstream, GoodbyeReason, Upstream};
use ha_types::{ClusterMillis, Message, Qos, Ticket};

use crate::common::{
    Cluster, announce, announce_qos_0, config, hello, large, message, numbered, publish, with_qos,
    withdraw,
};

#[test]
fn only_brokers_with_a_matching_filter_get_a_message() {
    let mut cluster = Cluster::new(config());
    let publisher = cluster.attach("p");
    let (a, b) = (cluster.subscriber("a", &["x/+"]), cluster.subscriber("b", &["y/#"]));
    cluster.say(publisher, [publish(message("x/1", "one")), numbered(1, message("x/2", "two"))]);
    assert_eq!(cluster.payloads(a), ["one", "two"]);
    assert!(cluster.payloads(b).is_empty());
}

#[test]
fn overlapping_filters_give_a_message_once() {
    let mut cluster = Cluster::new(config());
    let publisher = cluster.attach("p");
    let a = cluster.subscriber("a", &["x/1", "x/+", "x/#", "#"]);
    cluster.say(publisher, [publish(message("x/1", "one"))]);
    assert_eq!(cluster.payloads(a), ["one"]);
    assert_eq!((cluster.view("a").delivered, cluster.view("p").published), (1, 1));
}

#[test]
fn message_never_returns_to_the_broker_that_published_it() {
    for fan_out in [FanOut::Interest, FanOut::All] {
        let mut cluster = Cluster::new(Config { fan_out, ..config() });
        let publisher = cluster.subscriber("p", &["#"]);
        let other = cluster.subscriber("o", &["#"]);
        cluster.say(publisher, [publish(message("t", "m")), numbered(1, message("t", "n"))]);
        assert!(cluster.payloads(publisher).is_empty());
        assert_eq!(cluster.payloads(other), ["m", "n"]);
    }
}

#[test]
fn fan_out_to_all_needs_no_interest() {
    let mut cluster = Cluster::new(Config { fan_out: FanOut::All, ..config() });
    let (publisher, other) = (cluster.attach("p"), cluster.attach("o"));
    cluster.say(publisher, [publish(message("t", "m"))]);
    assert_eq!(cluster.payloads(other), ["m"]);
}

#[test]
fn withdrawn_filter_gives_nothing_and_others_of_the_broker_remain() {
    let mut cluster = Cluster::new(config());
    let publisher = cluster.attach("p");
    let (a, b) = (cluster.subscriber("a", &["x", "y"]), cluster.subscriber("b", &["x"]));
    cluster.say(a, [withdraw(&["x", "never/announced"])]);
    cluster.say(publisher, [publish(message("x", "1")), publish(message("y", "2"))]);
    assert_eq!((cluster.payloads(a), cluster.payloads(b)), (vec!["2".into()], vec!["1".into()]));
}

#[test]
fn filter_announced_again_is_answered_again_and_withdrawn_once() {
    let mut cluster = Cluster::new(config());
    let (publisher, a) = (cluster.attach("p"), cluster.subscriber("a", &["x"]));
    cluster.say(a, [announce(5, &["x", "x"]), announce(6, &[])]);
    let tickets = [5, 6].map(|ticket| Downstream::InterestTaken { ticket: Ticket(ticket) });
    assert_eq!(cluster.read(a), tickets);
    assert_eq!(cluster.view("a").filters, 1);
    cluster.say(a, [withdraw(&["x"])]);
    cluster.say(publisher, [publish(message("x", "m"))]);
    assert!(cluster.payloads(a).is_empty());
}

#[test]
fn interest_holds_from_its_answer_on() {
    let mut cluster = Cluster::new(config());
    let (publisher, a) = (cluster.attach("p"), cluster.attach("a"));
    cluster.say(publisher, [publish(message("x", "before"))]);
    cluster.say(a, [announce(1, &["x"])]);
    assert_eq!(cluster.read(a), [Downstream::InterestTaken { ticket: Ticket(1) }]);
    cluster.say(publisher, [publish(message("x", "after"))]);
    assert_eq!(cluster.payloads(a), ["after"]);
}

#[test]
fn leading_wildcard_does_not_match_a_dollar_topic() {
    let mut cluster = Cluster::new(config());
    let publisher = cluster.attach("p");
    let wild = cluster.subscriber("w", &["#", "+/up"]);
    let exact = cluster.subscriber("e", &["$app/#"]);
    cluster.say(publisher, [publish(message("$app/up", "m"))]);
    assert!(cluster.payloads(wild).is_empty());
    assert_eq!(cluster.payloads(exact), ["m"]);
}

#[test]
fn message_is_delivered_until_its_expiry_and_not_at_it() {
    let mut cluster = Cluster::new(config());
    let (publisher, a) = (cluster.attach("p"), cluster.subscriber("a", &["#"]));
    let now = cluster.core.cluster_time();
    let expiring =
        |at: u64, payload| Message { expires_at: Some(ClusterMillis(at)), ..message("t", payload) };
    cluster
        .say(publisher, [publish(expiring(now.0, "late")), publish(expiring(now.0 + 1, "live"))]);
    cluster.say(publisher, [numbered(1, expiring(now.0, "late"))]);
    assert_eq!(cluster.payloads(a), ["live"]);
    assert_eq!(cluster.results(publisher), [1], "an expired message is answered");
}

#[test]
fn unnumbered_message_is_dropped_and_counted_for_a_broker_that_is_behind() {
    let mut cluster = Cluster::new(config());
    let publisher = cluster.attach("p");
    let (slow, good) = (cluster.subscriber("s", &["#"]), cluster.subscriber("g", &["#"]));
    cluster.say(publisher, [publish(message("t", &large(&config())))]);
    cluster.write_all(good);
    cluster.read(slow);
    cluster.read(good);
    cluster.say(publisher, [publish(message("t", "m")), numbered(1, message("t", "n"))]);
    assert_eq!(cluster.payloads(slow), ["n"], "a numbered one is queued");
    assert_eq!(cluster.payloads(good), ["m", "n"]);
    assert_eq!((cluster.view("s").dropped, cluster.view("g").dropped), (1, 0));
}

#[test]
fn broker_is_behind_above_its_limit_and_has_caught_up_at_half_of_it() {
    let mut cluster = Cluster::new(config());
    let (publisher, slow) = (cluster.attach("p"), cluster.subscriber("s", &["#"]));
    let limit = config().queue_bytes;
    // What a message weighs beside its payload: its topic and the fixed part.
    cluster.say(publisher, [publish(message("t", ""))]);
    let overhead = cluster.unwritten(slow);
    cluster.say(publisher, [publish(message("t", &"x".repeat(limit - 2 * overhead)))]);
    assert_eq!(cluster.unwritten(slow), limit);
    cluster.say(publisher, [publish(message("t", ""))]);
    assert_eq!(cluster.view("s").dropped, 0, "full is not behind");
    cluster.say(publisher, [publish(message("t", ""))]);
    assert_eq!(cluster.view("s").dropped, 1);
    let above_half = cluster.unwritten(slow) - limit / 2;
    cluster.write(slow, above_half - 1);
    cluster.say(publisher, [publish(message("t", ""))]);
    assert_eq!(cluster.view("s").dropped, 2);
    cluster.write(slow, 1);
    cluster.say(publisher, [publish(message("t", ""))]);
    assert_eq!(cluster.view("s").dropped, 2);
}

#[test]
fn as_many_filters_as_configured_are_taken_and_one_more_ends_the_stream() {
    let mut cluster = Cluster::new(Config { filters_max: 2, ..config() });
    let a = cluster.subscriber("a", &["x", "y"]);
    cluster.say(a, [announce(2, &["y", "x"])]);
    assert_eq!(cluster.goodbye(a), None);
    cluster.say(a, [announce(3, &["z", "zz", "zzz"])]);
    assert_eq!(cluster.goodbye(a), Some(GoodbyeReason::ProtocolError));
    assert_eq!(cluster.view("a").filters, 2);
}

#[test]
fn broker_without_a_stream_misses_what_has_no_number() {
    let mut cluster = Cluster::new(config());
    let (publisher, a) = (cluster.attach("p"), cluster.subscriber("a", &["#"]));
    cluster.step(Input::Broken(a));
    cluster.say(publisher, [publish(message("t", "m")), numbered(1, message("t", "n"))]);
    assert!(cluster.results(publisher).is_empty());
    let view = cluster.view("a");
    assert_eq!((view.delivered, view.dropped, view.queued_bytes), (0, 0, 0));
    let a = cluster.hello(hello("a", 1));
    cluster.say(a, [announce(1, &["#"]), Upstream::Resumed]);
    assert_eq!(cluster.payloads(a), ["n"]);
}

#[test]
fn broker_that_needs_qos_0_of_a_filter_gets_nothing_else_of_it() {
    for fan_out in [FanOut::Interest, FanOut::All] {
        let mut cluster = Cluster::new(Config { fan_out, ..config() });
        let (publisher, a) = (cluster.attach("p"), cluster.subscriber("a", &["x/all"]));
        cluster.say(a, [announce_qos_0(&["x/+"])]);
        let qos_0 = |at, payload| with_qos(Qos::AtMostOnce, message(at, payload));
        cluster.say(publisher, [publish(qos_0("x/1", "0")), publish(qos_0("x/all", "0 too"))]);
        cluster
            .say(publisher, [numbered(1, message("x/1", "1")), numbered(2, message("x/all", "2"))]);
        assert_eq!(cluster.payloads(a), ["0", "0 too", "2"], "{fan_out:?}");
    }
}

#[test]
fn filter_announced_in_another_way_is_meant_so_from_then_on() {
    let mut cluster = Cluster::new(config());
    let (publisher, a) = (cluster.attach("p"), cluster.subscriber("a", &["x"]));
    cluster.say(a, [announce_qos_0(&["x"])]);
    cluster.say(publisher, [numbered(1, message("x", "1"))]);
    assert!(cluster.payloads(a).is_empty());
    cluster.say(a, [announce(1, &["x"])]);
    cluster.say(publisher, [numbered(2, message("x", "2"))]);
    assert_eq!(cluster.payloads(a), ["2"]);
    assert_eq!(cluster.view("a").filters, 1);
}
