//! Acknowledged and lost; retained messages that a SUBSCRIBE must see.

use crate::story::{
    Q0, Q1, Q2, Story, delivered, expiring, kept, retained, subscribed, subscribed_to_a,
    subscribing,
};
use history::{Kind, Present, Retain, Start, What};

#[test]
fn acknowledged_message_that_never_came_is_lost_at_each_qos() {
    for qos in [Q1, Q2] {
        let story = subscribed_to_a(qos).publishes_acked("p", 1, 0, "a", qos).drained("s", 1);
        let verdict = story.fails_with(Kind::AcknowledgedAndLost);
        assert_eq!(verdict.counts.owed, 1);
        let sentence = &verdict.violations[0].sentence;
        let level = qos.level();
        let expected = format!("s never got message 0 of p on a, acknowledged at QoS {level}");
        assert_eq!(*sentence, expected);
        let proof: Vec<_> = verdict.violations[0].proof.iter().map(|(at, _)| at.0).collect();
        assert_eq!(proof, [5, 6, 7, 8], "SUBACK, PUBLISH, acknowledgement, drained");
    }
}

#[test]
fn message_that_came_is_not_lost_also_when_it_was_read_after_a_takeover() {
    let story = subscribed_to_a(Q1).publishes_acked("p", 1, 0, "a", Q1).fault("broker A");
    let story = story.reconnects("s", 1).gets_acked("s", 2, 0, "a", Q1).drained("s", 2);
    assert_eq!(story.passes().counts.owed, 1);
}

#[test]
fn message_that_a_resumed_session_did_not_get_is_lost() {
    let story = subscribed_to_a(Q1).closed("s", 1).publishes_acked("p", 1, 0, "a", Q1);
    let story = story.connects("s", 2, Present::Present).drained("s", 2);
    story.fails_with(Kind::AcknowledgedAndLost);
}

#[test]
fn lost_message_is_reported_once_however_often_the_client_drains() {
    let story = subscribed_to_a(Q1).publishes_acked("p", 1, 0, "a", Q1);
    story.drained("s", 1).drained("s", 1).fails_with(Kind::AcknowledgedAndLost);
}

#[test]
fn connected_ephemeral_session_is_owed_the_same() {
    let story = Story::default().connects("p", 1, Present::New).connects_ephemeral("s", 1);
    let story = story.subscribes("s", 1, "#", Q1).publishes_acked("p", 1, 0, "a/b", Q1);
    story.drained("s", 1).fails_with(Kind::AcknowledgedAndLost);
}

#[test]
fn nothing_is_owed_without_an_acknowledgement() {
    let story = subscribed_to_a(Q1).publishes("p", 1, 0, "a", Q1).drained("s", 1);
    assert_eq!(story.passes().counts.owed, 0);
}

#[test]
fn nothing_is_owed_at_qos_0() {
    subscribed_to_a(Q1).publishes("p", 1, 0, "a", Q0).drained("s", 1).passes();
    subscribed_to_a(Q0).publishes_acked("p", 1, 0, "a", Q1).drained("s", 1).passes();
}

#[test]
fn nothing_is_owed_that_was_sent_before_the_suback() {
    let story = Story::default().connects("p", 1, Present::New).connects("s", 1, Present::New);
    let story = story.asks("s", 1, "a", Q1).publishes("p", 1, 0, "a", Q1);
    let story = story.granted("s", 1, "a", Q1).acked("p", 1, 0, Q1).drained("s", 1);
    assert_eq!(story.passes().counts.owed, 0);
}

#[test]
fn second_subscribe_does_not_shorten_what_is_owed() {
    let story = subscribed_to_a(Q1).publishes_acked("p", 1, 0, "a", Q1);
    story.subscribes("s", 1, "a", Q1).drained("s", 1).fails_with(Kind::AcknowledgedAndLost);
}

#[test]
fn nothing_is_owed_on_other_topics_or_by_a_refused_subscription() {
    subscribed_to_a(Q1).publishes_acked("p", 1, 0, "b", Q1).drained("s", 1).passes();
    let story = Story::default().connects("p", 1, Present::New).connects("s", 1, Present::New);
    let story = story.asks("s", 1, "a", Q1).then("s", 1, subscribed("a", None));
    story.publishes_acked("p", 1, 0, "a", Q1).drained("s", 1).passes();
}

#[test]
fn client_that_did_not_drain_may_still_get_everything() {
    subscribed_to_a(Q1).publishes_acked("p", 1, 0, "a", Q1).passes();
}

