//! Duplicates, order, origin, QoS and packet identifiers of deliveries.

use crate::story::{
    Q0, Q1, Q2, Story, again, delivered, kept, publishing, retained, subscribed_to_a,
};
use history::{Kind, Present, Retain, What};

#[test]
fn second_copy_without_a_fault_is_a_violation_at_each_qos() {
    for (qos, kind) in
        [(Q0, Kind::TwiceWithoutCause), (Q1, Kind::TwiceWithoutCause), (Q2, Kind::ExactlyOnceTwice)]
    {
        let story = subscribed_to_a(qos).publishes("p", 1, 0, "a", qos);
        story.gets_acked("s", 1, 0, "a", qos).gets("s", 1, 0, "a", qos).fails_with(kind);
    }
}

#[test]
fn qos_1_message_may_come_again_with_dup_after_a_reconnect() {
    let got = || delivered("p", 0, "a", Q1);
    let story = || subscribed_to_a(Q1).publishes_acked("p", 1, 0, "a", Q1).gets("s", 1, 0, "a", Q1);
    let clean = story().reconnects("s", 1).then("s", 2, again(got())).passes();
    assert_eq!(clean.counts.duplicates_excused, 1);
    story().reconnects("s", 1).then("s", 2, got()).fails_with(Kind::TwiceWithoutCause);
    story().then("s", 1, again(got())).fails_with(Kind::TwiceWithoutCause);
}

#[test]
fn fault_excuses_what_was_published_before_it() {
    let got = || delivered("p", 0, "a", Q1);
    let story = subscribed_to_a(Q1).publishes("p", 1, 0, "a", Q1).fault("ha-server 1");
    story.gets("s", 1, 0, "a", Q1).then("s", 1, again(got())).passes();
    let story = subscribed_to_a(Q1).fault("ha-server 1").publishes("p", 1, 0, "a", Q1);
    let story = story.gets("s", 1, 0, "a", Q1).then("s", 1, again(got()));
    story.fails_with(Kind::TwiceWithoutCause);
}

#[test]
fn copies_of_a_publisher_that_tried_again_come_without_dup_but_no_more_than_it_sent() {
    let retry = again(publishing(0, "a", Q1));
    let story = || {
        let story = subscribed_to_a(Q1).publishes("p", 1, 0, "a", Q1).reconnects("p", 1);
        let story = story.then("p", 2, retry.clone()).gets_acked("s", 1, 0, "a", Q1);
        story.gets_acked("s", 1, 0, "a", Q1)
    };
    assert_eq!(story().passes().counts.duplicates_excused, 1);
    story().gets("s", 1, 0, "a", Q1).fails_with(Kind::TwiceWithoutCause);
}

#[test]
fn retry_of_a_qos_2_publisher_is_the_same_message_while_its_session_goes_on() {
    let retry = || again(publishing(0, "a", Q2));
    let story = subscribed_to_a(Q2).publishes("p", 1, 0, "a", Q2).reconnects("p", 1);
    let story = story.then("p", 2, retry()).gets_acked("s", 1, 0, "a", Q2);
    story.gets("s", 1, 0, "a", Q2).fails_with(Kind::ExactlyOnceTwice);
    let story = Story::default().connects_ephemeral("p", 1).connects("s", 1, Present::New);
    let story = story.subscribes("s", 1, "a", Q2).publishes("p", 1, 0, "a", Q2).closed("p", 1);
    let story = story.connects_ephemeral("p", 2).then("p", 2, retry());
    story.gets_acked("s", 1, 0, "a", Q2).gets("s", 1, 0, "a", Q2).passes();
}

#[test]
fn qos_2_publish_may_be_resent_in_its_exchange_with_the_same_id_and_dup() {
    let got = || delivered("p", 0, "a", Q2);
    let story = || {
        let story = subscribed_to_a(Q2).publishes_acked("p", 1, 0, "a", Q2);
        story.gets("s", 1, 0, "a", Q2).reconnects("s", 1)
    };
    let verdict = story().then("s", 2, again(got())).acks("s", 2, 0, Q2).passes();
    assert_eq!(verdict.counts.duplicates_excused, 1);
    story().then("s", 2, got()).fails_with(Kind::TwiceWithoutCause);
}

#[test]
fn qos_2_message_with_another_id_or_after_its_exchange_is_a_second_message() {
    let other_id = |packet_id| match again(delivered("p", 0, "a", Q2)) {
        What::Delivered { publisher, number, topic, qos, dup, retain, .. } => {
            What::Delivered { publisher, number, topic, qos, dup, retain, packet_id }
        }
        other => other,
    };
    let story = || subscribed_to_a(Q2).publishes_acked("p", 1, 0, "a", Q2).gets("s", 1, 0, "a", Q2);
    let twice = story().fault("broker A").reconnects("s", 1).then("s", 2, other_id(77));
    twice.fails_with(Kind::ExactlyOnceTwice);
    let twice = story().acks("s", 1, 0, Q2).fault("broker A").reconnects("s", 1);
    twice.then("s", 2, other_id(1)).fails_with(Kind::ExactlyOnceTwice);
}

