//! When a numbered publish is answered.

use ha_core::{Config, Input, StreamId};
use ha_types::link::{Downstream, GoodbyeReason, Upstream};
use ha_types::{PublishNumber, Qos};

use crate::common::{
    Cluster, LEASE_MS, Log, accepted, announce, config, hello, large, message, numbered, publish,
    resume, retained, with_qos,
};

/// A publisher whose first publish waits for `s`.
fn held_by_subscriber() -> (Cluster, StreamId, StreamId) {
    let mut cluster = Cluster::new(config());
    let (publisher, slow) = (cluster.attach("p"), cluster.subscriber("s", &["t"]));
    cluster.say(publisher, [numbered(1, message("t", "1"))]);
    assert!(cluster.results(publisher).is_empty());
    (cluster, publisher, slow)
}

fn reattach(cluster: &mut Cluster, name: &str, old: StreamId) -> StreamId {
    cluster.step(Input::Broken(old));
    cluster.attach(name)
}

fn received(count: u64) -> Upstream {
    Upstream::Received { count }
}

#[test]
fn results_come_in_the_order_of_their_numbers() {
    let mut cluster = Cluster::new(config());
    let publisher = cluster.attach("p");
    cluster.say(publisher, (1..=3).map(|number| numbered(number, message("t", "m"))));
    assert_eq!(cluster.read(publisher), [1, 2, 3].map(|number| accepted(number, 0)));
}

#[test]
fn result_that_waits_for_nobody_stays_behind_one_that_waits() {
    let (mut cluster, publisher, slow) = held_by_subscriber();
    cluster.say(publisher, [numbered(2, message("other", "m"))]);
    assert!(cluster.results(publisher).is_empty());
    cluster.say(slow, [received(1)]);
    assert_eq!(cluster.results(publisher), [1, 2]);
}

#[test]
fn broker_holds_back_only_publishers_that_send_to_it() {
    let (mut cluster, _, _) = held_by_subscriber();
    let other = cluster.attach("o");
    cluster.say(other, [numbered(1, message("elsewhere", "m"))]);
    assert_eq!(cluster.results(other), [1]);
}

#[test]
fn result_waits_for_every_broker_that_was_given_the_message() {
    let (mut cluster, publisher, first) = held_by_subscriber();
    let second = cluster.subscriber("s2", &["t"]);
    cluster.say(publisher, [numbered(2, message("t", "2"))]);
    cluster.say(first, [received(2)]);
    assert_eq!(cluster.results(publisher), [1]);
    cluster.say(second, [received(1)]);
    assert_eq!(cluster.results(publisher), [2]);
}

#[test]
fn receipts_count_messages_of_all_publishers_and_only_numbered_ones() {
    let (mut cluster, publisher, slow) = held_by_subscriber();
    let other = cluster.attach("o");
    cluster.say(other, [publish(message("t", "unnumbered")), numbered(1, message("t", "2"))]);
    cluster.say(slow, [received(1)]);
    assert_eq!((cluster.results(publisher), cluster.results(other)), (vec![1], vec![]));
    cluster.say(slow, [received(2)]);
    assert_eq!(cluster.results(other), [1]);
}

#[test]
fn receipt_that_shrinks_or_is_above_what_was_sent_ends_the_stream() {
    for (counts, expected) in [
        (vec![1, 1], None),
        (vec![2], Some(GoodbyeReason::ProtocolError)),
        (vec![1, 0], Some(GoodbyeReason::ProtocolError)),
        (vec![u64::MAX], Some(GoodbyeReason::ProtocolError)),
    ] {
        let (mut cluster, _, slow) = held_by_subscriber();
        cluster.say(slow, counts.iter().map(|&count| received(count)));
        assert_eq!(cluster.goodbye(slow), expected, "{counts:?}");
    }
}

#[test]
fn result_waits_for_a_broker_whose_stream_broke_until_its_lease_ends() {
    let (mut cluster, publisher, slow) = held_by_subscriber();
    cluster.step(Input::Broken(slow));
    cluster.wait(LEASE_MS - 1, &[publisher]);
    assert!(cluster.results(publisher).is_empty());
    cluster.wait(1, &[publisher]);
    assert_eq!(cluster.results(publisher), [1]);
}

/// Otherwise this leader, replaced and not knowing it, would answer what nobody gives that broker.
#[test]
fn result_waits_until_the_log_has_the_end_of_a_lost_broker() {
    let (mut cluster, publisher, slow) = held_by_subscriber();
    cluster.log = Log::Manual;
    cluster.say(slow, [Upstream::Leave]);
    cluster.commit();
    assert!(cluster.results(publisher).is_empty());
    cluster.tell_applied();
    assert_eq!(cluster.results(publisher), [1]);
}

#[test]
fn result_does_not_wait_for_a_broker_that_said_goodbye_or_has_a_newer_life() {
    let (mut cluster, publisher, slow) = held_by_subscriber();
    cluster.say(slow, [Upstream::Leave]);
    assert_eq!(cluster.results(publisher), [1]);
    let (mut cluster, publisher, slow) = held_by_subscriber();
    cluster.step(Input::Broken(slow));
    cluster.attach_as(hello("s", 2), &["t"]);
    assert_eq!(cluster.results(publisher), [1]);
}

