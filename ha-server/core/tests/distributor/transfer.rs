//! How brokers get their copies of the retained messages, and give them back to a new server.

use ha_core::{Config, StreamId};
use ha_types::link::{Downstream, GoodbyeReason, Hello, RetainedCopy, Upstream};
use ha_types::{PublishNumber, RetainedVersion, ServerIncarnation};

use crate::common::{
    Cluster, SERVER, accepted, announce, config, copy, hello, large, message, nth, numbered,
    publish, retained, synced, topic, update,
};

const OLD: ServerIncarnation = ServerIncarnation(6);

/// The n-th version that the server before this one gave.
fn old(n: u64) -> RetainedVersion {
    RetainedVersion((OLD.0 << 20) + n)
}

/// A broker that comes from the server before this one.
fn uploader(cluster: &mut Cluster, name: &str) -> StreamId {
    let stream = cluster.hello(Hello { copy_of: Some(OLD), ..hello(name, 1) });
    cluster.write_all(stream);
    assert_eq!(cluster.read(stream).len(), 1, "Welcome, and no transfer yet");
    assert_eq!(cluster.welcome(stream).retained_copy, RetainedCopy::Wanted);
    stream
}

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
    let late = cluster.hello(hello("late", 1));
    let mut received = cluster.read(late);
    while cluster.unwritten(late) > 0 {
        assert!(cluster.unwritten(late) < 1_000 + 300, "half, and at most one message more");
        cluster.write(late, 150);
        received.extend(cluster.read(late));
    }
    assert_eq!(topics(&received), topics_sent);
    assert_eq!(received.last(), Some(&synced(nth(300))));
}

#[test]
fn transfer_of_messages_larger_than_the_queue_comes_to_its_end() {
    let (mut cluster, _, topics_sent) = stored(Config { queue_bytes: 10, ..config() }, 3);
    let late = cluster.hello(hello("late", 1));
    cluster.write_all(late);
    let received = cluster.read(late);
    assert_eq!(topics(&received), topics_sent);
    assert_eq!(received.last(), Some(&synced(nth(3))));
}

#[test]
fn broker_that_missed_a_change_while_behind_gets_a_new_transfer_when_it_has_caught_up() {
    let mut cluster = Cluster::new(config());
    let publisher = cluster.attach("p");
    let (told, asked) = (cluster.subscriber("t", &["big"]), cluster.subscriber("a", &["#"]));
    let slow = [told, asked];
    cluster.say(publisher, [publish(message("big", &large(&config())))]);
    let _ = slow.map(|stream| cluster.read(stream));
    cluster.say(publisher, [publish(retained("t", "m"))]);
    for stream in slow {
        assert!(cluster.read(stream).is_empty());
        cluster.write_all(stream);
        let expected = [Downstream::RetainedBegin, update("t", nth(1), "m"), synced(nth(1))];
        assert_eq!(cluster.read(stream), expected);
    }
}