#[test]
fn copy_that_an_old_connection_still_held_is_no_violation() {
    let got = || delivered("p", 0, "a", Q1);
    let story = subscribed_to_a(Q1).publishes_acked("p", 1, 0, "a", Q1);
    let story = story.connects("s", 2, Present::Present).then("s", 2, again(got()));
    story.then("s", 1, got()).passes();
}

#[test]
fn message_that_overtakes_is_a_violation_at_qos_1_and_2_and_not_between_them() {
    for qos in [Q1, Q2] {
        let story = subscribed_to_a(qos).publishes("p", 1, 0, "a", qos);
        let story = story.publishes("p", 1, 1, "a", qos).gets("s", 1, 1, "a", qos);
        let verdict = story.gets("s", 1, 0, "a", qos).fails_with(Kind::OutOfOrder);
        let expected = "s got message 0 of p on a after message 1, which was published later";
        assert_eq!(verdict.violations[0].sentence, expected);
        assert_eq!(verdict.violations[0].proof.len(), 4, "{verdict}");
    }
    let story = subscribed_to_a(Q2).publishes("p", 1, 0, "a", Q2).publishes("p", 1, 1, "a", Q1);
    story.gets("s", 1, 1, "a", Q1).gets("s", 1, 0, "a", Q2).passes();
}

#[test]
fn each_message_that_was_overtaken_is_a_violation() {
    let mut story = subscribed_to_a(Q1);
    for number in 0..3 {
        story = story.publishes("p", 1, number, "a", Q1);
    }
    let story = story.gets("s", 1, 2, "a", Q1).gets("s", 1, 0, "a", Q1).gets("s", 1, 1, "a", Q1);
    let verdict = story.verdict();
    assert_eq!(verdict.totals, [(Kind::OutOfOrder, 2)], "{verdict}");
}

#[test]
fn message_of_an_earlier_session_may_come_again_and_is_not_out_of_order() {
    let story = Story::default().connects("p", 1, Present::New).connects_ephemeral("s", 1);
    let story = story.subscribes("s", 1, "a", Q1).publishes("p", 1, 0, "a", Q1);
    let story = story.publishes("p", 1, 1, "a", Q1).gets("s", 1, 0, "a", Q1);
    let story = story.gets("s", 1, 1, "a", Q1).closed("s", 1).connects_ephemeral("s", 2);
    story.subscribes("s", 2, "a", Q1).gets("s", 2, 0, "a", Q1).passes();
}

#[test]
fn other_topics_may_overtake() {
    let story = subscribed_to_a(Q1).subscribes("s", 1, "b", Q1).publishes("p", 1, 0, "a", Q1);
    let story = story.publishes("p", 1, 1, "b", Q1).gets("s", 1, 1, "b", Q1);
    story.gets("s", 1, 0, "a", Q1).passes();
}

#[test]
fn repetition_after_a_reconnect_is_not_out_of_order() {
    let story = subscribed_to_a(Q1).publishes("p", 1, 0, "a", Q1).publishes("p", 1, 1, "a", Q1);
    let story = story.gets("s", 1, 0, "a", Q1).gets("s", 1, 1, "a", Q1).reconnects("s", 1);
    let story = story.then("s", 2, again(delivered("p", 0, "a", Q1)));
    story.then("s", 2, again(delivered("p", 1, "a", Q1))).passes();
}

#[test]
fn message_that_was_sent_again_later_may_come_later() {
    let story = subscribed_to_a(Q1).publishes("p", 1, 0, "a", Q1).closed("p", 1);
    let story = story.connects("p", 2, Present::Present).publishes("p", 2, 1, "a", Q1);
    let story = story.then("p", 2, again(publishing(0, "a", Q1)));
    story.gets("s", 1, 1, "a", Q1).gets("s", 1, 0, "a", Q1).passes();
}

#[test]
fn order_holds_across_reconnects() {
    let story = subscribed_to_a(Q1).publishes("p", 1, 0, "a", Q1).publishes("p", 1, 1, "a", Q1);
    let story = story.gets("s", 1, 1, "a", Q1).reconnects("s", 1).gets("s", 2, 0, "a", Q1);
    story.fails_with(Kind::OutOfOrder);
}

#[test]
fn what_was_never_published_so_is_a_violation() {
    let published =
        || subscribed_to_a(Q1).subscribes("s", 1, "b", Q1).publishes("p", 1, 5, "a", Q1);
    published().gets("s", 1, 6, "a", Q1).fails_with(Kind::NeverPublished);
    published().gets("s", 1, 4, "a", Q1).fails_with(Kind::NeverPublished);
    published().gets("s", 1, 5, "b", Q1).fails_with(Kind::NeverPublished);
    let retained = kept(delivered("p", 5, "a", Q1));
    published().then("s", 1, retained).fails_with(Kind::NeverPublished);
    published().then("s", 1, delivered("s", 5, "a", Q1)).fails_with(Kind::NeverPublished);
}

