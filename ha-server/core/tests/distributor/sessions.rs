//! What engines ask and are told, through streams that break and leaders that change.

use ha_core::{Input, StreamId};
use ha_types::Qos;
use ha_types::link::{Downstream, GoodbyeReason, Upstream};
use ha_types::session::{
    Ask, CloseCause, Eviction, Offset, Progress, RefuseReason, SessionKey, Tell,
};

use crate::common::{
    Cluster, Log, announce_qos_0, ask, asked, config, durable, given, hello, message, numbered,
    opened, resume, retained, subscribe, with_qos,
};

/// A broker with one durable session on `t`, at QoS 2, and a publisher on another.
pub(crate) fn subscribed() -> (Cluster, StreamId, StreamId, SessionKey) {
    let mut cluster = Cluster::new(config());
    let (publisher, broker) = (cluster.attach("p"), cluster.attach("b"));
    cluster.say(broker, [ask(1, Ask::Open(durable("c", 1)))]);
    let session = opened(&cluster.tells(broker)).session;
    cluster
        .say(broker, [announce_qos_0(&["t"]), ask(2, subscribe(session, "t", Qos::ExactlyOnce))]);
    cluster.read(broker);
    (cluster, publisher, broker, session)
}

pub(crate) fn acknowledge(session: SessionKey, offsets: &[Offset]) -> Ask {
    let progress = Progress { acknowledged: offsets.to_vec(), ..Progress::default() };
    Ask::Progress { session, progress }
}

pub(crate) fn payloads(tells: &[Tell]) -> Vec<String> {
    given(tells).into_iter().map(|(_, payload)| payload).collect()
}

/// What the broker of a session was told since, after its stream broke or its leader changed.
fn come_back(cluster: &mut Cluster, items: impl IntoIterator<Item = Upstream>) -> StreamId {
    let stream = cluster.hello(hello("b", 1));
    cluster.say(stream, [announce_qos_0(&["t"])]);
    cluster.say(stream, items);
    stream
}

#[test]
fn ask_is_done_after_what_it_was_answered_with() {
    let mut cluster = Cluster::new(config());
    let broker = cluster.attach("b");
    let asks = ["c", "d"].map(|client| Ask::Open(durable(client, client.len() as u64)));
    cluster.say(broker, (1..).zip(asks).map(|(number, of)| ask(number, of)));
    let read = cluster.read(broker);
    let is_opened =
        |item: &Downstream| matches!(item, Downstream::Tell { tell: Tell::Opened(_), .. });
    assert!(read[..2].iter().all(is_opened), "{read:?}");
    assert_eq!(read[2..], [asked(2)], "once for a whole step");
}

#[test]
fn ask_without_an_answer_is_done_when_the_log_has_it() {
    let (mut cluster, _, broker, session) = subscribed();
    cluster.log = Log::Manual;
    cluster.say(broker, [ask(3, acknowledge(session, &[]))]);
    assert!(cluster.read(broker).is_empty());
    cluster.settle();
    assert_eq!(cluster.read(broker), [asked(3)]);
}

#[test]
fn asks_grow_and_are_no_publishes() {
    let (_, _, _, session) = subscribed();
    let publish = Ask::Publish {
        session,
        packet_id: ha_types::session::PacketId::new(1).unwrap(),
        message: message("t", "m").into(),
    };
    for item in
        [ask(2, acknowledge(session, &[])), ask(0, acknowledge(session, &[])), ask(3, publish)]
    {
        let (mut cluster, _, broker, _) = subscribed();
        cluster.say(broker, [item]);
        assert_eq!(cluster.goodbye(broker), Some(GoodbyeReason::ProtocolError));
    }
}

#[test]
fn durable_session_is_given_what_was_stored_and_the_publisher_waits_for_the_log_only() {
    let (mut cluster, publisher, broker, session) = subscribed();
    cluster.say(publisher, [numbered(1, message("t", "1"))]);
    assert_eq!(cluster.results(publisher), [1]);
    let read = cluster.read(broker);
    assert!(matches!(&read[..], [Downstream::Tell { tell: Tell::Deliver { .. }, .. }]), "{read:?}");
    cluster.say(publisher, [numbered(2, with_qos(Qos::ExactlyOnce, message("t", "2")))]);
    let tells = cluster.tells(broker);
    assert_eq!(payloads(&tells), ["2"]);
    let Tell::Deliver { queued, session: of } = &tells[0] else { panic!() };
    assert!(queued.record.is_some() && *of == session);
}