#[test]
fn broker_that_comes_back_is_given_again_what_it_did_not_receive() {
    let (mut cluster, publisher, slow) = held_by_subscriber();
    cluster.say(publisher, [numbered(2, message("t", "2"))]);
    cluster.say(slow, [received(1)]);
    cluster.step(Input::Broken(slow));
    cluster.say(publisher, [numbered(3, message("t", "3"))]);
    let back = cluster.hello(hello("s", 1));
    cluster.say(back, [announce(1, &["t"])]);
    cluster.say(publisher, [numbered(4, message("t", "4"))]);
    assert!(cluster.payloads(back).is_empty(), "it has not said yet what it needs");
    cluster.say(back, [Upstream::Resumed]);
    assert_eq!(cluster.payloads(back), ["2", "3", "4"]);
    assert_eq!(cluster.results(publisher), [1]);
    cluster.say(back, [received(3)]);
    assert_eq!(cluster.results(publisher), [2, 3, 4]);
}

#[test]
fn broker_that_comes_back_without_the_filter_is_waited_for_no_longer() {
    let (mut cluster, publisher, slow) = held_by_subscriber();
    let back = reattach(&mut cluster, "s", slow);
    assert_eq!(cluster.results(publisher), [1]);
    assert!(cluster.payloads(back).is_empty() && cluster.view("s").filters == 0);
}

#[test]
fn sessions_are_resumed_once_and_before_the_end_of_them() {
    let session = ha_types::session::SessionKey {
        id: ha_types::SessionId(1),
        epoch: ha_types::session::SessionEpoch(1),
    };
    for item in [Upstream::Resumed, resume(session, 1, None)] {
        let mut cluster = Cluster::new(config());
        let stream = cluster.attach("a");
        cluster.say(stream, [item]);
        assert_eq!(cluster.goodbye(stream), Some(GoodbyeReason::ProtocolError));
    }
}

#[test]
fn live_message_is_answered_when_leadership_was_proved_after_it_came() {
    let mut cluster = Cluster::new(config());
    let publisher = cluster.attach("p");
    cluster.log = Log::Manual;
    cluster.say(publisher, [numbered(1, message("t", "1"))]);
    cluster.say(publisher, [numbered(2, message("t", "2"))]);
    assert!(cluster.results(publisher).is_empty());
    cluster.confirm();
    assert_eq!(cluster.results(publisher), [1], "the second came after the question");
    cluster.confirm();
    assert_eq!(cluster.results(publisher), [2]);
    cluster.step(Input::Confirmed(99));
    assert_eq!(cluster.proof, None);
}

#[test]
fn message_of_qos_0_is_answered_without_a_proof() {
    let mut cluster = Cluster::new(config());
    let (publisher, other) = (cluster.attach("p"), cluster.subscriber("o", &["t"]));
    cluster.log = Log::Manual;
    cluster.say(publisher, [numbered(1, with_qos(Qos::AtMostOnce, message("t", "1")))]);
    assert_eq!((cluster.results(publisher), cluster.proof), (vec![1], None));
    let read = cluster.read(other);
    assert!(matches!(read[..], [Downstream::Deliver { origin: None, .. }]), "{read:?}");
}

#[test]
fn what_somebody_must_keep_is_handed_on_and_answered_when_the_log_has_it() {
    for kept in [retained("t", "m"), with_qos(Qos::ExactlyOnce, message("t", "m"))] {
        let mut cluster = Cluster::new(config());
        let (publisher, other) = (cluster.attach("p"), cluster.subscriber("o", &["t"]));
        cluster.log = Log::Manual;
        cluster.say(publisher, [numbered(1, kept)]);
        assert!(cluster.payloads(other).is_empty());
        cluster.commit();
        cluster.tell_applied();
        assert_eq!(cluster.payloads(other), ["m"]);
        assert!(cluster.results(publisher).is_empty());
        cluster.receive_all(other);
        assert_eq!((cluster.results(publisher), cluster.proof), (vec![1], None));
    }
}

#[test]
fn message_does_not_overtake_one_of_its_broker_that_waits_for_the_log() {
    let mut cluster = Cluster::new(config());
    let (publisher, other) = (cluster.attach("p"), cluster.subscriber("o", &["#"]));
    let third = cluster.attach("q");
    cluster.log = Log::Manual;
    let live = message("live", "2");
    cluster.say(publisher, [numbered(1, retained("kept", "1")), numbered(2, live)]);
    cluster.say(third, [numbered(1, message("live", "other"))]);
    assert_eq!(cluster.payloads(other), ["other"], "other brokers do not wait");
    cluster.settle();
    assert_eq!(cluster.payloads(other), ["1", "2"]);
    cluster.say(publisher, [numbered(3, message("live", "3"))]);
    assert_eq!(cluster.payloads(other), ["3"], "nothing waits any more");
}

