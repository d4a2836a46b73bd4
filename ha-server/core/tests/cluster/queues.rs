//! What durable sessions have in their queues.

use ha_core::cluster::Outcome;
use ha_types::Message;
use ha_types::Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use ha_types::session::{CloseCause, Page, PageEnd, SubscribeOptions};

use crate::common::{Bench, at, durable, ephemeral, message, offset, records};

#[test]
fn message_is_stored_once_however_many_sessions_need_it() {
    let mut bench = Bench::new();
    let sessions: Vec<_> = (0..5).map(|n| bench.open(durable(&n.to_string())).session).collect();
    for &session in &sessions {
        bench.subscribe(session, at("t/+", AtLeastOnce));
        bench.subscribe(session, at("t/#", AtLeastOnce));
    }
    let stored = bench.publish(message("t/a", "x", AtLeastOnce));
    assert_eq!((stored.number, bench.state.counts().messages), (Some(offset(1).message), 1));
    for (n, &session) in sessions.iter().enumerate() {
        assert_eq!(bench.state.counts().messages, 1, "{n} have acknowledged");
        assert_eq!(bench.queued(session), ["x"]);
        bench.puback(session, &[offset(1)]);
        assert!(bench.queued(session).is_empty());
    }
    assert_eq!(bench.state.counts().messages, 0);
}

#[test]
fn message_that_nobody_needs_gets_no_number() {
    let mut bench = Bench::new();
    let (away, here) = (bench.open(durable("away")).session, bench.open(ephemeral("here")).session);
    bench.subscribe(away, at("t", AtMostOnce));
    bench.subscribe(here, at("t", AtLeastOnce));
    assert_eq!(bench.publish(message("t", "x", AtLeastOnce)).number, None);
    bench.subscribe(away, at("t", AtLeastOnce));
    assert_eq!(bench.publish(message("t", "x", AtMostOnce)).number, None);
    assert_eq!(bench.publish(message("other", "x", AtLeastOnce)).number, None);
    assert_eq!(bench.publish(message("t", "x", AtLeastOnce)).number, Some(offset(1).message));
}

#[test]
fn subscription_gets_what_is_published_after_it_began() {
    let mut bench = Bench::new();
    let early = bench.open(durable("early")).session;
    let late = bench.open(durable("late")).session;
    bench.subscribe(early, at("t", AtLeastOnce));
    bench.publish(message("t", "1", AtLeastOnce));
    bench.subscribe(late, at("t", AtLeastOnce));
    bench.publish(message("t", "2", AtLeastOnce));
    bench.subscribe(early, at("t", AtLeastOnce));
    assert_eq!(bench.queued(early), ["1", "2"], "subscribing again keeps where it began");
    assert_eq!(bench.queued(late), ["2"]);
}

#[test]
fn overlapping_filters_give_one_delivery_with_the_highest_qos_and_all_identifiers() {
    let mut bench = Bench::new();
    let session = bench.open(durable("a")).session;
    let named = |filter, qos, id| SubscribeOptions {
        subscription_id: ha_types::session::SubscriptionId::new(id),
        ..at(filter, qos)
    };
    bench.subscribe(session, named("t/#", AtLeastOnce, 1));
    bench.subscribe(session, named("t/a", ExactlyOnce, 2));
    bench.subscribe(session, named("+/a", AtMostOnce, 3));
    bench.publish(message("t/a", "x", ExactlyOnce));
    let opened = bench.open(durable("a"));
    let queued = &bench.begin(opened.session, &[offset(1)]);
    let ids: Vec<_> = queued[0].subscription_ids.iter().map(|id| id.get()).collect();
    assert_eq!((queued.len(), queued[0].qos), (1, ExactlyOnce));
    assert_eq!(ids.iter().sum::<u32>(), 6);
}

#[test]
fn own_message_is_not_for_a_subscription_that_does_not_want_it() {
    let mut bench = Bench::new();
    let session = bench.open(durable("a")).session;
    bench.subscribe(session, SubscribeOptions { no_local: true, ..at("t", AtLeastOnce) });
    let publisher = ha_types::Publisher { session: session.id, ..Default::default() };
    bench.publish(Message { publisher, ..message("t", "own", AtLeastOnce) });
    bench.publish(message("t", "other", AtLeastOnce));
    assert_eq!(bench.queued(session), ["other"]);
    bench.puback(session, &[offset(2)]);
    assert_eq!(bench.state.counts().messages, 0);
}

#[test]
fn acknowledgements_in_any_order_leave_what_is_between_them() {
    let mut bench = Bench::new();
    let session = bench.open(durable("a")).session;
    bench.subscribe(session, at("t", AtLeastOnce));
    for n in 1..=5 {
        bench.publish(message("t", &n.to_string(), AtLeastOnce));
    }
    bench.puback(session, &[offset(4), offset(2)]);
    assert_eq!(bench.queued(session), ["1", "3", "5"]);
    bench.puback(session, &[offset(1)]);
    assert_eq!(bench.state.counts().messages, 3, "up to the first that is not acknowledged");
    bench.puback(session, &[offset(3), offset(5), offset(5), offset(99)]);
    assert!(bench.queued(session).is_empty());
    assert_eq!(bench.state.counts().messages, 0);
}

