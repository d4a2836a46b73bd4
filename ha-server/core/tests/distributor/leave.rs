//! How streams end: shutdown, silence, and brokers that do not read.

use ha_core::{BrokerState, Input, StreamId};
use ha_types::link::GoodbyeReason;
use ha_types::session::Ask;
use ha_types::{Millis, Qos};

use crate::common::{
    Cluster, LEASE_MS, STALL_MS, announce, ask, config, durable, large, message, numbered, opened,
    publish, retained, subscribe,
};

#[test]
fn shutdown_says_goodbye_on_every_stream() {
    let mut cluster = Cluster::new(config());
    let streams: [StreamId; 3] = [cluster.attach("a"), cluster.attach("b"), cluster.open()];
    cluster.step(Input::ShutDown);
    for stream in streams {
        assert_eq!(cluster.goodbye(stream), Some(GoodbyeReason::ShuttingDown));
        assert!(cluster.is_ended(stream));
    }
}

#[test]
fn shutdown_releases_no_result_after_a_goodbye() {
    let mut cluster = Cluster::new(config());
    let (publisher, slow) = (cluster.attach("p"), cluster.subscriber("s", &["#"]));
    cluster.say(publisher, [numbered(1, message("t", &large(&config())))]);
    cluster.step(Input::ShutDown);
    for stream in [publisher, slow] {
        assert_eq!(cluster.goodbye(stream), Some(GoodbyeReason::ShuttingDown));
    }
}

#[test]
fn stream_without_hello_is_ended_after_a_lease() {
    let mut cluster = Cluster::new(config());
    let silent = cluster.open();
    assert_eq!(cluster.deadline(), Some(Millis(LEASE_MS)));
    cluster.wait(LEASE_MS - 1, &[]);
    assert!(!cluster.is_ended(silent));
    cluster.wait(1, &[]);
    assert_eq!(cluster.goodbye(silent), Some(GoodbyeReason::ProtocolError));
    assert_eq!(cluster.deadline(), None);
}

#[test]
fn streams_without_hello_are_bounded_and_the_oldest_goes_first() {
    let mut cluster = Cluster::new(config());
    let attached = cluster.attach("a");
    let silent: Vec<_> = (0..256).map(|_| cluster.open()).collect();
    assert!(!cluster.is_ended(silent[0]));
    let newest = cluster.open();
    assert!(cluster.is_ended(silent[0]));
    assert!(!cluster.is_ended(silent[1]) && !cluster.is_ended(newest));
    assert!(cluster.is_attached(attached));
}

#[test]
fn stalled_broker_is_ended_exactly_at_its_deadline_and_others_go_on() {
    let mut cluster = Cluster::new(config());
    let (publisher, good) = (cluster.attach("p"), cluster.subscriber("g", &["#"]));
    let slow = cluster.subscriber("s", &["#"]);
    cluster.say(publisher, [numbered(1, message("t", &large(&config())))]);
    cluster.write_all(good);
    assert_eq!(cluster.deadline(), Some(Millis(STALL_MS)));
    cluster.wait(STALL_MS - 1, &[]);
    assert!(cluster.is_attached(slow));
    cluster.wait(1, &[]);
    assert_eq!(cluster.goodbye(slow), Some(GoodbyeReason::TooSlow));
    assert_eq!(cluster.view("s").state, BrokerState::Detached);
    cluster.receive_all(good);
    assert!(cluster.results(publisher).is_empty(), "it is waited for");
    cluster.read(good);
    cluster.say(publisher, [publish(message("t", "next"))]);
    assert_eq!(cluster.payloads(good), ["next"]);
}

#[test]
fn broker_that_writes_a_little_is_slow_but_not_stalled() {
    let mut cluster = Cluster::new(config());
    let (publisher, slow) = (cluster.attach("p"), cluster.subscriber("s", &["#"]));
    cluster.say(publisher, [publish(message("t", &large(&config())))]);
    for _ in 0..5 {
        cluster.wait(STALL_MS - 1, &[publisher, slow]);
        cluster.write(slow, 1);
    }
    assert!(cluster.is_attached(slow));
}

#[test]
fn broker_that_talks_and_never_reads_is_ended_when_its_answers_fill_a_second_queue() {
    let mut cluster = Cluster::new(config());
    let (other, deaf) = (cluster.attach("o"), cluster.attach("d"));
    let limit = config().queue_bytes;
    while cluster.unwritten(deaf) <= 2 * limit {
        assert!(cluster.is_attached(deaf));
        cluster.say(deaf, [announce(1, &[])]);
    }
    cluster.say(deaf, [announce(1, &[])]);
    cluster.say(deaf, [announce(1, &[])]);
    assert_eq!(cluster.goodbye(deaf), Some(GoodbyeReason::TooSlow));
    assert!(cluster.is_attached(other));
}

#[test]
fn answers_with_retained_messages_weigh_what_they_hold_and_not_what_the_state_has_anyway() {
    let mut cluster = Cluster::new(config());
    let (publisher, broker) = (cluster.attach("p"), cluster.attach("b"));
    cluster.say(publisher, [numbered(1, retained("t", &large(&config())))]);
    cluster.say(broker, [ask(1, Ask::Open(durable("c", 1)))]);
    let session = opened(&cluster.tells(broker)).session;
    cluster.write_all(broker);
    let answers = 2..102;
    for number in answers.clone() {
        cluster.say(broker, [ask(number, subscribe(session, "t", Qos::AtMostOnce))]);
    }
    assert!(cluster.is_attached(broker), "a hundred queues on the wire, and one message");
    let tells = cluster.tells(broker);
    assert_eq!(tells.len(), answers.count());
}

#[test]
fn broker_that_talks_and_reads_is_never_ended_for_it() {
    let mut cluster = Cluster::new(config());
    let eager = cluster.attach("e");
    for _ in 0..10 {
        while cluster.unwritten(eager) <= 2 * config().queue_bytes - 128 {
            cluster.say(eager, [announce(1, &[])]);
        }
        cluster.write_all(eager);
    }
    assert!(cluster.is_attached(eager));
}