#[test]
fn session_is_given_as_many_as_its_client_takes_and_more_when_it_acknowledges() {
    let (mut cluster, publisher, broker, session) = subscribed();
    for number in 1..=40 {
        cluster.say(publisher, [numbered(number, message("t", &number.to_string()))]);
    }
    let first = given(&cluster.tells(broker));
    assert_eq!(first.len(), 32);
    cluster.say(broker, [ask(3, acknowledge(session, &[first[0].0, first[1].0]))]);
    assert_eq!(payloads(&cluster.tells(broker)), ["33", "34"]);
}

#[test]
fn subscribe_that_comes_again_on_a_new_stream_is_answered_again() {
    let (mut cluster, _, broker, session) = subscribed();
    cluster.step(Input::Broken(broker));
    let again = ask(2, subscribe(session, "t", Qos::ExactlyOnce));
    let back = come_back(&mut cluster, [resume(session, 1, None), Upstream::Resumed, again]);
    assert!(cluster.tells(back).iter().any(|tell| matches!(tell, Tell::Subscribed { .. })));
    assert_eq!(cluster.state.counts().subscriptions, 1);
}

#[test]
fn open_whose_answer_was_lost_is_opened_again_with_the_same_session_present() {
    for is_new_leader in [false, true] {
        let (mut cluster, publisher, broker, _) = subscribed();
        cluster.log = Log::Manual;
        cluster.say(broker, [ask(3, Ask::Open(durable("new", 2)))]);
        cluster.commit();
        if is_new_leader {
            cluster.change_leader();
        } else {
            cluster.step(Input::Broken(broker));
        }
        cluster.settle();
        cluster.log = Log::Prompt;
        let back =
            come_back(&mut cluster, [Upstream::Resumed, ask(3, Ask::Open(durable("new", 2)))]);
        let tells = cluster.tells(back);
        let again = opened(&tells);
        assert!(!again.is_present, "it is new, as it was then");
        assert_eq!(cluster.goodbye(back), None);
        let subscribe = ask(4, subscribe(again.session, "t", Qos::AtLeastOnce));
        cluster.say(back, [subscribe]);
        let publisher = if is_new_leader { cluster.attach("p") } else { publisher };
        cluster.say(publisher, [numbered(1, message("t", "1"))]);
        assert!(payloads(&cluster.tells(back)).contains(&"1".to_owned()));
    }
}

#[test]
fn resumed_session_is_given_what_comes_after_and_not_what_it_was_given() {
    for is_new_leader in [false, true] {
        let (mut cluster, publisher, broker, session) = subscribed();
        let items = ["1", "2", "3"].map(|text| message("t", text));
        cluster.say(publisher, (1..).zip(items).map(|(n, item)| numbered(n, item)));
        let first = given(&cluster.tells(broker));
        assert_eq!(first.len(), 3);
        if is_new_leader {
            cluster.change_leader();
        } else {
            cluster.step(Input::Broken(broker));
        }
        let (_, (upto, _)) = (&first[0], &first[1]);
        let back = come_back(&mut cluster, [resume(session, 1, Some(*upto)), Upstream::Resumed]);
        assert_eq!(payloads(&cluster.tells(back)), ["3"]);
        // The places of the first two are free when they are acknowledged.
        let acknowledged: Vec<Offset> = first.iter().map(|(offset, _)| *offset).collect();
        cluster.say(back, [ask(3, acknowledge(session, &acknowledged))]);
        assert_eq!(cluster.read(back), [asked(3)]);
        assert_eq!(cluster.state.unacknowledged(session.id), 0);
    }
}

#[test]
fn session_that_is_resumed_without_an_offset_is_given_all() {
    let (mut cluster, publisher, broker, session) = subscribed();
    cluster.say(publisher, [numbered(1, message("t", "1"))]);
    let exactly_once = with_qos(Qos::ExactlyOnce, message("t", "2"));
    cluster.say(publisher, [numbered(2, exactly_once)]);
    cluster.step(Input::Broken(broker));
    let back = come_back(&mut cluster, [resume(session, 1, None), Upstream::Resumed]);
    assert_eq!(payloads(&cluster.tells(back)), ["1", "2"]);
}