#[test]
fn message_that_came_before_it_was_published_was_never_published() {
    let story = subscribed_to_a(Q1).gets("s", 1, 0, "a", Q1).publishes("p", 1, 0, "a", Q1);
    story.fails_with(Kind::NeverPublished);
}

#[test]
fn numbers_need_not_follow_each_other() {
    let mut story = subscribed_to_a(Q1);
    for number in [900, 7, 901, 8, 9, 60_000] {
        story = story.publishes_acked("p", 1, number, "a", Q1).gets_acked("s", 1, number, "a", Q1);
    }
    assert_eq!(story.drained("s", 1).passes().counts.owed, 6);
}

#[test]
fn subscription_whose_suback_was_lost_may_be_in_force_until_the_next() {
    let story = || {
        let story = subscribed_to_a(Q1).asks("s", 1, "a", Q2).reconnects("s", 1);
        story.publishes("p", 1, 0, "a", Q2)
    };
    story().asks("s", 2, "a", Q1).gets("s", 2, 0, "a", Q2).passes();
    story().subscribes("s", 2, "a", Q1).gets("s", 2, 0, "a", Q2).passes();
}

#[test]
fn qos_is_at_most_what_was_published_and_granted() {
    let story = |granted, published| subscribed_to_a(granted).publishes("p", 1, 0, "a", published);
    story(Q2, Q1).gets("s", 1, 0, "a", Q1).passes();
    story(Q1, Q2).gets("s", 1, 0, "a", Q1).passes();
    story(Q2, Q1).gets("s", 1, 0, "a", Q2).fails_with(Kind::QosTooHigh);
    story(Q1, Q2).gets("s", 1, 0, "a", Q2).fails_with(Kind::QosTooHigh);
}

#[test]
fn highest_of_all_matching_grants_counts_also_after_it_was_lowered() {
    let story = subscribed_to_a(Q1).subscribes("s", 1, "+", Q2).publishes("p", 1, 0, "a", Q2);
    let story = story.subscribes("s", 1, "+", Q0).gets("s", 1, 0, "a", Q2);
    story.passes();
}

#[test]
fn delivery_without_a_subscription_is_a_violation() {
    let story = subscribed_to_a(Q1).publishes("p", 1, 0, "b", Q1).gets("s", 1, 0, "b", Q1);
    story.fails_with(Kind::NotSubscribed);
}

#[test]
fn packet_id_belongs_to_one_message_until_it_is_acknowledged() {
    let with_id_1 = |number, qos| match delivered("p", number, "a", qos) {
        What::Delivered { publisher, topic, qos, dup, retain, .. } => {
            What::Delivered { publisher, number, topic, qos, dup, retain, packet_id: 1 }
        }
        other => other,
    };
    for qos in [Q1, Q2] {
        let story = || {
            let story = subscribed_to_a(qos).publishes("p", 1, 0, "a", qos);
            story.publishes("p", 1, 1, "a", qos).then("s", 1, with_id_1(0, qos))
        };
        story().acks("s", 1, 0, qos).then("s", 1, with_id_1(1, qos)).passes();
        story().then("s", 1, with_id_1(1, qos)).fails_with(Kind::PacketIdInFlight);
        let moved = story().reconnects("s", 1).then("s", 2, with_id_1(1, qos)).verdict();
        let expected = u64::from(qos == Q2);
        assert_eq!(moved.total(Kind::PacketIdInFlight), expected, "{moved}");
    }
}

#[test]
fn each_subscribe_may_bring_a_retained_message_once() {
    let got = || kept(delivered("p", 0, "a", Q1));
    let story = subscribed_to_a(Q1).then("p", 1, retained(0, "a", Retain::Keep));
    let story = story.acked("p", 1, 0, Q1).gets_acked("s", 1, 0, "a", Q1);
    let story = story.subscribes("s", 1, "a", Q1).then("s", 1, got()).acks("s", 1, 0, Q1);
    let story = story.subscribes("s", 1, "a", Q1).then("s", 1, got()).acks("s", 1, 0, Q1);
    story.drained("s", 1).passes();
}

#[test]
fn retained_message_that_comes_more_often_than_asked_for_is_a_violation() {
    let got = || kept(delivered("p", 0, "a", Q1));
    let story = subscribed_to_a(Q1).then("p", 1, retained(0, "a", Retain::Keep));
    let story = story.then("s", 1, got()).acks("s", 1, 0, Q1);
    story.then("s", 1, got()).fails_with(Kind::TwiceWithoutCause);
}