#[test]
fn pages_follow_each_other_without_gap_or_repeat() {
    let mut bench = Bench::new();
    let session = bench.open(durable("a")).session;
    bench.subscribe(session, at("t", AtLeastOnce));
    for n in 1..=5 {
        bench.publish(message("t", &n.to_string(), AtLeastOnce));
    }
    let page = |after, messages, bytes| {
        let Page { messages, end } = bench.state.page(session, after, messages, bytes).unwrap();
        (
            messages
                .iter()
                .map(|queued| queued.offset.message - offset(0).message)
                .collect::<Vec<_>>(),
            end,
        )
    };
    assert_eq!(page(None, 2, 1_000), (vec![1, 2], PageEnd::More(offset(2))));
    // Two bytes each: topic and payload.
    assert_eq!(page(Some(offset(2)), 9, 5), (vec![3, 4], PageEnd::More(offset(4))));
    assert_eq!(page(Some(offset(4)), 9, 1), (vec![5], PageEnd::Live(offset(5))));
    assert_eq!(page(Some(offset(5)), 9, 9), (vec![], PageEnd::Live(offset(5))));
    assert_eq!(page(None, 1, 0), (vec![1], PageEnd::More(offset(1))), "one always");
}

#[test]
fn session_that_comes_back_is_told_what_may_have_been_sent() {
    let mut bench = Bench::new();
    let first = bench.open(durable("a")).session;
    bench.subscribe(first, at("t", AtLeastOnce));
    for n in 1..=12 {
        bench.publish(message("t", &n.to_string(), AtLeastOnce));
    }
    bench.puback(first, &[offset(1)]);
    bench.close(first, CloseCause::Failure);
    bench.publish(message("t", "later", AtLeastOnce));
    let opened = bench.open(durable("a"));
    assert!(opened.is_present);
    // As many as the client takes at a time.
    assert_eq!(records(&opened), ["2", "3", "4", "5", "6", "7", "8", "9", "10", "11"]);
    assert_eq!(opened.backlog, PageEnd::More(offset(11)));
    let rest = bench.state.page(opened.session, Some(offset(11)), 9, 99).unwrap();
    assert_eq!(rest.messages.len(), 2);
}

#[test]
fn what_came_while_the_client_was_away_was_not_sent() {
    let mut bench = Bench::new();
    let first = bench.open(durable("a")).session;
    bench.subscribe(first, at("t", AtLeastOnce));
    bench.close(first, CloseCause::Disconnect);
    bench.publish(message("t", "1", AtLeastOnce));
    let opened = bench.open(durable("a"));
    assert_eq!((records(&opened), bench.queued(opened.session)), (vec![], vec!["1".to_owned()]));
}

#[test]
fn unsubscribed_filter_keeps_what_is_in_flight_and_drops_the_rest() {
    let mut bench = Bench::new();
    let session = bench.open(durable("a")).session;
    bench.subscribe(session, at("t/gone", AtLeastOnce));
    bench.subscribe(session, at("t/+", AtLeastOnce));
    bench.subscribe(session, at("u", AtLeastOnce));
    bench.publish(message("t/gone", "both", AtLeastOnce));
    for n in 1..=12 {
        bench.publish(message("u", &n.to_string(), AtLeastOnce));
    }
    let given_upto = Some(offset(10));
    let mut unsubscribe = |filter| bench.unsubscribe_given(session, given_upto, filter);
    assert_eq!(unsubscribe("t/gone"), Outcome::Unsubscribed(vec![true]));
    assert_eq!(unsubscribe("t/gone"), Outcome::Unsubscribed(vec![false]));
    unsubscribe("u");
    assert!(bench.queued(session).is_empty());
    let opened = bench.open(durable("a"));
    assert_eq!(records(&opened), ["both", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    // PUBACK ends such an exchange as any other.
    let offsets: Vec<_> = (1..=10).map(offset).collect();
    bench.puback(opened.session, &offsets);
    assert!(records(&bench.open(durable("a"))).is_empty());
    assert_eq!(bench.state.counts().messages, 0);
}

#[test]
fn expired_message_is_delivered_to_nobody_and_reclaimed() {
    let mut bench = Bench::new();
    let session = bench.open(durable("a")).session;
    bench.subscribe(session, at("t", AtLeastOnce));
    let expires_at = Some(ha_types::ClusterMillis(bench.now + 1_000));
    bench.publish(Message { expires_at, ..message("t", "short", AtLeastOnce) });
    bench.publish(message("t", "long", AtLeastOnce));
    bench.pass(999);
    assert_eq!(bench.queued(session), ["short", "long"]);
    bench.pass(1);
    assert_eq!(bench.queued(session), ["long"]);
    bench.one(ha_core::cluster::Command::Sweep { at_most: 10 });
    let counts = bench.state.counts();
    assert_eq!((counts.messages, counts.expired), (1, 1));
}