#[test]
fn message_that_is_not_retained_and_dropped_causes_no_transfer() {
    let mut cluster = Cluster::new(config());
    let (publisher, slow) = (cluster.attach("p"), cluster.subscriber("s", &["#"]));
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
    let late = cluster.hello(hello("late", 1));
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
fn copy_is_wanted_only_from_a_broker_that_has_one_of_another_server() {
    let mut cluster = Cluster::new(config());
    for (copy_of, expected) in [
        (None, RetainedCopy::NotWanted),
        (Some(SERVER), RetainedCopy::NotWanted),
        (Some(OLD), RetainedCopy::Wanted),
    ] {
        let stream = cluster.hello(Hello { copy_of, ..hello("a", 1) });
        assert_eq!(cluster.welcome(stream).retained_copy, expected);
    }
}

#[test]
fn new_server_takes_copies_with_their_versions_and_tells_the_other_brokers() {
    let mut cluster = Cluster::new(config());
    let (other, first) = (cluster.attach("o"), uploader(&mut cluster, "a"));
    cluster.say(first, [copy("t", old(5), "m"), copy("gone", old(6), "")]);
    assert_eq!(cluster.read(other), [update("t", old(5), "m"), update("gone", old(6), "")]);
    assert!(cluster.read(first).is_empty(), "the transfer follows the whole copy");
    cluster.say(first, [Upstream::RetainedCopyEnd]);
    let all = [
        Downstream::RetainedBegin,
        update("gone", old(6), ""),
        update("t", old(5), "m"),
        synced(old(6)),
    ];
    assert_eq!(cluster.read(first), all);
}

#[test]
fn newest_copy_wins_and_a_stale_one_does_not_bring_back_a_cleared_topic() {
    let mut cluster = Cluster::new(config());
    let (fresh, stale) = (uploader(&mut cluster, "f"), uploader(&mut cluster, "s"));
    cluster.say(fresh, [copy("cleared", old(5), ""), copy("changed", old(6), "new")]);
    cluster.say(stale, [copy("cleared", old(3), "ghost"), copy("changed", old(4), "old")]);
    assert!(cluster.read(fresh).is_empty(), "nothing stale is told");
    cluster.read(stale);
    cluster.say(stale, [Upstream::RetainedCopyEnd]);
    let expected = [
        Downstream::RetainedBegin,
        update("changed", old(6), "new"),
        update("cleared", old(5), ""),
        synced(old(6)),
    ];
    assert_eq!(cluster.read(stale), expected);
}

#[test]
fn newer_copy_replaces_a_stale_one_that_came_first() {
    let mut cluster = Cluster::new(config());
    let (stale, fresh) = (uploader(&mut cluster, "s"), uploader(&mut cluster, "f"));
    cluster.say(stale, [copy("t", old(3), "ghost")]);
    assert_eq!(cluster.core.retained().len(), 1);
    cluster.say(fresh, [copy("t", old(5), "")]);
    assert!(cluster.core.retained().is_empty());
    assert_eq!(cluster.read(stale), [update("t", old(5), "")]);
}

#[test]
fn change_published_during_an_upload_is_newer_than_any_copy() {
    let mut cluster = Cluster::new(config());
    let (publisher, first) = (cluster.attach("p"), uploader(&mut cluster, "a"));
    cluster.say(publisher, [publish(retained("t", "new"))]);
    cluster.say(first, [copy("t", old(5), "old"), Upstream::RetainedCopyEnd]);
    assert_eq!(topics(&cluster.read(first)), ["t", "t"], "the change, then the transfer");
    let late = cluster.hello(hello("late", 1));
    assert!(cluster.read(late).contains(&update("t", nth(1), "new")));
}

/// Otherwise it would drop what it has not uploaded yet.
#[test]
fn uploading_broker_that_missed_a_change_is_not_synced_before_its_copy_is_complete() {
    let mut cluster = Cluster::new(config());
    let (publisher, first) = (cluster.attach("p"), uploader(&mut cluster, "a"));
    cluster.say(first, [announce(1, &["big"]), copy("a", old(1), "1")]);
    cluster.say(publisher, [publish(message("big", &large(&config())))]);
    cluster.say(publisher, [publish(retained("t", "missed"))]);
    cluster.read(first);
    cluster.write_all(first);
    assert!(cluster.read(first).is_empty());
    cluster.say(first, [copy("b", old(2), "2"), Upstream::RetainedCopyEnd]);
    assert_eq!(topics(&cluster.read(first)), ["a", "b", "t"]);
}

#[test]
fn copy_that_finds_no_room_is_refused_and_later_changes_are_newer_than_it() {
    let mut cluster = Cluster::new(Config { retained_max: 0, ..config() });
    let (other, first) = (cluster.attach("o"), uploader(&mut cluster, "a"));
    cluster.say(first, [copy("t", nth(1_000), "m"), Upstream::RetainedCopyEnd]);
    assert!(topics(&cluster.read(first)).is_empty());
    assert!(cluster.read(other).is_empty());
    cluster.say(other, [numbered(1, retained("t", ""))]);
    assert_eq!(cluster.read(other), [accepted(1, nth(1_001))]);
}

#[test]
fn copy_or_its_end_that_is_not_wanted_ends_the_stream() {
    for item in [copy("t", old(1), "m"), Upstream::RetainedCopyEnd] {
        let mut cluster = Cluster::new(config());
        let never_asked = cluster.attach("a");
        cluster.say(never_asked, [item.clone()]);
        assert_eq!(cluster.goodbye(never_asked), Some(GoodbyeReason::ProtocolError));
        let done = uploader(&mut cluster, "b");
        cluster.say(done, [Upstream::RetainedCopyEnd, item]);
        assert_eq!(cluster.goodbye(done), Some(GoodbyeReason::ProtocolError));
        assert!(cluster.core.retained().is_empty());
    }
}

#[test]
fn copy_in_a_version_that_was_never_given_ends_the_stream() {
    let highest = nth(1 << 55).0;
    for (version, expected) in [
        (0, Some(GoodbyeReason::ProtocolError)),
        (1, None),
        (highest, None),
        (highest + 1, Some(GoodbyeReason::ProtocolError)),
        (u64::MAX, Some(GoodbyeReason::ProtocolError)),
    ] {
        let mut cluster = Cluster::new(config());
        let first = uploader(&mut cluster, "a");
        cluster.say(first, [copy("t", RetainedVersion(version), "m")]);
        assert_eq!(cluster.goodbye(first), expected, "{version}");
        let publisher = cluster.attach("p");
        cluster.say(publisher, [numbered(1, retained("t", "new"))]);
        let Some(Downstream::PublishResult { number, retained, .. }) =
            cluster.read(publisher).pop()
        else {
            panic!("no result")
        };
        assert_eq!(number, PublishNumber(1));
        assert!(expected.is_some() || retained.0 > version);
    }
}

#[test]
fn copy_of_a_message_of_another_topic_ends_the_stream() {
    let mut cluster = Cluster::new(config());
    let first = uploader(&mut cluster, "a");
    let Upstream::RetainedCopy(mut change) = copy("t", old(1), "m") else { panic!() };
    change.topic = topic("other");
    cluster.say(first, [Upstream::RetainedCopy(change)]);
    assert_eq!(cluster.goodbye(first), Some(GoodbyeReason::ProtocolError));
}

#[test]
fn copy_with_an_empty_payload_is_a_clear() {
    let mut cluster = Cluster::new(config());
    let (other, first) = (cluster.attach("o"), uploader(&mut cluster, "a"));
    let Upstream::RetainedCopy(mut change) = copy("t", old(1), "") else { panic!() };
    change.message = Some(retained("t", "").into());
    cluster.say(first, [Upstream::RetainedCopy(change)]);
    assert!(cluster.core.retained().is_empty());
    assert_eq!(cluster.read(other), [update("t", old(1), "")]);
}