#[test]
fn unsubscribe_excuses_unless_another_filter_matches() {
    let unsubscribing = || What::Unsubscribing { filter: "a".into() };
    let story = subscribed_to_a(Q1).publishes_acked("p", 1, 0, "a", Q1);
    let verdict = story.then("s", 1, unsubscribing()).drained("s", 1).passes();
    assert_eq!(verdict.counts.lost_excused, 1);
    let story = subscribed_to_a(Q1).subscribes("s", 1, "+", Q1);
    let story = story.publishes_acked("p", 1, 0, "a", Q1).then("s", 1, unsubscribing());
    story.drained("s", 1).fails_with(Kind::AcknowledgedAndLost);
}

#[test]
fn end_of_the_session_excuses() {
    let start = Start::Clean;
    let story = subscribed_to_a(Q1).publishes_acked("p", 1, 0, "a", Q1).closed("s", 1);
    let story = story.then("s", 2, What::Connecting { start, expires_s: 0 });
    let story = story.then("s", 2, What::Connected { session: Present::New });
    assert_eq!(story.drained("s", 2).passes().counts.lost_excused, 1);
}

#[test]
fn expiry_excuses_unless_the_history_is_shorter() {
    let publish = |seconds| expiring(0, "a", seconds);
    let story = subscribed_to_a(Q1).then("p", 1, publish(60)).acked("p", 1, 0, Q1);
    assert_eq!(story.drained("s", 1).passes().counts.lost_excused, 1);
    for (seconds, is_lost) in [(60, 0), (61, 1)] {
        let story = subscribed_to_a(Q1).then("p", 1, What::LastsAtMost { seconds: 60 });
        let story = story.then("p", 1, publish(seconds)).acked("p", 1, 0, Q1).drained("s", 1);
        assert_eq!(story.verdict().total(Kind::AcknowledgedAndLost), is_lost, "{seconds} s");
    }
}

#[test]
fn full_queue_excuses_what_was_published_before_it_was_declared() {
    let story = subscribed_to_a(Q1).publishes_acked("p", 1, 0, "a", Q1);
    let story = story.then("s", 1, What::QueueFull).publishes_acked("p", 1, 1, "a", Q1);
    let verdict = story.drained("s", 1).fails_with(Kind::AcknowledgedAndLost);
    assert_eq!(verdict.counts.lost_excused, 1);
}

fn subscribing_to_a(no_local: bool) -> What<String> {
    match subscribing("a", Q1) {
        What::Subscribing { filter, qos, retained, as_published, .. } => {
            What::Subscribing { filter, qos, retained, no_local, as_published }
        }
        other => other,
    }
}

#[test]
fn own_messages_are_owed_unless_no_local_says_otherwise() {
    for (options, lost) in [(vec![false], 1), (vec![true], 0), (vec![false, true], 0)] {
        let mut story = Story::default().connects("p", 1, Present::New);
        for no_local in options {
            story = story.then("p", 1, subscribing_to_a(no_local)).granted("p", 1, "a", Q1);
        }
        let story = story.publishes_acked("p", 1, 0, "a", Q1).drained("p", 1);
        assert_eq!(story.verdict().total(Kind::AcknowledgedAndLost), lost);
    }
}

#[test]
fn member_of_a_shared_subscription_is_owed_nothing() {
    let story = Story::default().connects("p", 1, Present::New).connects("s", 1, Present::New);
    let story = story.subscribes("s", 1, "$share/g/a", Q1).publishes_acked("p", 1, 0, "a", Q1);
    story.drained("s", 1).passes();
}

#[test]
fn session_that_an_unanswered_connect_may_have_begun_is_owed_nothing_old() {
    let resume = || What::Connecting { start: Start::Resume, expires_s: 60 };
    let story = |seconds| {
        let story = Story::default().then("p", 0, What::LastsAtMost { seconds });
        let story = story.connects("p", 1, Present::New).then("s", 1, resume());
        let story = story.then("s", 1, What::Connected { session: Present::New });
        let story = story.subscribes("s", 1, "a", Q1).closed("s", 1);
        let story = story.publishes_acked("p", 1, 0, "a", Q1);
        let story = story.then("s", 2, resume()).closed("s", 2).then("s", 3, resume());
        story.then("s", 3, What::Connected { session: Present::Present }).drained("s", 3)
    };
    assert_eq!(story(60).passes().counts.lost_excused, 1);
    story(59).fails_with(Kind::AcknowledgedAndLost);
}