#[test]
fn session_that_has_another_owner_is_fenced_when_it_is_resumed() {
    let (mut cluster, _, broker, session) = subscribed();
    cluster.step(Input::Broken(broker));
    let other = cluster.attach("o");
    cluster.say(other, [ask(1, Ask::Open(durable("c", 9)))]);
    assert!(opened(&cluster.tells(other)).is_present);
    let never = SessionKey { id: ha_types::SessionId(77), ..session };
    let resumes = [resume(session, 1, None), resume(never, 2, None), Upstream::Resumed];
    let back = come_back(&mut cluster, resumes);
    let fenced = [session, never].map(|session| Tell::Fenced { session });
    assert_eq!(cluster.tells(back), fenced);
    let stale = ask(3, acknowledge(session, &[]));
    cluster.say(back, [stale]);
    assert_eq!(cluster.read(back), [asked(3)], "and what is late of it changes nothing");
}

#[test]
fn session_is_not_resumed_by_another_connection_of_its_broker() {
    let (mut cluster, _, broker, session) = subscribed();
    cluster.step(Input::Broken(broker));
    let back = come_back(&mut cluster, [resume(session, 8, None), Upstream::Resumed]);
    assert_eq!(cluster.tells(back), [Tell::Fenced { session }]);
}

#[test]
fn answers_for_a_broker_without_a_stream_are_dropped_and_its_asks_come_again() {
    let (mut cluster, _, broker, session) = subscribed();
    cluster.log = Log::Manual;
    let close = Ask::Close {
        session,
        cause: CloseCause::Disconnect,
        progress: Progress::default(),
        lifetime: None,
    };
    cluster.say(broker, [ask(3, close.clone())]);
    cluster.step(Input::Broken(broker));
    cluster.settle();
    cluster.log = Log::Prompt;
    let back = come_back(&mut cluster, [Upstream::Resumed, ask(3, close)]);
    assert_eq!(cluster.read(back).last(), Some(&asked(3)));
    assert_eq!(cluster.state.owner_of(session), None);
}

#[test]
fn older_connection_is_evicted_first_and_its_last_word_counts() {
    let (mut cluster, _, broker, session) = subscribed();
    let other = cluster.attach("o");
    cluster.say(other, [ask(1, Ask::Open(durable("c", 9)))]);
    assert_eq!(cluster.tells(broker), [Tell::Evict { session, why: Eviction::TakenOver }]);
    assert!(cluster.read(other).is_empty());
    let close = Ask::Close {
        session,
        cause: CloseCause::Handover,
        progress: Progress::default(),
        lifetime: None,
    };
    cluster.say(broker, [ask(3, close)]);
    assert!(opened(&cluster.tells(other)).is_present);
}

#[test]
fn older_connection_that_says_nothing_is_fenced_after_a_tenth_of_a_second() {
    let (mut cluster, _, broker, session) = subscribed();
    let other = cluster.attach("o");
    cluster.say(other, [ask(1, Ask::Open(durable("c", 9)))]);
    cluster.wait(99, &[]);
    assert!(cluster.read(other).is_empty());
    cluster.wait(1, &[]);
    assert_eq!(
        cluster.tells(broker),
        [Tell::Evict { session, why: Eviction::TakenOver }, Tell::Fenced { session }]
    );
    assert_eq!(cluster.read(other).last(), Some(&asked(1)));
}

#[test]
fn connection_between_two_is_refused_and_its_ask_is_done() {
    let (mut cluster, _, _, _) = subscribed();
    let other = cluster.attach("o");
    for number in [1, 2] {
        cluster.say(other, [ask(number, Ask::Open(durable("c", number)))]);
    }
    let [first, done] = &cluster.read(other)[..] else { panic!() };
    let refused = Tell::OpenRefused {
        connection: durable("c", 1).connection,
        reason: RefuseReason::Unavailable,
    };
    let Downstream::Tell { tell, .. } = first else { panic!("{first:?}") };
    assert_eq!((tell, done), (&refused, &asked(1)));
}