#[test]
fn publish_sent_again_on_a_new_stream_is_answered_once_and_handed_on_once() {
    let (mut cluster, publisher, slow) = held_by_subscriber();
    let publisher = reattach(&mut cluster, "p", publisher);
    assert_eq!(cluster.welcome(publisher).taken_upto, PublishNumber(0), "answers may be lost");
    cluster.say(slow, [received(1)]);
    assert!(cluster.results(publisher).is_empty(), "it has not come on this stream");
    cluster.say(publisher, [numbered(1, message("t", "1"))]);
    assert_eq!(cluster.results(publisher), [1]);
    assert_eq!(cluster.payloads(slow), ["1"]);
}

#[test]
fn publish_whose_answer_was_lost_is_answered_again_and_not_handed_on() {
    let (mut cluster, publisher, slow) = held_by_subscriber();
    cluster.say(slow, [received(1)]);
    let publisher = reattach(&mut cluster, "p", publisher);
    cluster.say(publisher, [numbered(1, message("t", "1")), numbered(2, message("t", "2"))]);
    assert_eq!(cluster.results(publisher), [1]);
    assert_eq!(cluster.payloads(slow), ["1", "2"]);
}

#[test]
fn publish_in_the_log_goes_on_while_its_broker_is_away() {
    let mut cluster = Cluster::new(config());
    let (publisher, other) = (cluster.attach("p"), cluster.subscriber("o", &["#"]));
    cluster.log = Log::Manual;
    cluster.say(publisher, [numbered(1, retained("t", "m"))]);
    cluster.step(Input::Broken(publisher));
    cluster.settle();
    assert_eq!(cluster.payloads(other), ["m"]);
    cluster.receive_all(other);
    cluster.log = Log::Prompt;
    let publisher = cluster.attach("p");
    cluster.say(publisher, [numbered(1, retained("t", "m"))]);
    assert_eq!(cluster.read(publisher), [accepted(1, 1)]);
    assert!(cluster.payloads(other).is_empty());
}

#[test]
fn publish_of_a_broker_that_is_lost_meanwhile_is_handed_on_and_owed_to_nobody() {
    let mut cluster = Cluster::new(config());
    let (publisher, other) = (cluster.attach("p"), cluster.subscriber("o", &["#"]));
    cluster.log = Log::Manual;
    cluster.say(publisher, [numbered(1, retained("t", "m")), Upstream::Leave]);
    cluster.settle();
    assert_eq!(cluster.payloads(other), ["m"]);
    cluster.receive_all(other);
    assert_eq!(cluster.goodbye(other), None);
}

#[test]
fn new_incarnation_starts_anew() {
    let mut cluster = Cluster::new(config());
    let (publisher, a) = (cluster.attach("p"), cluster.subscriber("a", &["#"]));
    cluster.say(publisher, [numbered(1, message("t", "first run"))]);
    cluster.step(Input::Broken(publisher));
    let publisher = cluster.attach_as(hello("p", 2), &[]);
    cluster.say(publisher, [numbered(1, message("t", "second run"))]);
    assert_eq!(cluster.payloads(a), ["first run", "second run"]);
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
    let error = Some(GoodbyeReason::ProtocolError);
    for (first, expected) in [(0, error), (1, None), (3, None), (4, error)] {
        let mut cluster = Cluster::new(config());
        let publisher = cluster.attach("p");
        cluster.say(publisher, [1, 2].map(|number| numbered(number, message("t", "m"))));
        let publisher = reattach(&mut cluster, "p", publisher);
        cluster.say(publisher, [numbered(first, message("t", "m"))]);
        assert_eq!(cluster.goodbye(publisher), expected, "{first}");
    }
}

#[test]
fn stream_that_leaves_out_what_is_not_answered_is_ended() {
    let (mut cluster, publisher, _) = held_by_subscriber();
    let publisher = reattach(&mut cluster, "p", publisher);
    cluster.say(publisher, [numbered(2, message("t", "2"))]);
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
    let (mut cluster, publisher, slow) = held_by_subscriber();
    let window = u64::from(config().publish_window);
    cluster.say(publisher, (2..=window).map(|number| numbered(number, message("t", "m"))));
    assert_eq!(cluster.goodbye(publisher), None);
    cluster.say(slow, [received(1)]);
    cluster.say(publisher, [numbered(window + 1, message("t", "m"))]);
    assert_eq!(cluster.goodbye(publisher), None, "an answer opens it");
    cluster.say(publisher, [numbered(window + 2, message("t", "m"))]);
    assert_eq!(cluster.goodbye(publisher), Some(GoodbyeReason::ProtocolError));
}

#[test]
fn numbered_message_is_given_to_a_broker_that_is_behind() {
    let config = Config { stall_ms: 1_000_000, ..config() };
    let mut cluster = Cluster::new(config.clone());
    let (publisher, slow) = (cluster.attach("p"), cluster.subscriber("s", &["t"]));
    let items = [large(&config), "2".into()];
    cluster.say(publisher, (1..).zip(items).map(|(n, text)| numbered(n, message("t", &text))));
    assert_eq!(cluster.payloads(slow).len(), 2);
    cluster.receive_all(slow);
    assert_eq!(cluster.results(publisher), [1, 2]);
}