/// `p` retained message 0 on `a`, and was told so.
fn retained_on_a() -> Story {
    let story = Story::default().connects("p", 1, Present::New).connects("s", 1, Present::New);
    story.then("p", 1, retained(0, "a", Retain::Keep)).acked("p", 1, 0, Q1)
}

#[test]
fn subscribe_after_the_puback_of_a_retained_message_gets_it() {
    let got = kept(delivered("p", 0, "a", Q1));
    let story = retained_on_a().subscribes("s", 1, "#", Q1).then("s", 1, got);
    assert_eq!(story.drained("s", 1).passes().counts.retained_owed, 1);
    let story = retained_on_a().subscribes("s", 1, "#", Q1).drained("s", 1);
    story.fails_with(Kind::RetainedMissing);
}

#[test]
fn subscribe_before_the_puback_may_miss_the_retained_message() {
    let story = Story::default().connects("p", 1, Present::New).connects("s", 1, Present::New);
    let story = story.then("p", 1, retained(0, "a", Retain::Keep)).asks("s", 1, "a", Q1);
    let story = story.acked("p", 1, 0, Q1).granted("s", 1, "a", Q1);
    assert_eq!(story.drained("s", 1).passes().counts.retained_owed, 0);
}

#[test]
fn newer_retained_message_is_as_good_and_an_older_is_not() {
    let (old, new) = (kept(delivered("p", 0, "a", Q1)), kept(delivered("p", 1, "a", Q1)));
    for (got, missing) in [(old, 1), (new, 0)] {
        let story = retained_on_a().then("p", 1, retained(1, "a", Retain::Keep));
        let story = story.acked("p", 1, 1, Q1).subscribes("s", 1, "a", Q1).then("s", 1, got);
        assert_eq!(story.drained("s", 1).verdict().total(Kind::RetainedMissing), missing);
    }
}

#[test]
fn retained_message_that_came_before_the_subscribe_does_not_count() {
    let story = retained_on_a().subscribes("s", 1, "+", Q1);
    let story = story.then("s", 1, kept(delivered("p", 0, "a", Q1))).acks("s", 1, 0, Q1);
    story.subscribes("s", 1, "a", Q1).drained("s", 1).fails_with(Kind::RetainedMissing);
}

#[test]
fn removed_retained_message_need_not_come() {
    let story = retained_on_a().then("p", 1, retained(1, "a", Retain::Clear));
    let story = story.acked("p", 1, 1, Q1).subscribes("s", 1, "a", Q1).drained("s", 1);
    story.passes();
    let story = retained_on_a().subscribes("s", 1, "a", Q1);
    let story = story.then("p", 1, retained(1, "a", Retain::Clear)).acked("p", 1, 1, Q1);
    story.drained("s", 1).passes();
}

/// `q` sends one of QoS 0 to `a`, to be retained; then `p` retains message 0 there.
fn retained_after_one_of_qos_0(between: impl Fn(Story) -> Story) -> Story {
    let of_q = What::Publishing {
        number: 0,
        topic: "a".into(),
        qos: Q0,
        retain: Retain::Keep,
        dup: false,
        expires_s: Some(2),
    };
    let story = Story::default().connects("p", 1, Present::New).connects("q", 1, Present::New);
    let story = between(story.connects("s", 1, Present::New).then("q", 1, of_q));
    let story = story.then("p", 1, retained(0, "a", Retain::Keep)).acked("p", 1, 0, Q1);
    story.subscribes("s", 1, "a", Q1).drained("s", 1)
}

#[test]
fn retained_message_of_qos_0_may_come_in_later_than_one_that_was_sent_after_it() {
    retained_after_one_of_qos_0(|story| story).passes();
    retained_after_one_of_qos_0(|story| story.publishes("q", 1, 1, "b", Q1)).passes();
}

#[test]
fn retained_message_of_qos_0_is_older_when_a_later_one_of_its_publisher_was_acknowledged() {
    let story = retained_after_one_of_qos_0(|story| story.publishes_acked("q", 1, 1, "b", Q1));
    story.fails_with(Kind::RetainedMissing);
}

#[test]
fn retained_message_may_be_missing_where_the_queue_overflowed() {
    let story = retained_on_a().subscribes("s", 1, "#", Q1).then("s", 1, What::QueueFull);
    story.drained("s", 1).passes();
}
