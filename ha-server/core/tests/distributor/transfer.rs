//! How brokers get their copies of the retained messages.

use ha_core::{Config, StreamId};
use ha_types::link::Downstream;

use crate::common::{
    Cluster, announce, config, copier, large, message, publish, retained, synced, update,
};

fn topics(items: &[Downstream]) -> Vec<String> {
    let topic = |item: &Downstream| match item {
        Downstream::RetainedUpdate(change) => Some(change.topic.to_string()),
        _ => None,
    };
    items.iter().filter_map(topic).collect()
}

/// `count` retained messages of 100 bytes, `t/100` on.
fn stored(config: Config, count: usize) -> (Cluster, StreamId, Vec<String>) {
    let mut cluster = Cluster::new(config);
    let publisher = cluster.attach("p");
    let topics: Vec<_> = (100..100 + count).map(|n| format!("t/{n}")).collect();
    for topic in &topics {
        cluster.say(publisher, [publish(retained(topic, &"x".repeat(100)))]);
        cluster.write_all(publisher);
    }
    (cluster, publisher, topics)
}

#[test]
fn transfer_fills_half_of_the_queue_at_a_time_and_goes_on_as_it_is_written() {
    let (mut cluster, _, topics_sent) = stored(Config { queue_bytes: 2_000, ..config() }, 300);
    let late = cluster.hello(copier("late"));
    let mut received = cluster.read(late);
    while cluster.unwritten(late) > 0 {
        assert!(cluster.unwritten(late) < 1_000 + 300, "half, and at most one message more");
        cluster.write(late, 150);
        received.extend(cluster.read(late));
    }
    assert_eq!(topics(&received), topics_sent);
    assert_eq!(received.last(), Some(&synced(300)));
}

#[test]
fn transfer_of_messages_larger_than_the_queue_comes_to_its_end() {
    let (mut cluster, _, topics_sent) = stored(Config { queue_bytes: 10, ..config() }, 3);
    let late = cluster.hello(copier("late"));
    cluster.write_all(late);
    let received = cluster.read(late);
    assert_eq!(topics(&received), topics_sent);
    assert_eq!(received.last(), Some(&synced(3)));
}

#[test]
fn broker_that_missed_a_change_while_behind_gets_a_new_transfer_when_it_has_caught_up() {
    let mut cluster = Cluster::new(config());
    let publisher = cluster.attach("p");
    let told = cluster.attach_as(copier("t"), &["big"]);
    let asked = cluster.attach_as(copier("a"), &["#"]);
    let slow = [told, asked];
    cluster.say(publisher, [publish(message("big", &large(&config())))]);
    let _ = slow.map(|stream| cluster.read(stream));
    cluster.say(publisher, [publish(retained("t", "m"))]);
    for stream in slow {
        assert!(cluster.read(stream).is_empty());
        cluster.write_all(stream);
        let expected = [Downstream::RetainedBegin, update("t", 1, "m"), synced(1)];
        assert_eq!(cluster.read(stream), expected);
    }
}

#[test]
fn message_that_is_not_retained_and_dropped_causes_no_transfer() {
    let mut cluster = Cluster::new(config());
    let (publisher, slow) = (cluster.attach("p"), cluster.attach_as(copier("s"), &["#"]));
    cluster.say(publisher, [publish(message("big", &large(&config())))]);
    cluster.say(publisher, [publish(message("t", "dropped"))]);
    cluster.read(slow);
    cluster.write_all(slow);
    assert!(cluster.read(slow).is_empty());
}

#[test]
fn changes_missed_during_a_transfer_do_not_start_it_over_but_another_follows() {
    let config = Config { queue_bytes: 2_000, ..config() };
    let (mut cluster, publisher, topics_sent) = stored(config.clone(), 50);
    let late = cluster.hello(copier("late"));
    let mut received = cluster.read(late);
    cluster.say(late, [announce(1, &["big"])]);
    while !received.iter().any(|item| matches!(item, Downstream::RetainedSynced { .. })) {
        // Behind all the time, and a change of the first topic at every turn.
        let (item, change) = (message("big", &large(&config)), retained("t/100", "new"));
        cluster.say(publisher, [publish(item), publish(change)]);
        cluster.write_all(publisher);
        cluster.write(late, cluster.unwritten(late) - config.queue_bytes / 2);
        received.extend(cluster.read(late));
        assert!(received.len() < 1_000, "no end");
    }
    assert!(topics_sent.iter().all(|topic| topics(&received).contains(topic)));
    cluster.write_all(late);
    let second = cluster.read(late);
    assert_eq!(second.first(), Some(&Downstream::RetainedBegin));
    let Some(Downstream::RetainedUpdate(change)) = second.get(1) else { panic!("{second:?}") };
    assert_eq!(change.message.as_deref(), Some(&retained("t/100", "new")));
}

#[test]
fn broker_without_a_copy_is_told_of_no_retained_message() {
    let (mut cluster, publisher, _) = stored(config(), 2);
    let without = cluster.attach("without");
    cluster.say(publisher, [publish(retained("t", "m"))]);
    assert!(cluster.read(without).is_empty());
}

#[test]
fn transfer_from_a_state_that_is_ahead_says_nothing_that_is_taken_back() {
    let mut cluster = Cluster::new(config());
    let publisher = cluster.attach("p");
    cluster.log = crate::common::Log::Manual;
    let late = cluster.hello(copier("late"));
    cluster.say(publisher, [publish(retained("t", "m"))]);
    cluster.commit();
    cluster.commit();
    cluster.tell_applied();
    assert_eq!(
        cluster.read(late)[1..],
        [Downstream::RetainedBegin, update("t", 1, "m"), synced(1)]
    );
    cluster.tell_applied();
    assert_eq!(cluster.read(late), [update("t", 1, "m")], "the same version");
}