#[test]
fn repeat_of_an_exchange_says_what_it_repeats_also_when_it_is_asked_again() {
    let mut cluster = Cluster::new(config());
    let (publisher, live) = (cluster.attach("p"), cluster.subscriber("l", &["t"]));
    cluster.say(publisher, [ask(1, Ask::Open(durable("c", 1)))]);
    let session = opened(&cluster.tells(publisher)).session;
    let packet_id = ha_types::session::PacketId::new(5).unwrap();
    let of = |number| Upstream::Publish {
        number: Some(ha_types::PublishNumber(number)),
        exchange: Some((session, packet_id)),
        message: with_qos(Qos::ExactlyOnce, message("t", "m")).into(),
    };
    cluster.say(publisher, [of(1), of(2)]);
    cluster.receive_all(live);
    let known_as = |cluster: &mut Cluster, live| {
        let items = cluster.read(live).into_iter();
        let origins = |item| match item {
            Downstream::Deliver { origin, known_as, .. } => Some((origin?.number.0, known_as)),
            _ => None,
        };
        items.filter_map(origins).collect::<Vec<_>>()
    };
    let (broker, number) = (cluster.welcome(publisher).epoch, ha_types::PublishNumber(1));
    let repeat = (2, vec![ha_types::link::Origin { broker, number }]);
    assert_eq!(known_as(&mut cluster, live), [(1, vec![]), repeat.clone()]);
    use ha_types::link::PublishOutcome::{Accepted, Fenced, Repeat};
    // It comes back to its own broker while it waits for the other one.
    cluster.receive_all(publisher);
    assert_eq!(cluster.outcomes(publisher), [Accepted, Repeat]);
    cluster.change_leader();
    let (publisher, live) = (cluster.attach("p"), cluster.subscriber("l", &["t"]));
    cluster.say(publisher, [of(2)]);
    cluster.receive_all(live);
    assert_eq!(cluster.outcomes(publisher), [Repeat]);
    assert_eq!(known_as(&mut cluster, live), [repeat]);
    let other = cluster.attach("o");
    cluster.say(other, [ask(1, Ask::Open(durable("c", 1)))]);
    cluster.wait(100, &[publisher, live, other]);
    cluster.say(publisher, [of(3)]);
    assert_eq!(cluster.outcomes(publisher), [Fenced]);
}

#[test]
fn broker_that_is_behind_is_given_no_deliveries_until_it_has_caught_up() {
    let (mut cluster, publisher, broker, _) = subscribed();
    let half = "x".repeat(config().queue_bytes / 2 + 1);
    for number in 1..=4 {
        cluster.say(publisher, [numbered(number, message("t", &half))]);
    }
    assert_eq!(given(&cluster.tells(broker)).len(), 2);
    cluster.write_all(broker);
    assert_eq!(given(&cluster.tells(broker)).len(), 2);
}

#[test]
fn fetch_is_answered_after_what_was_asked_before_and_all_comes_again() {
    let (mut cluster, publisher, broker, session) = subscribed();
    let items = ["1", "2"].map(|text| message("t", text));
    cluster.say(publisher, (1..).zip(items).map(|(n, item)| numbered(n, item)));
    let first = given(&cluster.tells(broker));
    let fetch = Ask::Fetch { session, after: None, messages_max: 1, bytes_max: 1 };
    cluster.say(broker, [ask(3, acknowledge(session, &[first[0].0])), ask(4, fetch)]);
    let tells = cluster.tells(broker);
    assert!(matches!(tells[0], Tell::Page { .. }), "{tells:?}");
    assert_eq!(payloads(&tells), ["2"]);
}

#[test]
fn state_that_is_ahead_of_its_outcomes_gives_each_message_once() {
    let (mut cluster, publisher, broker, session) = subscribed();
    cluster.log = Log::Manual;
    let qos = [Qos::AtLeastOnce, Qos::ExactlyOnce, Qos::AtLeastOnce, Qos::ExactlyOnce];
    for (number, qos) in (1..).zip(qos) {
        let item = with_qos(qos, retained("t", &number.to_string()));
        cluster.say(publisher, [numbered(number, item)]);
        cluster.commit();
    }
    cluster.say(broker, [ask(3, acknowledge(session, &[]))]);
    while cluster.commit() {}
    cluster.settle();
    assert_eq!(payloads(&cluster.tells(broker)), ["1", "2", "3", "4"]);
}
